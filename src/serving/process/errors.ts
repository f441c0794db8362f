// Everything that can go wrong because a version runs in a process of its own, beside what its backend says there.
import { defineErrors } from '../../core/index.js'

/** `model` is the version, as in `fraud/2`. */
export const ModelProcessErrors = defineErrors('MODEL_PROCESS', {
  ENDED: {
    status: 503,
    retry: true,
    level: 'error',
    message: (p: { model: string; group: string; reason: string }) =>
      `The process of group '${p.group}' ended while ${p.model} ran in it: ${p.reason}. It is started again; send the request again.`,
  },
  ENDED_TWICE: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { model: string; group: string; reason: string }) =>
      `The process of group '${p.group}' ended twice while ${p.model} computed this request, the second time alone: ${p.reason}. The same inputs are likely to end it again.`,
  },
  DOWN: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: { model: string; group: string; reason: string; retryAfterMs: number }) =>
      `The process of group '${p.group}' that runs ${p.model} is being started again: ${p.reason}. Send the request again in ${p.retryAfterMs} ms.`,
  },
  LOAD_ENDED: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { model: string; group: string; reason: string }) =>
      `The process of group '${p.group}' ended while it loaded ${p.model}: ${p.reason}. If it was killed for memory, give it more; otherwise its runtime cannot take this model.`,
  },
  BACKEND_UNSUPPORTED: {
    status: 422,
    retry: false,
    level: 'error',
    message: (p: { model: string; backend: string }) =>
      `${p.model} asks for "isolation": "process", but a version of the kind '${p.backend}' runs nothing here that could be isolated. Leave it out of model.json.`,
  },
  CLOSED: {
    status: 503,
    retry: true,
    level: 'info',
    message: (p: { model: string }) =>
      `${p.model} was unloaded. Send the request again to reach the version that replaced it.`,
  },
})
