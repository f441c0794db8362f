// Turns whatever went wrong in the API into one of our errors, and a URL without a route into 404 or 405.
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { HeadraceError, toHeadraceError } from '../../core/index.js'
import { StoreErrors } from '../../store/index.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { answerMlflowFailure } from '../mlflow/failures.js'
import { sendError } from '../reply.js'
import type { Catalogue } from './catalogue.js'

const SHOWN_PATH_LENGTH = 200

/** What Fastify throws by itself, by its code; anything else of its with a status below 500 is a malformed request. */
const FASTIFY_ERRORS: Readonly<Record<string, (request: FastifyRequest) => HeadraceError>> = {
  FST_ERR_BAD_URL: ({ url }) => HttpErrors.BAD_PATH({ path: shownPath(url) }),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ({ headers }) =>
    HttpErrors.CONTENT_TYPE({ contentType: String(headers['content-type']).slice(0, 100) }),
}

export function answerFailure(
  context: ServerContext,
  error: FastifyError | HeadraceError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const failure = toFailure(error, request)
  if (request.url.startsWith('/mlflow/')) {
    answerMlflowFailure(context, failure, request, reply)
    return
  }
  const { app } = context
  if (failure.level === 'error') app.platform.logger.error({ err: failure, path: request.url }, failure.message)
  app.path.countError(failure.code)
  reply.hijack()
  sendError(reply.raw, failure)
}

function toFailure(error: FastifyError | HeadraceError, request: FastifyRequest): HeadraceError {
  if (error instanceof HeadraceError) return error
  const known = FASTIFY_ERRORS[error.code]
  if (known) return known(request)
  if (error.code === 'ENOSPC') return StoreErrors.FULL({ file: 'the data folder' }, error)
  if (error.statusCode !== undefined && error.statusCode < 500) return HttpErrors.MALFORMED({ reason: error.message })
  return toHeadraceError(error)
}

/** A wrong method on a path that exists is 405 with Allow; the rest is 404. */
export function noSuchRoute(catalogue: Catalogue, { method, url }: FastifyRequest): HeadraceError {
  const path = shownPath(url)
  const allow = catalogue.allowed(url)
  return allow.length === 0 || allow.includes(method)
    ? HttpErrors.NOT_FOUND({ method, path })
    : HttpErrors.METHOD_NOT_ALLOWED({ method, path, allow: allow.join(', ') })
}

function shownPath(url: string): string {
  return url.split('?', 1)[0]!.slice(0, SHOWN_PATH_LENGTH)
}
