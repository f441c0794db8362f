// Errors as Feast's client reads them: a JSON string that holds JSON, with the class that it raises. Our code is at the end of the message.
import type { FastifyError, FastifyReply } from 'fastify'
import { HeadraceError, toHeadraceError } from '../../core/index.js'
import type { Api } from '../api/route.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { errorHeaders, sendJson } from '../reply.js'

/** Of feast.errors; everything else is its FeastError. */
const CLASS_OF: Readonly<Record<string, string>> = {
  FEATURE_VIEW_UNKNOWN: 'FeatureViewNotFoundException',
  FEATURE_SERVICE_UNKNOWN: 'FeatureServiceNotFoundException',
  FEATURE_SOURCE_UNKNOWN: 'PushSourceNotFoundException',
  FEATURE_KEY_UNKNOWN: 'EntityNotFoundException',
  FEATURE_REQUEST_MISSING: 'RequestDataNotFoundInEntityRowsException',
  FEAST_FEATURE_UNKNOWN: 'SpecifiedFeaturesNotPresentError',
  FEAST_NAMES_CLASH: 'FeatureNameCollisionError',
  FEAST_VIEW_VERSION: 'FeatureViewVersionNotFound',
}

export function answerAsFeast(api: Api, { app }: ServerContext): void {
  api.setErrorHandler<FastifyError | HeadraceError>((error, request, reply) => {
    const failure = failureOf(error)
    if (failure.level === 'error') app.platform.logger.error({ err: failure, path: request.url }, failure.message)
    app.path.countError(failure.code)
    sendFailure(reply, failure)
  })
}

function sendFailure(reply: FastifyReply, error: HeadraceError): void {
  const { code, message, status } = error
  const detail = JSON.stringify({
    module: 'feast.errors',
    class: CLASS_OF[code] ?? 'FeastError',
    message: `${message} (${code})`,
  })
  reply.hijack()
  const headers = errorHeaders(error, undefined, [])
  for (let i = 0; i < headers.length; i += 2) reply.raw.setHeader(headers[i]!, headers[i + 1]!)
  sendJson(reply.raw, status, JSON.stringify(detail))
}

function failureOf(error: FastifyError | HeadraceError): HeadraceError {
  if (error instanceof HeadraceError) return error
  if (error.statusCode !== undefined && error.statusCode < 500) return HttpErrors.MALFORMED({ reason: error.message })
  return toHeadraceError(error)
}
