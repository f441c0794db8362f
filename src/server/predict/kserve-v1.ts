// A KServe version 1 request as a prediction; the reply takes the form of the request, rows or columns.
import type { EndpointFeatures, Prediction } from '../../path/index.js'
import type { ServerContext } from '../context.js'
import { encodePredictResponse, type PredictRequest } from '../kserve-v1/index.js'
import { orderOutputs } from '../oip/index.js'
import { estimateReplyBytes, PARSE_INLINE_MAX_BYTES } from '../parse-pool.js'
import { givenColumns } from './given.js'
import type { Parsed } from './request.js'

interface KserveWire {
  readonly context: ServerContext
  readonly form: PredictRequest['form']
}

export function kserveParsed(
  context: ServerContext,
  request: PredictRequest,
  features: EndpointFeatures | undefined,
): Parsed {
  const wire: KserveWire = { context, form: request.form }
  return {
    protocol: 'kserve-v1',
    tensors: request.inputs,
    given: features && givenColumns(features, request.rows, request.columns!),
    givenRow: undefined,
    rawInputs: undefined,
    outputs: undefined,
    unit: undefined,
    timeoutMs: undefined,
    priority: undefined,
    metadata: undefined,
    shaper: shapeKserve,
    wire,
  }
}

function shapeKserve(prediction: Prediction): void | Promise<void> {
  const { context, form } = prediction.wire as KserveWire
  const outputs = orderOutputs(prediction.answer!, undefined, prediction.served!.signature)
  const response = { form, rows: prediction.rows, outputs }
  if (estimateReplyBytes(outputs) > PARSE_INLINE_MAX_BYTES) {
    return context.parsePool.encode('kserve-v1', response).then(({ body }) => {
      prediction.reply = body
    })
  }
  prediction.reply = encodePredictResponse(response)
}
