// Every way serving can fail, whatever the backend; what only one backend knows is in that backend's own table.
import { defineErrors } from '../core/index.js'

export const ServingErrors = defineErrors('SERVING', {
  MODEL_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    // Triton's clients look for the first four words.
    message: (p: { model: string; known: readonly string[] }) =>
      `Request for unknown model: '${p.model}' is not found. ${p.known.length === 0 ? 'No model is loaded.' : `The models here are ${p.known.slice(0, 20).join(', ')}.`}`,
  },
  VERSION_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    message: (p: { model: string; version: number; known: readonly number[] }) =>
      `Request for unknown model: '${p.model}' version ${p.version} is not found. Its versions here are ${p.known.slice(-20).join(', ')}.`,
  },
  MODEL_UNREADY: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: { model: string; version: number; reason: string; retryAfterMs: number }) =>
      `Model '${p.model}' version ${p.version} is not ready: ${withoutStop(p.reason)}. Send the request again later.`,
  },
  QUEUE_FULL: {
    status: 429,
    retry: true,
    level: 'warn',
    message: (p: { model: string; rows: number; waitingRows: number; maxQueueRows: number; retryAfterMs: number }) =>
      `The queue of model '${p.model}' is full: ${p.waitingRows} rows wait, ${p.rows} arrived, the limit is ${p.maxQueueRows}. Send the request again in ${p.retryAfterMs} ms, or raise batching.maxQueueRows.`,
  },
  OVERLOADED: {
    status: 429,
    retry: true,
    level: 'warn',
    message: (p: { model: string; expectedMs: number; leftMs: number; retryAfterMs: number }) =>
      `Model '${p.model}' is busy: the answer would take about ${p.expectedMs} ms and ${p.leftMs} ms are left until the deadline. Send the request again in ${p.retryAfterMs} ms, with a longer timeout or a higher priority.`,
  },
  DISPLACED: {
    status: 429,
    retry: true,
    level: 'warn',
    message: (p: { model: string; retryAfterMs: number }) =>
      `The queue of model '${p.model}' is full, and this request gave its place to one of higher priority. Send it again in ${p.retryAfterMs} ms.`,
  },
  DEADLINE_EXCEEDED: {
    status: 504,
    retry: true,
    level: 'info',
    message: (p: { model: string; version: number; waitedMs: number; phase: 'queued' | 'running' | 'loading' }) =>
      `The deadline passed after ${p.waitedMs} ms at model '${p.model}' version ${p.version}, while the ${p.phase === 'loading' ? 'version was being loaded' : `request was ${p.phase}`}. Send it again with a longer timeout or when the load is lower.`,
  },
  CANCELLED: {
    status: 499,
    retry: false,
    level: 'debug',
    message: (p: { model: string }) => `The caller went away before model '${p.model}' ran.`,
  },
  RUN_TIMEOUT: {
    status: 504,
    retry: true,
    level: 'error',
    message: (p: { model: string; version: number; timeoutMs: number; rows: number }) =>
      `A run of model '${p.model}' version ${p.version} with ${p.rows} rows took longer than its limit of ${p.timeoutMs} ms and was abandoned. Raise timeoutMs in model.json if such runs are expected.`,
  },
  RUN_FAILED: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { model: string; version: number; detail: string }) =>
      `Model '${p.model}' version ${p.version} failed on this input: ${p.detail}`,
  },
  OUTPUT_MISMATCH: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { model: string; version: number; output: string; detail: string }) =>
      `Model '${p.model}' version ${p.version} answered with an output '${p.output}' that does not match its signature: ${p.detail}.`,
  },
  PADDING_INVALID: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { model: string; detail: string }) =>
      `The rules in batching.padding do not fit model '${p.model}': ${p.detail}. Correct model.json.`,
  },
  LENGTHS_DIFFER: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { first: string; length: number; input: string; arrived: number }) =>
      `The inputs of one request have one length, and '${p.first}' is ${p.length} long while '${p.input}' is ${p.arrived} long.`,
  },
  BACKEND_UNKNOWN: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { model: string; version: number; backend: string; known: readonly string[] }) =>
      `Model '${p.model}' version ${p.version} asks for the backend '${p.backend}', which this server does not have. It has: ${p.known.join(', ')}.`,
  },
  LOAD_FAILED: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { model: string; version: number; detail: string }) =>
      `failed to load '${p.model}' version ${p.version}: ${p.detail}`,
  },
  WARMUP_FAILED: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { model: string; version: number; detail: string }) =>
      `failed to load '${p.model}' version ${p.version}: its test prediction failed: ${p.detail} Check the warmup rows in model.json.`,
  },
  POOL_FULL: {
    status: 503,
    retry: true,
    level: 'warn',
    message: (p: {
      model: string
      version: number
      sizeMb: number
      budgetMb: number
      retryAfterMs: number
      /** Loads that wait already, when it is they and not the memory. */
      waiting?: number
    }) =>
      p.waiting === undefined
        ? `There is no room for model '${p.model}' version ${p.version} now: it needs ${p.sizeMb} MB of ${p.budgetMb} MB, and the versions that are loaded are in use. Send the request again in ${p.retryAfterMs} ms, or raise serving.pool.budgetMb.`
        : `Model '${p.model}' version ${p.version} is not loaded, and ${p.waiting} others wait to be loaded before it. Send the request again in ${p.retryAfterMs} ms.`,
  },
  MODEL_TOO_LARGE: {
    status: 507,
    retry: false,
    level: 'error',
    message: (p: { model: string; version: number; sizeMb: number; budgetMb: number }) =>
      `Model '${p.model}' version ${p.version} is too large for this server: it needs ${p.sizeMb} MB, and its share of the memory for models is ${p.budgetMb} MB. Raise serving.pool.budgetMb, or serve it elsewhere.`,
  },
  RESERVATIONS_TOO_LARGE: {
    status: 400,
    retry: false,
    level: 'error',
    message: (p: { reservedMb: number; budgetMb: number }) =>
      `serving.pool.reservations keeps ${p.reservedMb} MB, which is more than the ${p.budgetMb} MB that all models may use. Raise serving.pool.budgetMb, or reserve less.`,
  },
  CACHE_SWITCH_INVALID: {
    status: 400,
    retry: false,
    level: 'info',
    message: (p: { problem: string }) =>
      `A change of kind "cache.switch" names an endpoint and says whether its cache is enabled: ${p.problem}.`,
  },
  VERSION_CHANGED: {
    status: 409,
    retry: false,
    level: 'warn',
    message: (p: { model: string; version: number; served: string; arrived: string }) =>
      `Model '${p.model}' version ${p.version} is served with digest ${p.served}; files with digest ${p.arrived} were refused. Versions are immutable: publish them under a new number.`,
  },
})

/** A reason may be a sentence already. */
function withoutStop(reason: string): string {
  return reason.replace(/\.$/, '')
}
