// An Open Inference Protocol infer request as a prediction: one prediction with one unit and `rows: n`.
import type { EndpointFeatures, Prediction } from '../../path/index.js'
import type { Priority } from '../../serving/index.js'
import { binarySizeBytes, binaryTensorInTurns, type Tensor, type TensorMap } from '../../tensor/index.js'
import type { ServerContext } from '../context.js'
import {
  classify,
  encodeInferResponse,
  type InferRequest,
  type InferResponse,
  identityOf,
  type OutputForms,
  orderOutputs,
  outputForms,
} from '../oip/index.js'
import { estimateReplyBytes, PARSE_INLINE_MAX_BYTES } from '../parse-pool.js'
import type { ReplyForm } from './exchange.js'
import { givenTensors } from './given.js'
import type { Parsed } from './request.js'

interface OipWire {
  readonly context: ServerContext
  /** As the caller named it. */
  readonly modelName: string
  readonly requestId: string | undefined
  /** Undefined: all outputs whole and as JSON. */
  readonly forms: OutputForms | undefined
  /** Of the shaped reply, when there is more to it than JSON. */
  replyForm: ReplyForm | undefined
}

/** What the reply of a prediction has beside its JSON. */
export function replyForm(prediction: Prediction): ReplyForm | undefined {
  return (prediction.wire as OipWire).replyForm
}

export function oipParsed(
  context: ServerContext,
  request: InferRequest,
  modelName: string,
  features: EndpointFeatures | undefined,
): Parsed {
  const { parameters } = request
  const { timeout } = parameters
  const identity = identityOf(parameters)
  const wire: OipWire = {
    context,
    modelName,
    requestId: request.id,
    forms: outputForms(request),
    replyForm: undefined,
  }
  return {
    protocol: 'oip',
    tensors: features === undefined ? request.inputs : NO_TENSORS,
    given: features && givenTensors(features, request.inputs, identity.entities),
    givenRow: undefined,
    rawInputs: features === undefined ? request.rawInputs : undefined,
    outputs: request.outputs,
    unit: identity.unit,
    // Triton's parameter is in microseconds; 0 means none.
    timeoutMs: typeof timeout === 'number' && timeout > 0 ? timeout / 1000 : undefined,
    priority: priorityOf(parameters['priority']),
    metadata: parameters,
    shaper: shapeOip,
    wire,
  }
}

const NO_TENSORS: TensorMap = new Map()

/** Triton's parameter: 1 comes first, larger numbers later, 0 is the default. */
export function priorityOf(parameter: string | number | boolean | undefined): Priority | undefined {
  if (typeof parameter !== 'number' || !(parameter >= 1)) return undefined
  return parameter < 2 ? 'high' : parameter < 3 ? 'normal' : 'low'
}

function shapeOip(prediction: Prediction): void | Promise<void> {
  const wire = prediction.wire as OipWire
  const { context, modelName, requestId, forms } = wire
  const served = prediction.served!
  const { flags } = prediction
  const outputs = orderOutputs(prediction.answer!, prediction.outputs, served.signature)
  const response: InferResponse = {
    modelName,
    modelVersion: String(served.ref.version),
    id: requestId,
    parameters: flags.length === 0 ? undefined : { headrace_flags: flags.join(', ') },
    outputs,
  }
  if (forms !== undefined) return shapeFormed(prediction, wire, forms, response)
  if (estimateReplyBytes(outputs) > PARSE_INLINE_MAX_BYTES) return shapeLarge(prediction, context, response)
  const { text, rawOutputs } = encodeInferResponse(response)
  prediction.reply = text
  prediction.rawOutputs = rawOutputs
}

async function shapeLarge(
  prediction: Prediction,
  { parsePool }: ServerContext,
  response: InferResponse,
): Promise<void> {
  const { body, rawOutputs } = await parsePool.encode('oip', response)
  prediction.reply = body
  prediction.rawOutputs = rawOutputs
}

/** Up to here a reply's tensors are copied behind its JSON; larger ones are sent from where they stand. */
const COPIED_BYTES = 16 * 1024

/** The data of an output that is not in the JSON. */
const NO_DATA = new Uint8Array(0)

/** A reply some of whose outputs are binary, or their largest elements only. */
async function shapeFormed(
  prediction: Prediction,
  wire: OipWire,
  forms: OutputForms,
  response: InferResponse,
): Promise<void> {
  const { labels, signature } = prediction.served!
  const outputs: Tensor[] = []
  const binarySizes: (number | undefined)[] = []
  const parts: Uint8Array[] = []
  let binaryBytes = 0
  let isWhole = true
  for (const output of response.outputs) {
    const { isBinary, classes } = forms.byName.get(output.name) ?? forms.others
    const tensor = classes === 0 ? output : classify(output, classes, labels, signature.batchAxis === 0)
    isWhole &&= classes === 0
    const sizeBytes = isBinary ? binarySizeBytes(tensor) : undefined
    binarySizes.push(sizeBytes)
    outputs.push(sizeBytes === undefined ? tensor : { ...tensor, data: NO_DATA })
    if (sizeBytes === undefined || sizeBytes === 0) continue
    binaryBytes += sizeBytes
    parts.push(await binaryTensorInTurns(tensor))
  }
  const isMixed = binarySizes.some((size) => size !== undefined)
  const formed = { ...response, outputs, binarySizes: isMixed ? binarySizes : undefined }
  if (estimateReplyBytes(outputs) > PARSE_INLINE_MAX_BYTES) {
    await shapeLarge(prediction, wire.context, formed)
  } else {
    const { text, rawOutputs } = encodeInferResponse(formed)
    prediction.reply = text
    prediction.rawOutputs = rawOutputs
  }
  // The log wants what the model said.
  if (!isWhole) prediction.rawOutputs = undefined
  if (binaryBytes === 0) return
  const json = prediction.reply!
  const jsonBytes = typeof json === 'string' ? Buffer.byteLength(json) : json.length
  const isSmall = jsonBytes + binaryBytes <= COPIED_BYTES
  if (isSmall) prediction.reply = joined(json, jsonBytes, parts, binaryBytes)
  wire.replyForm = { jsonBytes, encoding: undefined, parts: isSmall ? [] : parts }
}

function joined(json: string | Uint8Array, jsonBytes: number, parts: readonly Uint8Array[], binaryBytes: number) {
  const whole = Buffer.allocUnsafe(jsonBytes + binaryBytes)
  if (typeof json === 'string') whole.write(json)
  else whole.set(json)
  let at = jsonBytes
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
