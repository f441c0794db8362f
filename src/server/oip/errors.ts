// What can be wrong with an Open Inference Protocol request beyond its JSON and its tensors, which report as TENSOR_….
// Unknown models and versions are reported by the pool (SERVING_) and the path (PATH_).
import { defineErrors } from '../../core/index.js'

export const OipErrors = defineErrors('OIP', {
  INPUT_DATA_MISSING: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string }) =>
      `Input "${p.input}" has no data. Add "data" with its elements in row-major order.`,
  },
  BINARY_UNSUPPORTED: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string }) =>
      `Input "${p.input}" declares binary_data_size, but this server does not take binary tensors over HTTP yet. Send its elements as JSON in "data" (tritonclient: set_data_from_numpy(..., binary_data=False)).`,
  },
  SHARED_MEMORY_UNSUPPORTED: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { tensor: string }) =>
      `Tensor "${p.tensor}" declares shared_memory_region, but this server has no shared memory extension. Send and ask for data in the body.`,
  },
  CLASSIFICATION_UNSUPPORTED: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { output: string }) =>
      `Output "${p.output}" is asked for with "classification", but this server does not have that extension. Leave it out and take the largest elements yourself.`,
  },
  OUTPUT_DUPLICATE: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { output: string }) => `Output "${p.output}" is asked for more than once. Ask for each output once.`,
  },
  TOO_MANY: {
    status: 413,
    retry: false,
    level: 'info',
    message: (p: { what: string; limit: number }) =>
      `The request has more than ${p.limit} ${p.what}, the most that one may bring. Send fewer.`,
  },
  OUTPUT_MISSING: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { output: string; arrived: readonly string[] }) =>
      `The model did not return its output "${p.output}", but ${p.arrived.length === 0 ? 'nothing' : p.arrived.join(', ')}.`,
  },
})
