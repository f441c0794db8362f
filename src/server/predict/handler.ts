// The hot path's face: body to tensors, one call to the path, reply. Small bodies are parsed here, large ones in the worker.
import { rowSchema } from '../../app/index.js'
import { toHeadraceError } from '../../core/index.js'
import { Prediction } from '../../path/index.js'
import { isJsonType } from '../content-type.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { parsePredictRequest } from '../kserve-v1/index.js'
import { parseNativeRequest } from '../native/index.js'
import { parseInferRequest } from '../oip/index.js'
import { PARSE_INLINE_MAX_BYTES } from '../parse-pool.js'
import type { PredictTarget } from '../target.js'
import type { Exchange } from './exchange.js'
import { kserveParsed } from './kserve-v1.js'
import { predictNative } from './native.js'
import { oipParsed } from './oip.js'
import { awake, destination, type Parsed, predictionRequest } from './request.js'

/** Never rejects. */
export type PredictHandler = (exchange: Exchange, target: PredictTarget) => Promise<void>

export function createPredictHandler(context: ServerContext): PredictHandler {
  const { app, parsePool, intake } = context
  const { clock, logger } = app.platform

  return async (exchange, target) => {
    const arrivedMs = clock.monotonicMs()
    let heldBytes = 0
    try {
      checkHeaders(exchange)
      const waking = awake(context, target)
      if (waking !== undefined) await waking
      const to = destination(context, target)
      const reading = exchange.readBody()
      const body = reading instanceof Uint8Array ? reading : await reading
      // One that came piece by piece has taken its room already.
      if (reading === body) intake.take(body.length)
      heldBytes = body.length
      const isLarge = body.length > PARSE_INLINE_MAX_BYTES
      if (target.protocol === 'native') {
        const schema = rowSchema(to.reference)
        const native = isLarge ? await parsePool.parse('native', body, schema) : parseNativeRequest(body, schema)
        const answer = await predictNative(context, exchange, arrivedMs, to, native)
        if (answer.body === undefined) exchange.refuse(answer.error!, answer.id, answer.flags)
        else exchange.answer(answer.body, answer.id, answer.flags)
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
      const prediction = new Prediction(predictionRequest(context, exchange, arrivedMs, to, parsed))
      exchange.client.enter(prediction)
      await app.path.predict(prediction)
      exchange.client.leave(prediction)
      const { flags } = prediction
      if (prediction.error) exchange.refuse(prediction.error, prediction.id, flags)
      else exchange.answer(prediction.reply!, prediction.id, flags)
    } catch (error) {
      // Refused before it became a prediction: nothing to record, only to count.
      const failure = toHeadraceError(error)
      if (failure.level === 'error') logger.error({ err: failure, path: exchange.url }, failure.message)
      app.path.countError(failure.code)
      exchange.refuse(failure)
    } finally {
      intake.give(heldBytes)
    }
  }
}

function checkHeaders(exchange: Exchange): void {
  const contentType = exchange.header('content-type')
  const isBinary = exchange.header('inference-header-content-length') !== undefined
  // Some clients send none; JSON is then assumed.
  if (contentType !== undefined && !isJsonType(contentType)) {
    if (isBinary) throw HttpErrors.BINARY_TENSORS()
    throw HttpErrors.CONTENT_TYPE({ contentType: contentType.slice(0, 100) })
  }
  const encoding = exchange.header('content-encoding')
  if (encoding !== undefined && encoding !== 'identity')
    throw HttpErrors.CONTENT_ENCODING({ encoding: encoding.slice(0, 100) })
  if (isBinary) throw HttpErrors.BINARY_TENSORS()
}
