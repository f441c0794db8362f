// What can be wrong with a gRPC call beyond its tensors (TENSOR_…) and what it asks for (SERVING_…, PATH_…, OIP_…).
import { defineErrors } from '../../core/index.js'

export const GrpcErrors = defineErrors('GRPC', {
  MESSAGE_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { problem: string }) =>
      `The message of the call cannot be read: ${p.problem}. Send one message of the method's type, as its .proto file says.`,
  },
  CONTENTS_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { problem: string }) =>
      `The data of the inputs does not come in one form: ${p.problem}. Send either raw_input_contents, with one entry for each input in their order, or contents in each input.`,
  },
  ENCODING_UNSUPPORTED: {
    status: 501,
    retry: false,
    level: 'info',
    message: (p: { encoding: string }) =>
      `Messages compressed with "${p.encoding}" are not understood here. Use gzip, deflate or no compression.`,
  },
  METHOD_UNKNOWN: {
    status: 501,
    retry: false,
    level: 'info',
    message: (p: { path: string }) =>
      `There is no method ${p.path} here. The services are inference.GRPCInferenceService and grpc.health.v1.Health.`,
  },
  METHOD_UNSUPPORTED: {
    status: 501,
    retry: false,
    level: 'info',
    message: (p: { method: string; reason: string }) => `${p.method} is not offered by this server: ${p.reason}.`,
  },
  STREAMS_FULL: {
    status: 429,
    retry: true,
    level: 'warn',
    message: (p: { limit: number; retryAfterMs: number }) =>
      `The server has ${p.limit} calls open, the most it takes, and none of them is idle. Call again in ${p.retryAfterMs} ms, or raise server.maxGrpcStreams.`,
  },
  STREAM_IDLE: {
    status: 503,
    retry: true,
    level: 'info',
    message: (p: { limit: number }) =>
      `This call was the one idle for longest when another needed its place: the server takes ${p.limit} at once (server.maxGrpcStreams). Open it again when there is something to send.`,
  },
  PORT_IN_USE: {
    status: 409,
    retry: false,
    level: 'error',
    message: (p: { host: string; port: number }) =>
      `The gRPC port ${p.port} on ${p.host} is in use. Stop what listens there, choose another with --grpc-port (0 takes any free one), or serve without gRPC (--no-grpc).`,
  },
})
