// Our errors as gRPC's status codes and trailers. The code in `headrace-code` is the contract, as it is over HTTP.
import type { OutgoingHttpHeaders } from 'node:http2'
import type { HeadraceError } from '../../core/index.js'

export const Status = {
  OK: 0,
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const

const BY_HTTP_STATUS: Readonly<Record<number, number>> = {
  400: Status.INVALID_ARGUMENT,
  401: Status.UNAUTHENTICATED,
  403: Status.PERMISSION_DENIED,
  404: Status.NOT_FOUND,
  408: Status.DEADLINE_EXCEEDED,
  409: Status.ALREADY_EXISTS,
  // What gRPC's own libraries answer to a message over their limit.
  413: Status.RESOURCE_EXHAUSTED,
  415: Status.INVALID_ARGUMENT,
  416: Status.INVALID_ARGUMENT,
  422: Status.INVALID_ARGUMENT,
  429: Status.RESOURCE_EXHAUSTED,
  431: Status.RESOURCE_EXHAUSTED,
  499: Status.CANCELLED,
  501: Status.UNIMPLEMENTED,
  502: Status.UNAVAILABLE,
  503: Status.UNAVAILABLE,
  504: Status.DEADLINE_EXCEEDED,
}

/** KServe's client sends UNAVAILABLE again three times, so what cannot succeed unchanged is never that. */
export function statusOf(error: HeadraceError): number {
  const status = BY_HTTP_STATUS[error.status] ?? Status.INTERNAL
  return status === Status.UNAVAILABLE && !error.retry ? Status.FAILED_PRECONDITION : status
}

/** What ends a call that failed. */
export function errorTrailers(
  error: HeadraceError,
  id: string | undefined,
  flags: readonly string[],
): OutgoingHttpHeaders {
  const trailers: OutgoingHttpHeaders = {
    'grpc-status': statusOf(error),
    'grpc-message': percentEncode(error.message),
    'headrace-code': error.code,
  }
  const { retryAfterMs } = error.params
  // Clients with a retry policy wait for this long.
  if (typeof retryAfterMs === 'number') trailers['grpc-retry-pushback-ms'] = String(Math.ceil(retryAfterMs))
  if (id !== undefined) trailers['headrace-prediction-id'] = id
  if (flags.length > 0) trailers['headrace-flags'] = flags.join(', ')
  return trailers
}

/** Trailers have to fit into what clients take for headers, often 8 KiB; a character takes up to nine bytes. */
const MAX_CHARACTERS = 4096
const MAX_ENCODED_CHARACTERS = 700

/** UTF-8 with everything but printable ASCII, and `%` itself, as %XX. */
export function percentEncode(message: string): string {
  const isPlain = /^[ -$&-~]*$/.test(message)
  if (isPlain) return message.slice(0, MAX_CHARACTERS)
  let encoded = ''
  for (const byte of Buffer.from(message.slice(0, MAX_ENCODED_CHARACTERS)))
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  return encoded
}
