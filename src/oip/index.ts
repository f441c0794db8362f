// Floor 1. The Open Inference Protocol over gRPC as messages and methods: KServe's and Triton's RPCs, and gRPC's health service.
// The server's gRPC face and the backend that calls other servers are both written with it.
// The code in generated/ comes from proto/ by "npm run generate:oip"; grpc-js is imported when the first client is opened.
export {
  type InferParameter,
  type InferTensorContents,
  type ModelConfigRequest,
  type ModelConfigResponse,
  ModelInferRequest,
  type ModelInferRequest_InferInputTensor as InferInputTensor,
  type ModelInferRequest_InferRequestedOutputTensor as InferRequestedOutputTensor,
  ModelInferResponse,
  type ModelInferResponse_InferOutputTensor as InferOutputTensor,
  type ModelMetadataResponse,
  type ModelMetadataResponse_TensorMetadata as TensorMetadata,
  type ModelRepositoryParameter,
  type ModelStatistics,
  type ModelStatisticsResponse,
  type ModelStreamInferResponse,
  type RepositoryIndexResponse,
  type RepositoryModelLoadRequest,
  type RepositoryModelUnloadRequest,
} from './generated/grpc_service.js'
export { type HealthCheckResponse, HealthCheckResponse_ServingStatus as ServingStatus } from './generated/health.js'
export {
  DataType as ConfigDataType,
  ModelConfig,
  ModelInput,
  ModelInstanceGroup,
  ModelInstanceGroup_Kind as InstanceKind,
  ModelOutput,
  ModelQueuePolicy_TimeoutAction as QueueTimeoutAction,
} from './generated/model_config.js'
export { type OpenClientOptions, openGrpcClient } from './open-client.js'
export { type Codec, healthService, inferenceService, type Method } from './service.js'
