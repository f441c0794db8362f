// An infer reply from its bytes, held against what the model gives: a server that lies about names, types, shapes or lengths is
// caught here, before its answer reaches a caller.
import type { HeadraceError } from '../../core/index.js'
import {
  BINARY_INLINE_BYTES,
  type DataType,
  datatypeNamed,
  JsonReader,
  MAX_DIMENSIONS,
  readBinaryTensor,
  readBinaryTensorInTurns,
  readTensorData,
  shapeText,
  type Tensor,
  type TensorData,
  type TensorMap,
  type TensorSpec,
} from '../../tensor/index.js'

/** What is wrong with an answer, as a sentence without its full stop. */
export class ReplyProblem {
  constructor(
    readonly text: string,
    readonly cause?: unknown,
  ) {}
}

export interface ExpectedReply {
  /** By name, all that the model has. */
  readonly specs: ReadonlyMap<string, TensorSpec>
  /** In the order wanted. */
  readonly outputs: readonly string[]
  readonly id: string
}

/** An output before its data is read. */
interface OutputHead {
  readonly name: string
  readonly datatype: DataType
  readonly shape: readonly number[]
  /** From JSON; undefined when it is in the binary part. */
  readonly data: TensorData | undefined
  readonly binaryBytes: number | undefined
}

/** `jsonBytes` of the body are JSON, the rest binary tensors. Rejects with a ReplyProblem. */
export async function readInferReply(body: Buffer, jsonBytes: number, expected: ExpectedReply): Promise<TensorMap> {
  try {
    const heads = readHeads(body.subarray(0, jsonBytes), expected)
    const tensors = new Map<string, Tensor>()
    let at = jsonBytes
    for (const { name, datatype, shape, data, binaryBytes } of heads) {
      if (binaryBytes === undefined) tensors.set(name, { name, datatype, shape, data: data! })
      else {
        const end = at + binaryBytes
        if (end > body.length)
          throw new ReplyProblem(
            `its binary part is ${body.length - jsonBytes} bytes long, too short for output "${name}"`,
          )
        const bytes = body.subarray(at, end)
        const read =
          binaryBytes > BINARY_INLINE_BYTES
            ? await readBinaryTensorInTurns(bytes, name, datatype, shape)
            : readBinaryTensor(bytes, name, datatype, shape)
        tensors.set(name, { name, datatype, shape, data: read })
        at = end
      }
    }
    if (at !== body.length) throw new ReplyProblem(`${body.length - at} bytes follow its last tensor`)
    return inOrder(tensors, expected.outputs)
  } catch (error) {
    if (error instanceof ReplyProblem) throw error
    // Written for a request, and true of an answer.
    throw new ReplyProblem(withoutFullStop((error as HeadraceError).message), error)
  }
}

/** Throws a ReplyProblem for an output that nobody asked for, or that is not as the model's metadata says. */
export function checkOutput(
  name: string,
  datatype: string,
  shape: readonly number[],
  { specs, outputs }: ExpectedReply,
): DataType {
  const spec = specs.get(name)
  if (spec === undefined || !outputs.includes(name))
    throw new ReplyProblem(`it has an output "${clipName(name)}" that was not asked for`)
  const known = datatypeNamed(datatype)
  if (known !== spec.datatype)
    throw new ReplyProblem(
      `output "${name}" came as ${clipName(datatype)}, and the model's metadata says ${spec.datatype}`,
    )
  const fits =
    shape.length === spec.shape.length &&
    shape.every((size, axis) => spec.shape[axis] === -1 || spec.shape[axis] === size)
  if (!fits)
    throw new ReplyProblem(
      `output "${name}" came with the shape ${shapeText(shape)}, and the model's metadata says ${shapeText(spec.shape)}`,
    )
  return known
}

