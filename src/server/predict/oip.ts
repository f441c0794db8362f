// An Open Inference Protocol infer request as a prediction: one prediction with one unit and `rows: n`.
import type { Prediction } from '../../path/index.js'
import type { Priority } from '../../serving/index.js'
import type { ServerContext } from '../context.js'
import { encodeInferResponse, type InferRequest, identityOf, orderOutputs } from '../oip/index.js'
import { estimateReplyBytes, PARSE_INLINE_MAX_BYTES } from '../parse-pool.js'
import type { Parsed } from './request.js'

interface OipWire {
  readonly context: ServerContext
  /** As the caller named it. */
  readonly modelName: string
  readonly requestId: string | undefined
}

export function oipParsed(context: ServerContext, request: InferRequest, modelName: string): Parsed {
  const { parameters } = request
  const { timeout } = parameters
  const wire: OipWire = { context, modelName, requestId: request.id }
  return {
    protocol: 'oip',
    tensors: request.inputs,
    rawInputs: request.rawInputs,
    outputs: request.outputs,
    unit: identityOf(parameters).unit,
    // Triton's parameter is in microseconds; 0 means none.
    timeoutMs: typeof timeout === 'number' && timeout > 0 ? timeout / 1000 : undefined,
    priority: priorityOf(parameters['priority']),
    metadata: parameters,
    shaper: shapeOip,
    wire,
  }
}

/** Triton's parameter: 1 comes first, larger numbers later, 0 is the default. */
function priorityOf(parameter: string | number | boolean | undefined): Priority | undefined {
  if (typeof parameter !== 'number' || !(parameter >= 1)) return undefined
  return parameter < 2 ? 'high' : parameter < 3 ? 'normal' : 'low'
}

function shapeOip(prediction: Prediction): void | Promise<void> {
  const { context, modelName, requestId } = prediction.wire as OipWire
  const served = prediction.served!
  const { flags } = prediction
  const response = {
    modelName,
    modelVersion: String(served.ref.version),
    id: requestId,
    parameters: flags.length === 0 ? undefined : { headrace_flags: flags.join(', ') },
    outputs: orderOutputs(prediction.answer!, prediction.outputs, served.signature),
  }
  if (estimateReplyBytes(prediction.answer!) > PARSE_INLINE_MAX_BYTES) return shapeLarge(prediction, context, response)
  const { text, rawOutputs } = encodeInferResponse(response)
  prediction.reply = text
  prediction.rawOutputs = rawOutputs
}

async function shapeLarge(
  prediction: Prediction,
  { parsePool }: ServerContext,
  response: Parameters<typeof encodeInferResponse>[0],
): Promise<void> {
  const { body, rawOutputs } = await parsePool.encode('oip', response)
  prediction.reply = body
  prediction.rawOutputs = rawOutputs
}
