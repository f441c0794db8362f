// ModelInfer: a message to tensors, one call to the path, the reply. The same path as over HTTP: routes, cache, log and metrics
// know nothing of gRPC.
import { type HeadraceError, toHeadraceError } from '../../core/index.js'
import { Prediction } from '../../path/index.js'
import {
  BINARY_INLINE_BYTES,
  checkedCount,
  datatypeNamed,
  MAX_STRINGS,
  readBinaryTensor,
  readBinaryTensorInTurns,
  readTypedContents,
  type Tensor,
  TensorErrors,
  type TensorMap,
  tensorMap,
} from '../../tensor/index.js'
import type { ServerContext } from '../context.js'
import { classCount, classify, identityOf, OipErrors, orderOutputs, refuseSequence } from '../oip/index.js'
import { admitCaller } from '../predict/caller.js'
import { givenTensors } from '../predict/given.js'
import { priorityOf } from '../predict/oip.js'
import { awake, destination, predictionRequest } from '../predict/request.js'
import type { PredictTarget } from '../target.js'
import type { Call, GrpcMethod } from './call.js'
import { CONTENTS_INLINE_BYTES, decodeContents, decodeContentsInTurns } from './contents.js'
import { GrpcErrors } from './errors.js'
import {
  encodeRawReply,
  encodeRawReplyInTurns,
  encodeTypedReply,
  hasTypedForm,
  RAW_INLINE_BYTES,
} from './infer-reply.js'
import { decodeInferRequest, type WireInferRequest, type WireInput, type WireOutput } from './infer-request.js'
import { versionNumber } from './version.js'

/** So many strings are read within 2 ms. */
const STRINGS_INLINE = 16_384

/** What the reply needs of the request. */
interface GrpcWire {
  readonly modelName: string
  readonly requestId: string
  /** The request had its data in `contents`: the reply has so too, where it can. */
  readonly isTyped: boolean
  /** How many of the largest elements are wanted in place of an output; undefined when no output is wanted so. */
  readonly classes: ReadonlyMap<string, number> | undefined
  /** The field of a stream's reply that this one goes into. */
  readonly wrapTag: number | undefined
}

/** A message of which there is a prediction, or why there is none. */
export interface Inferred {
  readonly requestId: string
  readonly outcome: Prediction | HeadraceError
}

export function inferMethod(context: ServerContext): Omit<GrpcMethod, 'path'> {
  return {
    takesMany: false,
    message: (call, message) => void inferUnary(context, call, message),
  }
}

async function inferUnary(context: ServerContext, call: Call, message: Buffer): Promise<void> {
  const { outcome } = await infer(context, call, call.arrivedMs, message, undefined)
  if (!(outcome instanceof Prediction)) call.refuse(outcome)
  else if (outcome.error) call.fail(outcome.error, outcome.id, outcome.flags)
  else call.reply(outcome.reply as Buffer, outcome.id, outcome.flags)
}

