// What can go wrong in the parse pool itself; what is wrong with a body is reported by its protocol.
import { defineErrors } from '../core/index.js'

export const ParseErrors = defineErrors('PARSE', {
  QUEUE_FULL: {
    status: 429,
    retry: true,
    level: 'warn',
    message: (p: { sizeBytes: number; queuedBytes: number; limitBytes: number; retryAfterMs: number }) =>
      `${p.queuedBytes} bytes of large bodies are waiting to be parsed or written already, and these ${p.sizeBytes} would exceed the limit of ${p.limitBytes}. Try again later, or send less at once.`,
  },
  TOO_COMPLEX: {
    status: 413,
    retry: false,
    level: 'warn',
    message: (p: { limitMb: number }) =>
      `Reading or writing this body took more than ${p.limitMb} MB of memory. Send less at once: fewer rows, or fewer and longer strings.`,
  },
  WORKER_FAILED: {
    status: 503,
    retry: true,
    level: 'error',
    message: (p: { exitCode: number }) =>
      `The thread that reads and writes large bodies ended with exit code ${p.exitCode}. A new one starts by itself: try again.`,
  },
  CLOSED: {
    status: 503,
    retry: true,
    level: 'info',
    message: () => 'The server is shutting down. Try again: another one may answer.',
  },
})