/** The outputs in the order wanted. Throws a ReplyProblem when one is missing. */
export function inOrder(tensors: ReadonlyMap<string, Tensor>, outputs: readonly string[]): TensorMap {
  const ordered = new Map<string, Tensor>()
  for (const name of outputs) {
    const tensor = tensors.get(name)
    if (tensor === undefined) throw new ReplyProblem(`output "${name}" is missing`)
    ordered.set(name, tensor)
  }
  return ordered
}

function readHeads(json: Buffer, expected: ExpectedReply): OutputHead[] {
  const reader = new JsonReader(json, 'non-finite')
  const heads: OutputHead[] = []
  let hasOutputs = false
  if (reader.readObject('the answer'))
    do {
      const key = reader.readKey()
      if (reader.takeNull()) continue
      if (key === 'id') {
        const id = reader.readString('"id"')
        if (id !== '' && id !== expected.id) throw new ReplyProblem('it is the answer to another request')
      } else if (key === 'outputs') {
        if (hasOutputs) throw new ReplyProblem('it has "outputs" twice')
        hasOutputs = true
        if (reader.readList('"outputs"'))
          do {
            const head = readHead(reader, expected)
            if (heads.some(({ name }) => name === head.name)) throw new ReplyProblem(`output "${head.name}" came twice`)
            heads.push(head)
          } while (reader.moreElements())
      } else reader.skipValue()
    } while (reader.moreMembers())
  reader.finish()
  if (!hasOutputs) throw new ReplyProblem('it has no "outputs"')
  return heads
}

function readHead(reader: JsonReader, expected: ExpectedReply): OutputHead {
  let name: string | undefined
  let datatype: string | undefined
  let shape: number[] | undefined
  let binaryBytes: number | undefined
  let dataAt: number | undefined
  if (reader.readObject('an element of "outputs"'))
    do {
      const key = reader.readKey()
      if (reader.takeNull()) continue
      if (key === 'name') name = reader.readString('"name" of an output')
      else if (key === 'datatype') datatype = reader.readString('"datatype" of an output')
      else if (key === 'shape') shape = readShape(reader)
      else if (key === 'parameters') binaryBytes = readBinarySize(reader)
      else {
        // What stands there is only known once its name, datatype and shape are.
        if (key === 'data') dataAt = reader.start()
        reader.skipValue()
      }
    } while (reader.moreMembers())
  if (name === undefined || datatype === undefined || shape === undefined)
    throw new ReplyProblem('an output lacks its name, datatype or shape')
  const known = checkOutput(name, datatype, shape, expected)
  if ((dataAt === undefined) === (binaryBytes === undefined))
    throw new ReplyProblem(`output "${name}" has ${dataAt === undefined ? 'no data' : 'both data and a binary size'}`)
  let data: TensorData | undefined
  if (dataAt !== undefined) {
    const end = reader.position
    reader.position = dataAt
    data = readTensorData(reader, name, known, shape)
    reader.position = end
  }
  return { name, datatype: known, shape, data, binaryBytes }
}

function readShape(reader: JsonReader): number[] {
  const shape: number[] = []
  if (reader.readList('"shape" of an output'))
    do {
      shape.push(reader.readNumber('a size in the "shape" of an output'))
      if (shape.length > MAX_DIMENSIONS) throw new ReplyProblem(`an output has more than ${MAX_DIMENSIONS} sizes`)
    } while (reader.moreElements())
  return shape
}

function readBinarySize(reader: JsonReader): number | undefined {
  let bytes: number | undefined
  if (reader.readObject('"parameters" of an output'))
    do {
      const key = reader.readKey()
      if (key === 'binary_data_size') {
        bytes = reader.readNumber('"binary_data_size"')
        if (!Number.isSafeInteger(bytes) || bytes < 0)
          throw new ReplyProblem('a "binary_data_size" is no number of bytes')
      } else reader.skipValue()
    } while (reader.moreMembers())
  return bytes
}

function clipName(name: string): string {
  return name.length > 100 ? `${name.slice(0, 100)}…` : name
}

function withoutFullStop(text: string): string {
  return text.replace(/\.$/, '')
}
