// ModelInferResponse as a whole frame. Raw data is copied once, from the model's memory into the frame.
import {
  binarySizeBytes,
  binaryTensor,
  binaryTensorInTurns,
  type Tensor,
  writeBinaryTensor,
} from '../../tensor/index.js'
import { CONTENTS_FIELDS } from './contents.js'
import { PREFIX_BYTES } from './frames.js'
import { varintBytes, WireWriter, writeVarint } from './wire-writer.js'

export interface InferReply {
  readonly modelName: string
  readonly modelVersion: string
  /** Echoed. */
  readonly id: string
  readonly flags: readonly string[]
  /** In a stream: says to clients of models with several replies that this was the last. */
  readonly isFinal: boolean
  /** In the order of the reply. */
  readonly outputs: readonly Tensor[]
}

/** Tags of ModelInferResponse, its InferOutputTensor and InferTensorContents: `field << 3 | type`. */
const MODEL_NAME = 0x0a
const MODEL_VERSION = 0x12
const ID = 0x1a
const PARAMETERS = 0x22
const OUTPUTS = 0x2a
const RAW = 0x32
const NAME = 0x0a
const DATATYPE = 0x12
const SHAPE = 0x1a
const CONTENTS = 0x2a

/** One at a time: nothing is awaited between `clear` and `copyTo`. */
const writer = new WireWriter()

/** Larger replies are copied in turns: 60 MB at once hold the event loop for 40 ms. */
export const RAW_INLINE_BYTES = 4 * 1024 * 1024

/** The reply with its data in `raw_output_contents`; inside `wrapTag`'s field of another message when that is given. */
export function encodeRawReply(reply: InferReply, wrapTag?: number): Buffer {
  const { outputs } = reply
  const { frame, dataAt } = openRawReply(reply, wrapTag)
  let at = dataAt
  for (let i = 0; i < outputs.length; i++) at = writeBinaryTensor(outputs[i]!, frame, openRaw(outputs[i]!, frame, at))
  return frame
}

/** The same in several turns. */
export async function encodeRawReplyInTurns(reply: InferReply, wrapTag?: number): Promise<Buffer> {
  const { frame, dataAt } = openRawReply(reply, wrapTag)
  let at = dataAt
  for (const output of reply.outputs) {
    const bytes = await binaryTensorInTurns(output)
    at = openRaw(output, frame, at)
    for (let from = 0; from < bytes.length; from += RAW_SLICE_BYTES) {
      frame.set(bytes.subarray(from, from + RAW_SLICE_BYTES), at + from)
      await new Promise((resolve) => setImmediate(resolve))
    }
    at += bytes.length
  }
  return frame
}

const RAW_SLICE_BYTES = 1024 * 1024

/** The reply's frame with all but the data. */
function openRawReply(reply: InferReply, wrapTag: number | undefined): { frame: Buffer; dataAt: number } {
  const { outputs } = reply
  writer.clear()
  writeHead(writer, reply)
  for (let i = 0; i < outputs.length; i++) writer.close(openOutput(writer, outputs[i]!))
  let sizeBytes = writer.sizeBytes
  for (let i = 0; i < outputs.length; i++) {
    const rawBytes = binarySizeBytes(outputs[i]!)
    sizeBytes += 1 + varintBytes(rawBytes) + rawBytes
  }
  const wrapBytes = wrapTag === undefined ? 0 : 1 + varintBytes(sizeBytes)
  const frame = newFrame(wrapBytes + sizeBytes)
  let at = PREFIX_BYTES
  if (wrapTag !== undefined) {
    frame[at++] = wrapTag
    at = writeVarint(frame, at, sizeBytes)
  }
  writer.copyTo(frame, at)
  return { frame, dataAt: at + writer.sizeBytes }
}

/** Where the output's data begins. */
function openRaw(output: Tensor, frame: Buffer, at: number): number {
  frame[at] = RAW
  return writeVarint(frame, at + 1, binarySizeBytes(output))
}

