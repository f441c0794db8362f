// The methods of both services, each with its codecs, in the shape that grpc-js takes; importing them does not import grpc-js.
import * as oip from './generated/grpc_service.js'
import * as health from './generated/health.js'

/** Encodes and decodes one kind of message; what ts-proto generates. */
export interface Codec<T> {
  encode(message: T): { finish(): Uint8Array }
  decode(bytes: Uint8Array): T
}

/** One RPC; assignable to grpc-js's `MethodDefinition`. */
export interface Method<Request, Response> {
  readonly path: string
  readonly requestStream: boolean
  readonly responseStream: boolean
  readonly requestSerialize: (message: Request) => Buffer
  readonly requestDeserialize: (bytes: Buffer) => Request
  readonly responseSerialize: (message: Response) => Buffer
  readonly responseDeserialize: (bytes: Buffer) => Response
}

/** The KServe and Triton RPCs: `inference.GRPCInferenceService`. */
export const inferenceService = {
  ServerLive: inference('ServerLive', oip.ServerLiveRequest, oip.ServerLiveResponse),
  ServerReady: inference('ServerReady', oip.ServerReadyRequest, oip.ServerReadyResponse),
  ModelReady: inference('ModelReady', oip.ModelReadyRequest, oip.ModelReadyResponse),
  ServerMetadata: inference('ServerMetadata', oip.ServerMetadataRequest, oip.ServerMetadataResponse),
  ModelMetadata: inference('ModelMetadata', oip.ModelMetadataRequest, oip.ModelMetadataResponse),
  ModelInfer: inference('ModelInfer', oip.ModelInferRequest, oip.ModelInferResponse),
  ModelStreamInfer: method(
    '/inference.GRPCInferenceService/ModelStreamInfer',
    oip.ModelInferRequest,
    oip.ModelStreamInferResponse,
    { requestStream: true, responseStream: true },
  ),
  ModelConfig: inference('ModelConfig', oip.ModelConfigRequest, oip.ModelConfigResponse),
  ModelStatistics: inference('ModelStatistics', oip.ModelStatisticsRequest, oip.ModelStatisticsResponse),
  RepositoryIndex: inference('RepositoryIndex', oip.RepositoryIndexRequest, oip.RepositoryIndexResponse),
  RepositoryModelLoad: inference(
    'RepositoryModelLoad',
    oip.RepositoryModelLoadRequest,
    oip.RepositoryModelLoadResponse,
  ),
  RepositoryModelUnload: inference(
    'RepositoryModelUnload',
    oip.RepositoryModelUnloadRequest,
    oip.RepositoryModelUnloadResponse,
  ),
  SystemSharedMemoryStatus: inference(
    'SystemSharedMemoryStatus',
    oip.SystemSharedMemoryStatusRequest,
    oip.SystemSharedMemoryStatusResponse,
  ),
  SystemSharedMemoryRegister: inference(
    'SystemSharedMemoryRegister',
    oip.SystemSharedMemoryRegisterRequest,
    oip.SystemSharedMemoryRegisterResponse,
  ),
  SystemSharedMemoryUnregister: inference(
    'SystemSharedMemoryUnregister',
    oip.SystemSharedMemoryUnregisterRequest,
    oip.SystemSharedMemoryUnregisterResponse,
  ),
  CudaSharedMemoryStatus: inference(
    'CudaSharedMemoryStatus',
    oip.CudaSharedMemoryStatusRequest,
    oip.CudaSharedMemoryStatusResponse,
  ),
  CudaSharedMemoryRegister: inference(
    'CudaSharedMemoryRegister',
    oip.CudaSharedMemoryRegisterRequest,
    oip.CudaSharedMemoryRegisterResponse,
  ),
  CudaSharedMemoryUnregister: inference(
    'CudaSharedMemoryUnregister',
    oip.CudaSharedMemoryUnregisterRequest,
    oip.CudaSharedMemoryUnregisterResponse,
  ),
  TraceSetting: inference('TraceSetting', oip.TraceSettingRequest, oip.TraceSettingResponse),
  LogSettings: inference('LogSettings', oip.LogSettingsRequest, oip.LogSettingsResponse),
}

/** `grpc.health.v1.Health`. */
export const healthService = {
  Check: method('/grpc.health.v1.Health/Check', health.HealthCheckRequest, health.HealthCheckResponse),
  List: method('/grpc.health.v1.Health/List', health.HealthListRequest, health.HealthListResponse),
  Watch: method('/grpc.health.v1.Health/Watch', health.HealthCheckRequest, health.HealthCheckResponse, {
    requestStream: false,
    responseStream: true,
  }),
}

function inference<Request, Response>(name: string, request: Codec<Request>, response: Codec<Response>) {
  return method(`/inference.GRPCInferenceService/${name}`, request, response)
}

function method<Request, Response>(
  path: string,
  request: Codec<Request>,
  response: Codec<Response>,
  streams = { requestStream: false, responseStream: false },
): Method<Request, Response> {
  return {
    path,
    ...streams,
    requestSerialize: (message) => bytesOf(request, message),
    requestDeserialize: (bytes) => request.decode(bytes),
    responseSerialize: (message) => bytesOf(response, message),
    responseDeserialize: (bytes) => response.decode(bytes),
  }
}

function bytesOf<T>(codec: Codec<T>, message: T): Buffer {
  const { buffer, byteOffset, byteLength } = codec.encode(message).finish()
  return Buffer.from(buffer, byteOffset, byteLength)
}
