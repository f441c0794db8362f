// Errors as MLflow's client reads them: {error_code, message}. A client tries 408, 429 and 5xx again for minutes, so what is the caller's to
// mend is never one of those.
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { HeadraceError, toHeadraceError } from '../../core/index.js'
import type { Api } from '../api/route.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { errorHeaders } from '../reply.js'

const MISSING = 'RESOURCE_DOES_NOT_EXIST'
const EXISTS = 'RESOURCE_ALREADY_EXISTS'

/** MLflow's code and status for one of ours; others follow from their status. */
const KNOWN: Readonly<Record<string, readonly [string, number]>> = {
  TRACKING_EXPERIMENT_EXISTS: [EXISTS, 400],
  REGISTRY_MODEL_EXISTS: [EXISTS, 400],
  REGISTRY_VERSION_EXISTS: [EXISTS, 400],
  HTTP_NOT_FOUND: ['ENDPOINT_NOT_FOUND', 404],
  HTTP_METHOD_NOT_ALLOWED: ['ENDPOINT_NOT_FOUND', 405],
  HTTP_CONTENT_TYPE: ['INVALID_PARAMETER_VALUE', 400],
  HTTP_CONTENT_ENCODING: ['INVALID_PARAMETER_VALUE', 400],
  HTTP_BODY_TOO_LARGE: ['BAD_REQUEST', 413],
  STORE_RANGE_INVALID: ['INVALID_PARAMETER_VALUE', 416],
}

const BY_STATUS: Readonly<Record<number, string>> = {
  400: 'INVALID_PARAMETER_VALUE',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: MISSING,
  409: 'RESOURCE_CONFLICT',
  422: 'INVALID_PARAMETER_VALUE',
  429: 'RESOURCE_EXHAUSTED',
  501: 'NOT_IMPLEMENTED',
  503: 'TEMPORARILY_UNAVAILABLE',
}

export function answerAsMlflow(api: Api, context: ServerContext): void {
  api.setErrorHandler<FastifyError | HeadraceError>((error, request, reply) =>
    answerMlflowFailure(context, error, request, reply),
  )
}

/** Also for what is wrong before any of the routes is reached. */
export function answerMlflowFailure(
  { app }: ServerContext,
  error: FastifyError | HeadraceError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const failure = failureOf(error)
  if (failure.level === 'error') app.platform.logger.error({ err: failure, path: request.url }, failure.message)
  app.path.countError(failure.code)
  reply.hijack()
  const { raw } = reply
  if (raw.headersSent || raw.destroyed) return
  const [errorCode, status] = mlflowCode(failure)
  const headers = errorHeaders(failure, undefined, [])
  for (let i = 0; i < headers.length; i += 2) raw.setHeader(headers[i]!, headers[i + 1]!)
  // What is left of a body that nobody reads would be taken for the next request.
  if (!raw.req.complete) raw.setHeader('Connection', 'close')
  const body = JSON.stringify({ error_code: errorCode, message: `${failure.message} (${failure.code})` })
  raw.writeHead(status, { 'Content-Length': String(Buffer.byteLength(body)) })
  raw.end(body)
}

export function mlflowCode({ code, status }: HeadraceError): readonly [string, number] {
  const known = KNOWN[code]
  if (known) return known
  return [BY_STATUS[status] ?? (status < 500 ? 'BAD_REQUEST' : 'INTERNAL_ERROR'), status === 422 ? 400 : status]
}

function failureOf(error: FastifyError | HeadraceError): HeadraceError {
  if (error instanceof HeadraceError) return error
  if (error.statusCode !== undefined && error.statusCode < 500) return HttpErrors.MALFORMED({ reason: error.message })
  return toHeadraceError(error)
}