/** Never rejects. `arrivedMs`: when the message came; `wrapTag`: see GrpcWire. */
export async function infer(
  context: ServerContext,
  call: Call,
  arrivedMs: number,
  message: Buffer,
  wrapTag: number | undefined,
): Promise<Inferred> {
  let requestId = ''
  try {
    const request = decodeInferRequest(message)
    requestId = request.id
    const target: PredictTarget = {
      protocol: 'oip',
      name: request.modelName,
      version: versionNumber(request.modelVersion),
    }
    const admitting = admitCaller(context, call.credentials, target.name)
    const caller = admitting instanceof Promise ? await admitting : admitting
    const waking = awake(context, target)
    if (waking !== undefined) await waking
    const to = destination(context, target)
    refuseSequence(request.parameters)
    const isTyped = checkForm(request)
    const strings = countStrings(request)
    const isSmall =
      strings <= STRINGS_INLINE && message.length <= (isTyped ? CONTENTS_INLINE_BYTES : BINARY_INLINE_BYTES)
    const reading = isSmall ? readInputs(request) : readInputsInTurns(request)
    const tensors = reading instanceof Promise ? await reading : reading
    const { parameters } = request
    const identity = identityOf(parameters)
    const wire: GrpcWire = {
      modelName: request.modelName,
      requestId,
      isTyped,
      classes: wantedClasses(request.outputs),
      wrapTag,
    }
    const prediction = new Prediction(
      predictionRequest(context, call, arrivedMs, caller, to, {
        protocol: 'oip-grpc',
        tensors: to.features === undefined ? tensors : NO_TENSORS,
        given: to.features && givenTensors(to.features, tensors, identity.entities),
        givenRow: undefined,
        rawInputs: undefined,
        outputs: wantedNames(request.outputs),
        unit: identity.unit,
        timeoutMs: shortest(parameters['timeout'], call, arrivedMs),
        priority: priorityOf(parameters['priority']),
        metadata: parameters,
        shaper: shapeInfer,
        wire,
      }),
    )
    call.enter(prediction)
    await context.app.path.predict(prediction)
    call.leave(prediction)
    return { requestId, outcome: prediction }
  } catch (error) {
    return { requestId, outcome: toHeadraceError(error) }
  }
}

/** True for data in `contents`. Throws GRPC_CONTENTS_INVALID when it does not come in one form for all inputs. */
function checkForm({ inputs, raw }: WireInferRequest): boolean {
  let isTyped = false
  for (let i = 0; i < inputs.length; i++) {
    const { name, contents, parameters } = inputs[i]!
    if (parameters['shared_memory_region'] !== undefined) throw OipErrors.SHARED_MEMORY_UNSUPPORTED({ tensor: name })
    if (contents === undefined || contents.length === 0) continue
    isTyped = true
    if (raw.length > 0)
      throw GrpcErrors.CONTENTS_INVALID({ problem: `input "${name}" has contents beside raw_input_contents` })
  }
  if (raw.length > 0 && raw.length !== inputs.length)
    throw GrpcErrors.CONTENTS_INVALID({
      problem: `there are ${inputs.length} inputs but ${raw.length} entries in raw_input_contents`,
    })
  return isTyped
}

/** Most elements of BYTES that the inputs can have. Throws TENSOR_STRINGS_TOO_MANY: each is an object of its own. */
function countStrings({ inputs, raw }: WireInferRequest): number {
  let strings = 0
  for (let i = 0; i < inputs.length; i++) {
    const { name, datatype, shape, contents } = inputs[i]!
    if (datatype !== 'BYTES') continue
    // No more than the bytes can hold, whatever the shape says.
    const most = raw.length > 0 ? raw[i]!.length / 4 : (contents?.length ?? 0) / 2
    strings += Math.min(checkedCount(name, shape), most)
    if (strings > MAX_STRINGS) throw TensorErrors.STRINGS_TOO_MANY({ input: name, limit: MAX_STRINGS })
  }
  return strings
}

function readInputs({ inputs, raw }: WireInferRequest): TensorMap {
  const tensors = new Array<Tensor>(inputs.length)
  for (let i = 0; i < inputs.length; i++) {
    const input = inputs[i]!
    const { name, shape } = input
    const datatype = datatypeOf(input)
    const data =
      raw.length > 0
        ? readBinaryTensor(raw[i]!, name, datatype, shape)
        : readTypedContents(
            decodeContents(input.contents ?? EMPTY, datatype, checkedCount(name, shape)),
            name,
            datatype,
            shape,
          )
    tensors[i] = { name, datatype, shape, data }
  }
  return tensorMap(tensors)
}

/** The same for large ones; other work gets its turn. */
async function readInputsInTurns({ inputs, raw }: WireInferRequest): Promise<TensorMap> {
  const tensors: Tensor[] = []
  for (const [i, input] of inputs.entries()) {
    const { name, shape } = input
    const datatype = datatypeOf(input)
    const data =
      raw.length > 0
        ? await readBinaryTensorInTurns(raw[i]!, name, datatype, shape)
        : readTypedContents(
            await decodeContentsInTurns(input.contents ?? EMPTY, datatype, checkedCount(name, shape)),
            name,
            datatype,
            shape,
          )
    tensors.push({ name, datatype, shape, data })
  }
  return tensorMap(tensors)
}

