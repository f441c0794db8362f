// The Open Inference Protocol (KServe v2) over JSON: request bodies to tensors, tensors to reply bodies.
// Pure functions on bytes and text, so that they run on the event loop and in the parse worker alike.
// Binary tensors, shared memory and classification are refused with an explanation.
export {
  encodeError,
  encodeInferResponse,
  encodeInferResponseBytes,
  encodeLive,
  encodeModelList,
  encodeModelMetadata,
  encodeModelReady,
  encodeReady,
  encodeRepositoryIndex,
  encodeServerMetadata,
  orderOutputs,
} from './encode.js'
export { OipErrors } from './errors.js'
export { identityOf, parseInferRequest, parseRepositoryIndexRequest } from './parse.js'
export type {
  EncodedInferBytes,
  EncodedInferResponse,
  Identity,
  InferRequest,
  InferResponse,
  Parameters,
  RepositoryEntry,
  RepositoryState,
} from './types.js'