/** So many numbers are written within 2 ms. */
const ELEMENTS_INLINE = 64 * 1024

/** The same with its data in the outputs' `contents`, which FP16 and BF16 cannot have; in several turns when it is large. */
export async function encodeTypedReply(reply: InferReply, wrapTag?: number): Promise<Buffer> {
  const own = new WireWriter()
  const outer = wrapTag === undefined ? undefined : own.open(wrapTag)
  writeHead(own, reply)
  for (const output of reply.outputs) {
    const start = openOutput(own, output)
    const contents = own.open(CONTENTS)
    const { length } = output.data
    const list = output.datatype === 'BYTES' || isMemory(output) ? undefined : openList(own, output)
    for (let from = 0; from < length; from += ELEMENTS_INLINE) {
      if (from > 0) await new Promise((resolve) => setImmediate(resolve))
      if (list === undefined && output.datatype !== 'BYTES') break
      writeElements(own, output, from, Math.min(length, from + ELEMENTS_INLINE))
    }
    if (list !== undefined) own.close(list)
    else if (output.datatype !== 'BYTES') own.bytes((fieldOf(output) << 3) | 2, binaryTensor(output))
    own.close(contents)
    own.close(start)
  }
  if (outer !== undefined) own.close(outer)
  const frame = newFrame(own.sizeBytes)
  own.copyTo(frame, PREFIX_BYTES)
  return frame
}

export function hasTypedForm({ datatype }: Tensor): boolean {
  return datatype !== 'FP16' && datatype !== 'BF16'
}

/** An empty frame for a message of that size. */
export function newFrame(sizeBytes: number): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + sizeBytes)
  frame[0] = 0
  frame.writeUInt32BE(sizeBytes, 1)
  return frame
}

function writeHead(to: WireWriter, { modelName, modelVersion, id, flags, isFinal }: InferReply): void {
  to.string(MODEL_NAME, modelName)
  to.string(MODEL_VERSION, modelVersion)
  to.string(ID, id)
  // An entry of the map is a message of key and value, and the value an InferParameter: field 1 a flag, field 3 a string.
  if (isFinal) {
    const entry = to.open(PARAMETERS)
    to.string(0x0a, 'triton_final_response')
    const value = to.open(0x12)
    to.byte(0x08)
    to.byte(1)
    to.close(value)
    to.close(entry)
  }
  if (flags.length === 0) return
  const entry = to.open(PARAMETERS)
  to.string(0x0a, 'headrace_flags')
  const value = to.open(0x12)
  to.string(0x1a, flags.join(', '))
  to.close(value)
  to.close(entry)
}

function openOutput(to: WireWriter, { name, datatype, shape }: Tensor): number {
  const start = to.open(OUTPUTS)
  to.string(NAME, name)
  to.string(DATATYPE, datatype)
  if (shape.length > 0) {
    const sizes = to.open(SHAPE)
    for (let i = 0; i < shape.length; i++) to.varint(shape[i]!)
    to.close(sizes)
  }
  return start
}

/** Whose packed list is its memory as it is. */
function isMemory({ datatype }: Tensor): boolean {
  return datatype === 'FP32' || datatype === 'FP64' || datatype === 'BOOL'
}

function fieldOf({ datatype }: Tensor): number {
  return CONTENTS_FIELDS[datatype]!
}

function openList(to: WireWriter, output: Tensor): number {
  return to.open((fieldOf(output) << 3) | 2)
}

function writeElements(to: WireWriter, { data, datatype }: Tensor, from: number, until: number): void {
  if (Array.isArray(data)) for (let i = from; i < until; i++) to.bytes(0x42, data[i]!)
  else if (datatype === 'INT64' || datatype === 'UINT64')
    for (let i = from; i < until; i++) to.bigVarint((data as BigInt64Array)[i]!)
  else
    for (let i = from; i < until; i++) {
      const value = (data as Int32Array)[i]!
      if (value >= 0) to.varint(value)
      else to.bigVarint(BigInt(value))
    }
}
