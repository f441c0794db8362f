// The native call: rows of named features in; ids, named outputs, versions and timings out. Strict JSON both ways.
// A row is its own prediction, so a list brings a unit and entities for each row.
// Pure functions on bytes and text, so that they run on the event loop and in the parse worker alike.
export { encodeNativeResponse, encodeNativeRow } from './encode.js'
export { NativeErrors } from './errors.js'
export { MAX_ROWS, parseNativeRequest } from './parse.js'
export type { Entities, NativeFailure, NativePrediction, NativeRequest, NativeResponse } from './types.js'
