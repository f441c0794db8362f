// The hot path's face: body to tensors, one call to the path, reply. Small bodies are parsed here, large ones in the worker.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { rowSchema } from '../../app/index.js'
import { toHeadraceError } from '../../core/index.js'
import { Prediction } from '../../path/index.js'
import { readBody } from '../body.js'
import { isJsonType } from '../content-type.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { parsePredictRequest } from '../kserve-v1/index.js'
import { parseNativeRequest } from '../native/index.js'
import { parseInferRequest } from '../oip/index.js'
import { PARSE_INLINE_MAX_BYTES } from '../parse-pool.js'
import { sendError, sendJson } from '../reply.js'
import type { PredictTarget } from '../target.js'
import { Connection } from './connection.js'
import { kserveParsed } from './kserve-v1.js'
import { predictNative } from './native.js'
import { oipParsed } from './oip.js'
import { destination, type Parsed, predictionRequest } from './request.js'

export type PredictHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  target: PredictTarget,
) => Promise<void>

export function createPredictHandler(context: ServerContext): PredictHandler {
  const { app, parsePool, bodyLimitBytes } = context
  const { clock, logger } = app.platform

  return async (request, response, target) => {
    const arrivedMs = clock.monotonicMs()
    const connection = Connection.of(request.socket)
    try {
      checkHeaders(request)
      const to = destination(context, target)
      const body = await readBody(request, bodyLimitBytes)
      const isLarge = body.length > PARSE_INLINE_MAX_BYTES
      if (target.protocol === 'native') {
        const schema = rowSchema(to.reference)
        const native = isLarge ? await parsePool.parse('native', body, schema) : parseNativeRequest(body, schema)
        const answer = await predictNative(context, request, arrivedMs, to, native, connection)
        if (answer.body === undefined) sendError(response, answer.error!, answer.id)
        else sendJson(response, 200, answer.body, answer.id)
        return
      }
      let parsed: Parsed
      if (target.protocol === 'oip') {
        const infer = isLarge ? await parsePool.parse('oip', body, undefined) : parseInferRequest(body)
        parsed = oipParsed(context, infer, target.name)
      } else {
        const schema = rowSchema(to.reference)
        const predict = isLarge ? await parsePool.parse('kserve-v1', body, schema) : parsePredictRequest(body, schema)
        parsed = kserveParsed(context, predict)
      }
      const prediction = new Prediction(predictionRequest(context, request, arrivedMs, to, parsed))
      connection.enter(prediction)
      await app.path.predict(prediction)
      connection.leave(prediction)
      if (prediction.error) sendError(response, prediction.error, prediction.id)
      else sendJson(response, 200, prediction.reply!, prediction.id)
    } catch (error) {
      // Refused before it became a prediction: nothing to record, only to count.
      const failure = toHeadraceError(error)
      if (failure.level === 'error') logger.error({ err: failure, path: request.url }, failure.message)
      app.path.countError(failure.code)
      sendError(response, failure)
    }
  }
}

function checkHeaders(request: IncomingMessage): void {
  const { headers } = request
  const contentType = headers['content-type']
  // Some clients send none; JSON is then assumed.
  if (contentType !== undefined && !isJsonType(contentType)) {
    if (headers['inference-header-content-length'] !== undefined) throw HttpErrors.BINARY_TENSORS()
    throw HttpErrors.CONTENT_TYPE({ contentType: contentType.slice(0, 100) })
  }
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity')
    throw HttpErrors.CONTENT_ENCODING({ encoding: encoding.slice(0, 100) })
  if (headers['inference-header-content-length'] !== undefined) throw HttpErrors.BINARY_TENSORS()
}
