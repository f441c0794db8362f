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
  HEADER_LENGTH: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { arrived: string; bodyBytes: number | undefined }) =>
      `Inference-Header-Content-Length must be the length of the body's JSON in bytes, a whole number from 0 to the length of the body${p.bodyBytes === undefined ? '' : `, ${p.bodyBytes}`}; "${p.arrived}" arrived.`,
  },
  BINARY_WITHOUT_HEADER: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string }) =>
      `Input "${p.input}" declares binary_data_size, but the request has no header Inference-Header-Content-Length to say where its JSON ends. Send that header, or the elements as JSON in "data".`,
  },
  BINARY_TOO_SHORT: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string; sizeBytes: number; leftBytes: number }) =>
      `Input "${p.input}" declares a binary_data_size of ${p.sizeBytes}, but only ${p.leftBytes} bytes are left in the body. Send the data of all binary inputs after the JSON, in the order of "inputs".`,
  },
  BINARY_TOO_LONG: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { leftBytes: number }) =>
      `The body goes on for ${p.leftBytes} bytes after the data of its last binary input. Correct binary_data_size or Inference-Header-Content-Length.`,
  },
  INPUT_DATA_TWICE: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { input: string }) =>
      `Input "${p.input}" has both "data" and binary_data_size. Send its elements once: as JSON or as binary data.`,
  },
  RAW_UNSUPPORTED: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { reason: string }) =>
      `The body cannot be taken as the data of one tensor (Inference-Header-Content-Length: 0): ${p.reason}. Send JSON that describes the inputs, and its length in that header.`,
  },
  PARAMETER_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { parameter: string; of: string; expected: string; arrived: string }) =>
      `The parameter ${p.parameter} of ${p.of} must be ${p.expected}, but ${p.arrived} arrived.`,
  },
  SEQUENCE_UNSUPPORTED: {
    status: 501,
    retry: false,
    level: 'info',
    message: (p: { parameter: string }) =>
      `The request has the parameter "${p.parameter}", but models here keep no state between requests, so a sequence would be answered wrongly. Leave it out, and send all that the model needs in each request.`,
  },
  SHARED_MEMORY_UNSUPPORTED: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { tensor: string }) =>
      `Tensor "${p.tensor}" declares shared_memory_region, but this server has no shared memory extension. Send and ask for data in the body.`,
  },
  CLASSIFICATION_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { output: string; reason: string }) =>
      `Output "${p.output}" cannot be answered with its largest elements ("classification"): ${p.reason}.`,
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
