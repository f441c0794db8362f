/** Extensions of the Open Inference Protocol that are here, by Triton's names: clients look for those they need. */
export const PROTOCOL_EXTENSIONS: readonly string[] = [
  'binary_tensor_data',
  'classification',
  'parameters',
  'schedule_policy',
  'statistics',
  'model_configuration',
  'model_repository',
  'model_repository(unload_dependents)',
]
