// Everything that can go wrong with a version that another server runs. Messages name the version and the server, and quote what
// that server said: it is seldom the caller's fault and never only ours.
import { defineErrors } from '../../core/index.js'

/** `model` is the version, as in `resnet/1`; `server` the address from its remote.json. */
interface Where {
  readonly model: string
  readonly server: string
}

export const RemoteErrors = defineErrors('REMOTE', {
  ENVIRONMENT_MISSING: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { model: string; variables: readonly string[] }) =>
      `The remote.json of ${p.model} names environment variables that are not set: ${p.variables.join(', ')}. Set them where the server is started.`,
  },
  HEADER_INVALID: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { model: string; header: string }) =>
      `The header "${p.header}" in the remote.json of ${p.model}, with its environment variables filled in, is no value that a header can have. Correct the variables.`,
  },
  SIGNATURE_UNKNOWN: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: Where & { problem: string }) =>
      `The server ${p.server} does not say what ${p.model} takes and gives: ${p.problem}. State "signature" in remote.json.`,
  },
  UNREACHABLE: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: Where & { reason: string }) =>
      `The server ${p.server}, which runs ${p.model}, cannot be reached: ${p.reason}. Check that it runs and that its address is right.`,
  },
  UNREADY: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: Where & { because: string; retryAfterMs: number }) =>
      `The server ${p.server}, which runs ${p.model}, ${p.because}. Send the request again in ${p.retryAfterMs} ms.`,
  },
  BUSY: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: Where & { said: string; retryAfterMs: number }) =>
      `The server ${p.server}, which runs ${p.model}, is too busy: ${p.said}. Send the request again in ${p.retryAfterMs} ms.`,
  },
  TIMEOUT: {
    status: 504,
    retry: true,
    level: 'warn',
    message: (p: Where & { limitMs: number }) =>
      `The server ${p.server}, which runs ${p.model}, did not answer within ${p.limitMs} ms. Send the request again with a longer timeout, or raise timeoutMs in remote.json if it has one.`,
  },
  INPUT_REFUSED: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: Where & { said: string }) =>
      `The server ${p.server}, which runs ${p.model}, refused the inputs: ${p.said}`,
  },
  INPUT_NOT_TEXT: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: Where & { input: string; element: number }) =>
      `Element ${p.element} of the input "${p.input}" is not UTF-8 text, and the server ${p.server}, which runs ${p.model}, takes JSON alone over HTTP. Send text, or use gRPC in remote.json.`,
  },
  REFUSED: {
    status: 502,
    retry: false,
    level: 'error',
    message: (p: Where & { status: string; said: string }) =>
      `The server ${p.server}, which runs ${p.model}, refused the request with ${p.status}: ${p.said} Check the model, version and headers in remote.json.`,
  },
  FAILED: {
    status: 502,
    retry: false,
    level: 'error',
    message: (p: Where & { status: string; said: string }) =>
      `The server ${p.server}, which runs ${p.model}, failed with ${p.status}: ${p.said}`,
  },
  REPLY_INVALID: {
    status: 502,
    retry: false,
    level: 'error',
    message: (p: Where & { problem: string }) =>
      `The server ${p.server}, which runs ${p.model}, gave an answer that is none: ${p.problem}. Check that it speaks the Open Inference Protocol (v2) at that address.`,
  },
  REPLY_TOO_LARGE: {
    status: 502,
    retry: false,
    level: 'error',
    message: (p: Where & { limitBytes: number }) =>
      `The answer of the server ${p.server}, which runs ${p.model}, is larger than the limit of ${p.limitBytes} bytes. Ask for fewer rows or outputs, or raise maxReplyBytes in remote.json.`,
  },
  CLOSED: {
    status: 503,
    retry: true,
    level: 'info',
    message: (p: { model: string }) =>
      `${p.model} was unloaded. Send the request again to reach the version that replaced it.`,
  },
})
