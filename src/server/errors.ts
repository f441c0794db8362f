import { defineErrors } from '../core/index.js'

export const HttpErrors = defineErrors('HTTP', {
  NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { method: string; path: string }) =>
      `There is nothing at ${p.method} ${p.path}. The routes are listed at /api/docs.`,
  },
  NOT_OFFERED: {
    status: 501,
    retry: false,
    level: 'info',
    message: (p: { what: string; reason: string }) => `${p.what} is not offered by this server: ${p.reason}.`,
  },
  METHOD_NOT_ALLOWED: {
    status: 405,
    retry: false,
    level: 'info',
    message: (p: { method: string; path: string; allow: string }) =>
      `${p.path} does not take ${p.method}. Use ${p.allow}.`,
  },
  BODY_TOO_LARGE: {
    status: 413,
    retry: false,
    level: 'info',
    message: (p: { limitBytes: number; sizeBytes: number | undefined }) =>
      `The body ${p.sizeBytes === undefined ? 'grew beyond' : `of ${p.sizeBytes} bytes is over`} the limit of ${p.limitBytes} bytes. Send less at once; for predictions the setting server.bodyLimitBytes raises the limit.`,
  },
  BODIES_FULL: {
    status: 429,
    retry: true,
    level: 'warn',
    message: (p: { sizeBytes: number; heldBytes: number; limitBytes: number; retryAfterMs: number }) =>
      `The server holds ${p.heldBytes} bytes of other requests already, and this body of ${p.sizeBytes} would exceed the limit of ${p.limitBytes}. Send the request again in ${p.retryAfterMs} ms, or raise server.maxBufferedBytes.`,
  },
  CONTENT_TYPE: {
    status: 415,
    retry: false,
    level: 'info',
    message: (p: { contentType: string }) =>
      `The content type "${p.contentType}" is not understood here. Send JSON with "Content-Type: application/json" (curl: -H 'Content-Type: application/json').`,
  },
  UPLOAD_TYPE: {
    status: 415,
    retry: false,
    level: 'info',
    message: (p: { contentType: string }) =>
      `A version is pushed as bytes, but the content type is ${p.contentType === '' ? 'missing' : `"${p.contentType}"`}. Send the ONNX file itself with "Content-Type: application/octet-stream" (curl: --data-binary @model.onnx).`,
  },
  UPLOAD_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { problem: string }) =>
      `The pushed version cannot be read: ${p.problem}. The body is model.json, as long as the header Headrace-Manifest-Length says (absent or 0: none), and then the ONNX file.`,
  },
  UPLOAD_EXTERNAL_DATA: {
    status: 422,
    retry: false,
    level: 'info',
    message: (p: { file: string }) =>
      `The pushed model keeps its tensors in a file beside it ("${p.file}"), which a push over HTTP does not carry. Save the model as one file, or copy its folder into the models folder.`,
  },
  JSON_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { problem: string }) => `The body is not JSON: ${p.problem}.`,
  },
  BODY_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { where: string; expected: string; arrived: string }) =>
      `The body is not what this route takes: ${p.where} must be ${p.expected}, but ${p.arrived} arrived. The schema is at /api/docs.`,
  },
  PARAMETER_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { in: string; where: string; expected: string; arrived: string }) =>
      `A ${p.in} of the request is not usable: ${p.where} must be ${p.expected}, but ${p.arrived} arrived.`,
  },
  CONTENT_ENCODING: {
    status: 415,
    retry: false,
    level: 'info',
    message: (p: { encoding: string; acceptEncoding: string }) =>
      `The content encoding "${p.encoding}" is not understood here. Send the body ${p.acceptEncoding === 'identity' ? 'uncompressed' : `uncompressed, or compressed once with one of ${p.acceptEncoding}`}.`,
  },
  COMPRESSED_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { encoding: string; problem: string }) =>
      `The body is not what "Content-Encoding: ${p.encoding}" says: ${p.problem}. Send it compressed whole, or uncompressed.`,
  },
  COMPRESSED_TOO_MUCH: {
    status: 413,
    retry: false,
    level: 'info',
    message: (p: { bodyBytes: number; inflatedBytes: number; ratio: number }) =>
      `The compressed body of ${p.bodyBytes} bytes holds more than ${p.inflatedBytes}, over ${p.ratio} times as much: such bodies are taken for attacks. Send it uncompressed.`,
  },
  BINARY_TENSORS: {
    status: 415,
    retry: false,
    level: 'info',
    message: () =>
      'The request carries binary tensors (Inference-Header-Content-Length), which only the Open Inference Protocol has. Send them to /v2/models/{name}/infer, or the data as JSON.',
  },
  BAD_PATH: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { path: string }) =>
      `The path ${p.path} is not valid percent-encoded UTF-8, or its version is no positive integer.`,
  },
  MALFORMED: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { reason: string }) => `The request is not well-formed HTTP (${p.reason}).`,
  },
  NO_EXPLAINER: {
    status: 501,
    retry: false,
    level: 'info',
    message: (p: { model: string }) =>
      `'${p.model}' cannot be asked to explain its answers: this server has no explainers. Ask it to predict, with ":predict" in place of ":explain".`,
  },
  HEADERS_TOO_LARGE: {
    status: 431,
    retry: false,
    level: 'info',
    message: () => 'The headers are over 16 KiB. Send fewer or shorter ones.',
  },
  TIMEOUT: {
    status: 408,
    retry: true,
    level: 'info',
    message: () => 'The request did not arrive completely in time. Send it faster, or raise server.requestTimeoutMs.',
  },
  PORT_IN_USE: {
    status: 409,
    retry: false,
    level: 'error',
    message: (p: { host: string; port: number }) =>
      `Port ${p.port} on ${p.host} is in use. Stop what listens there, or choose another with --port (0 takes any free one).`,
  },
})