const EMPTY = Buffer.alloc(0)
const NO_TENSORS: TensorMap = new Map()

function datatypeOf({ name, datatype }: WireInput) {
  const known = datatypeNamed(datatype)
  if (known === undefined) throw TensorErrors.DATATYPE_UNKNOWN({ input: name, datatype: datatype.slice(0, 40) })
  return known
}

/** The outputs asked for, in order; undefined asks for all. Throws OIP_OUTPUT_DUPLICATE. */
function wantedNames(outputs: readonly WireOutput[]): string[] | undefined {
  if (outputs.length === 0) return undefined
  const names = outputs.map(({ name }) => name)
  if (new Set(names).size < names.length)
    throw OipErrors.OUTPUT_DUPLICATE({ output: names.find((name, i) => names.indexOf(name) < i)! })
  return names
}

function wantedClasses(outputs: readonly WireOutput[]): ReadonlyMap<string, number> | undefined {
  let wanted: Map<string, number> | undefined
  for (let i = 0; i < outputs.length; i++) {
    const { name, parameters } = outputs[i]!
    if (parameters['shared_memory_region'] !== undefined) throw OipErrors.SHARED_MEMORY_UNSUPPORTED({ tensor: name })
    const classes = classCount(parameters, `output "${name}"`)
    if (classes > 0) {
      wanted ??= new Map()
      wanted.set(name, classes)
    }
  }
  return wanted
}

/** The time that the caller gives: Triton's parameter is in microseconds, 0 is none; the call's own deadline counts from its start. */
function shortest(parameter: string | number | boolean | undefined, call: Call, arrivedMs: number): number | undefined {
  const { limitMs } = call
  const left = limitMs === undefined ? undefined : Math.max(0, limitMs - (arrivedMs - call.arrivedMs))
  const ofRequest = typeof parameter === 'number' && parameter > 0 ? parameter / 1000 : undefined
  if (left === undefined || ofRequest === undefined) return left ?? ofRequest
  return Math.min(left, ofRequest)
}

function shapeInfer(prediction: Prediction): void | Promise<void> {
  const { modelName, requestId, isTyped, classes, wrapTag } = prediction.wire as GrpcWire
  const served = prediction.served!
  let outputs = orderOutputs(prediction.answer!, prediction.outputs, served.signature)
  if (classes !== undefined) {
    const isBatched = served.signature.batchAxis === 0
    outputs = outputs.map((output) => {
      const k = classes.get(output.name)
      return k === undefined ? output : classify(output, k, served.labels, isBatched)
    })
  }
  const reply = {
    modelName,
    modelVersion: String(served.ref.version),
    id: requestId,
    flags: prediction.flags,
    isFinal: wrapTag !== undefined,
    outputs,
  }
  const encoding =
    isTyped && outputs.every(hasTypedForm)
      ? encodeTypedReply(reply, wrapTag)
      : isLarge(outputs)
        ? encodeRawReplyInTurns(reply, wrapTag)
        : undefined
  if (encoding !== undefined)
    return encoding.then((frame) => {
      prediction.reply = frame
    })
  prediction.reply = encodeRawReply(reply, wrapTag)
}

/** Whether copying the outputs would hold up others: they are many bytes, or many strings. */
function isLarge(outputs: readonly Tensor[]): boolean {
  let sizeBytes = 0
  for (let i = 0; i < outputs.length; i++) {
    const { data } = outputs[i]!
    if (!Array.isArray(data)) sizeBytes += data.byteLength
    else if (data.length > STRINGS_INLINE) return true
  }
  return sizeBytes > RAW_INLINE_BYTES
}
