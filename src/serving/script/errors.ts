// Everything that can go wrong with a script version: at load, in a run, and with its thread.
import { defineErrors } from '../../core/index.js'

/** `model` is the version, as in `fraud-rule/1`; code in threads leaves it out, because only the main side knows it. */
export const ScriptErrors = defineErrors('SCRIPT', {
  FILE_UNREADABLE: {
    status: 500,
    retry: true,
    level: 'error',
    message: (p: { model: string; file: string; reason: string }) =>
      `The script ${p.file} of ${p.model} could not be read: ${p.reason}. Check that it exists and that the server may read it.`,
  },
  DIGEST_MISMATCH: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { model: string; expected: string; actual: string; sizeBytes: number }) =>
      `The script of ${p.model} has the digest ${p.actual} (${p.sizeBytes} bytes), but ${p.expected} was expected: it changed after it was published. Publish it again under a new version number.`,
  },
  INVALID: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { model: string; reason: string }) => `The script of ${p.model} cannot be served: ${p.reason}.`,
  },
  INPUT_NOT_TEXT: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { model: string; input: string; element: number }) =>
      `Element ${p.element} of the input "${p.input}" of ${p.model} is not valid UTF-8. Scripts get BYTES as text; send other bytes encoded, for example as base64.`,
  },
  RUN_FAILED: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { model: string; reason: string }) =>
      `The script of ${p.model} failed: ${p.reason}. The same inputs will fail again; correct it and publish it as a new version.`,
  },
  OUTPUT_INVALID: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { model: string; output: string; problem: string }) =>
      `The script of ${p.model} gave a wrong "${p.output}": ${p.problem}. Correct it and publish it as a new version.`,
  },
  RUN_TIMEOUT: {
    status: 504,
    retry: true,
    level: 'error',
    message: (p: { model: string; timeoutMs: number }) =>
      `The script of ${p.model} ran for more than its limit of ${p.timeoutMs} ms and was stopped. If such runs are expected, set timeoutMs in the script.`,
  },
  THREAD_ENDED: {
    status: 503,
    retry: true,
    level: 'error',
    message: (p: { model: string; reason: string }) =>
      `The thread of the script of ${p.model} ended during a run: ${p.reason}. The next run starts a new one.`,
  },
  CLOSED: {
    status: 503,
    retry: true,
    level: 'info',
    message: (p: { model: string }) =>
      `${p.model} was unloaded. Send the request again to reach the version that replaced it.`,
  },
})
