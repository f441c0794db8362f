// The hot path's face: body to tensors, one call to the path, reply. Small bodies are parsed here, large ones in the worker.
import type { Caller } from '../../access/index.js'
import { rowSchema } from '../../app/index.js'
import { toHeadraceError } from '../../core/index.js'
import { Prediction } from '../../path/index.js'
import { contentEncoding, inflate } from '../compression.js'
import { isBinaryType, isJsonType } from '../content-type.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { parsePredictRequest } from '../kserve-v1/index.js'
import { parseNativeRequest } from '../native/index.js'
import { type InferRequest, OipErrors, parseInferRequest } from '../oip/index.js'
import { PARSE_INLINE_MAX_BYTES, type Protocol } from '../parse-pool.js'
import type { PredictTarget } from '../target.js'
import { answer } from './answer.js'
import { parseBinaryRequest } from './binary.js'
import { admitCaller } from './caller.js'
import type { Exchange } from './exchange.js'
import { kserveParsed } from './kserve-v1.js'
import { predictNative } from './native.js'
import { oipParsed, replyForm } from './oip.js'
import { awake, type Destination, destination, type Parsed, predictionRequest } from './request.js'

/** Never rejects. */
export type PredictHandler = (exchange: Exchange, target: PredictTarget) => Promise<void>

export function createPredictHandler(context: ServerContext): PredictHandler {
  const { app, parsePool, intake, bodyLimitBytes } = context
  const { clock, logger } = app.platform

  return async (exchange, target) => {
    const arrivedMs = clock.monotonicMs()
    let heldBytes = 0
    try {
      const jsonBytes = checkHeaders(exchange, target.protocol)
      const encoding = contentEncoding(exchange.header('content-encoding'))
      const admitting = admitCaller(context, exchange.credentials, target.name)
      let caller: Caller | undefined
      let waking: Promise<void> | undefined
      let to: Destination | undefined
      if (admitting instanceof Promise) admitting.catch(() => {})
      else {
        caller = admitting
        waking = awake(context, target)
        if (waking === undefined) to = destination(context, target)
        // The body comes first; should it fail, nobody hears of the other.
        else waking.catch(() => {})
      }
      const reading = exchange.readBody(jsonBytes)
      let body = reading instanceof Uint8Array ? reading : await reading
      // One that came piece by piece has taken its room already.
      if (reading === body) intake.take(body.length)
      heldBytes = body.length
      if (encoding !== undefined) {
        body = await inflate(body, encoding, { limitBytes: bodyLimitBytes, intake, alignAt: jsonBytes ?? 0 })
        intake.give(heldBytes)
        heldBytes = body.length
      }
      if (caller === undefined) {
        // Nothing is woken for somebody who may not be let in.
        caller = await admitting
        waking = awake(context, target)
      }
      if (to === undefined) {
        await waking
        to = destination(context, target)
      }
      const isLarge = body.length > PARSE_INLINE_MAX_BYTES
      if (target.protocol === 'native') {
        const schema = to.features?.rows ?? rowSchema(to.reference)
        const native = isLarge ? await parsePool.parse('native', body, schema) : parseNativeRequest(body, schema)
        const { body: reply, error, id, flags } = await predictNative(context, exchange, arrivedMs, caller, to, native)
        if (reply === undefined) exchange.refuse(error!, id, flags)
        else await answer(exchange, reply, id, flags, undefined)
        return
      }
      let parsed: Parsed
      if (target.protocol === 'oip') {
        let infer: InferRequest
        if (jsonBytes !== undefined) infer = await parseBinaryRequest(context, body, jsonBytes, to.reference.signature)
        else {
          infer = isLarge ? await parsePool.parse('oip', body, undefined) : parseInferRequest(body)
          if (infer.binaryInputs.length > 0)
            throw OipErrors.BINARY_WITHOUT_HEADER({ input: infer.binaryInputs[0]!.name })
        }
        parsed = oipParsed(context, infer, target.name, to.features)
      } else {
        const schema = to.features?.rowsWithKeys ?? rowSchema(to.reference)
        const predict = isLarge ? await parsePool.parse('kserve-v1', body, schema) : parsePredictRequest(body, schema)
        parsed = kserveParsed(context, predict, to.features)
      }
      const prediction = new Prediction(predictionRequest(context, exchange, arrivedMs, caller, to, parsed))
      exchange.client.enter(prediction)
      await app.path.predict(prediction)
      exchange.client.leave(prediction)
      const { flags } = prediction
      if (prediction.error) exchange.refuse(prediction.error, prediction.id, flags)
      else {
        const form = target.protocol === 'oip' ? replyForm(prediction) : undefined
        const answering = answer(exchange, prediction.reply!, prediction.id, flags, form)
        if (answering !== undefined) await answering
      }
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

/** Bytes of JSON at the start of a body that has binary data too, or nothing else. Throws HTTP_… and OIP_HEADER_LENGTH. */
function checkHeaders(exchange: Exchange, protocol: Protocol): number | undefined {
  const contentType = exchange.header('content-type')
  const jsonLength = exchange.header('inference-header-content-length')
  const takesBinary = protocol === 'oip'
  if (jsonLength !== undefined && !takesBinary) throw HttpErrors.BINARY_TENSORS()
  // Some clients send none, and some call everything bytes; JSON is then assumed.
  if (contentType !== undefined && !isJsonType(contentType) && !(takesBinary && isBinaryType(contentType)))
    throw HttpErrors.CONTENT_TYPE({ contentType: contentType.slice(0, 100) })
  if (jsonLength === undefined) return undefined
  if (/^\d{1,15}$/.test(jsonLength)) return Number(jsonLength)
  throw OipErrors.HEADER_LENGTH({ arrived: jsonLength.slice(0, 40), bodyBytes: undefined })
}
