// The Open Inference Protocol (KServe v2) over HTTP: request bodies to tensors, tensors to reply bodies, as JSON, binary or mixed.
// Pure functions on bytes and text: what is JSON runs on the event loop and in the parse worker alike.
// Shared memory and sequences are refused with an explanation.
export { readBinaryInputs, readRawRequest } from './binary-request.js'
export { classify } from './classification.js'
export {
  encodeError,
  encodeInferResponse,
  encodeInferResponseBytes,
  encodeLive,
  encodeModelList,
  encodeModelMetadata,
  encodeModelReady,
  encodeReady,
  encodeServerMetadata,
  orderOutputs,
} from './encode.js'
export { OipErrors } from './errors.js'
export { classCount, type OutputForm, type OutputForms, outputForms } from './output-forms.js'
export { identityOf, parseInferRequest, refuseSequence } from './parse.js'
export type {
  BinaryInput,
  EncodedInferBytes,
  EncodedInferResponse,
  Identity,
  InferRequest,
  InferResponse,
  Parameters,
} from './types.js'
