import { defineErrors } from '../core/index.js'

export const RouteErrors = defineErrors('ROUTE', {
  INVALID: {
    status: 400,
    retry: false,
    level: 'warn',
    message: (p: { where: string; problem: string }) => `The route is not usable at ${p.where}: ${p.problem}.`,
  },
  DEADLINE_EXCEEDED: {
    status: 504,
    retry: true,
    level: 'info',
    message: (p: { leaf: string; atMs: number }) =>
      `The time for ${p.leaf} was over ${Math.round(p.atMs)} ms after the request started, without an answer. Send it again with a longer timeout or when the load is lower.`,
  },
  CIRCUIT_OPEN: {
    status: 503,
    retry: true,
    level: 'info',
    message: (p: { leaf: string; retryAfterMs: number }) =>
      `The circuit of ${p.leaf} is open because too many of its calls failed or were slow. It is tried again by itself; send the request again later.`,
  },
  NO_LAST_KNOWN: {
    status: 503,
    retry: true,
    level: 'info',
    message: (p: { endpoint: string }) =>
      `No earlier answer of endpoint "${p.endpoint}" to this request is kept. Turn on the endpoint's cache with staleMs above 0, or end the fallback with a constant.`,
  },
  COMBINE_MISMATCH: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { node: string; output: string; problem: string }) =>
      `The answers of the arms of "${p.node}" cannot be combined at output "${p.output}": ${p.problem}. Arms of an ensemble need outputs of the same names, datatypes and shapes.`,
  },
  CONSTANT_MISMATCH: {
    status: 500,
    retry: false,
    level: 'error',
    message: (p: { constant: string; output: string; problem: string }) =>
      `The constant "${p.constant}" does not fit the endpoint's outputs at "${p.output}": ${p.problem}.`,
  },
})
