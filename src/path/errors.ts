import { defineErrors, didYouMean } from '../core/index.js'

export const PathErrors = defineErrors('PATH', {
  ENDPOINT_NOT_FOUND: {
    status: 404,
    retry: false,
    level: 'info',
    // Triton's clients look for the first words.
    message: (p: { name: string; known: readonly string[] }) =>
      `Request for unknown model: "${p.name}" is neither an endpoint nor a model here. ${remedy(p.name, p.known)}`,
  },
  OVERLOADED: {
    status: 429,
    retry: true,
    level: 'warn',
    message: (p: { inFlight: number; limit: number; priority: string; retryAfterMs: number }) =>
      `The server is full: ${p.inFlight} predictions are in flight, and those of ${p.priority} priority are taken below ${p.limit}. Send the request again in ${p.retryAfterMs} ms, or raise server.maxInFlight.`,
  },
  VERSION_UNFIT: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { model: string; version: number; problem: string }) =>
      `Version ${p.version} of model '${p.model}' cannot take what its route gives it: ${p.problem} Take it out of the route, or give it the inputs that the route's first version has.`,
  },
  DRAINING: {
    status: 503,
    retry: true,
    level: 'info',
    message: (_: { retryAfterMs: number }) =>
      'The server is shutting down and takes no new requests. Send the request to another replica, or again later.',
  },
})

function remedy(name: string, known: readonly string[]): string {
  if (known.length === 0) return 'No model is loaded; put one in the models folder.'
  const near = didYouMean(name, known)
  return near === undefined ? `Known: ${known.slice(0, 20).join(', ')}.` : `Did you mean "${near}"?`
}
