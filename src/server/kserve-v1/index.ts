// KServe's version 1 (TensorFlow Serving's REST) over JSON: row form (`instances`) and column form (`inputs`).
// Datatypes are not on the wire, so a body is read with the model's row schema.
// Pure functions on bytes and text, so that they run on the event loop and in the parse worker alike.
export { encodeError, encodeModelList, encodePredictResponse, encodeVersionStatus } from './encode.js'
export { KserveErrors } from './errors.js'
export { parsePredictRequest } from './parse.js'
export type { PredictRequest, PredictResponse } from './types.js'
