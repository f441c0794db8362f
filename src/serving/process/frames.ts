// How messages lie on the pipe between the server and a process with models: a fixed prefix, a small text or number part, a few
// numbers about each tensor, and then the tensors' own bytes in the Open Inference Protocol's binary form. Tensors are sent from where
// they lie and read into memory of their own, so that a backend can hand them on; they are never turned into text.
//
// A process that was hit by a stray write sends anything: every length is checked before memory is taken for it.
import type { Duplex } from 'node:stream'
import {
  binarySizeBytes,
  binaryTensor,
  DATATYPES,
  ELEMENT_BYTES,
  elementCount,
  MAX_DIMENSIONS,
  readBinaryTensor,
  type Tensor,
  writeBinaryTensor,
} from '../../tensor/index.js'

export interface Frame {
  readonly kind: number
  readonly id: number
  /** JSON or a few numbers, as the kind says. */
  readonly head: Buffer
  readonly tensors: readonly FrameTensor[]
}

/** A tensor and which one it is: its place among the inputs or outputs of the signature. Its name there is not sent. */
export interface FrameTensor {
  readonly index: number
  readonly tensor: Tensor
}

/** What arrived is no frame: whoever sent it cannot be trusted any more. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}

const MARK = 0x48_52_50_31
/** Mark 4, kind 1, unused 1, tensors 2, id 4, bytes of the head 4, bytes about tensors 4. */
const PREFIX_BYTES = 20
/** Index 2, datatype 1, dimensions 1, bytes 8; then 8 for each dimension. */
const TENSOR_BYTES = 12
/** A manifest with all that people note in it. */
const MAX_HEAD_BYTES = 16 * 1024 * 1024
const MAX_TENSORS = 4096
const MAX_TENSOR_BYTES = 2 ** 32
/** Up to this many bytes a frame is put together and written at once: a copy costs less than a vector of pieces. */
const JOINED_BYTES = 128 * 1024

/** Writes a frame. Its tensors must stay as they are until the answer comes. */
export function writeFrame(
  stream: Duplex,
  kind: number,
  id: number,
  head: Uint8Array,
  tensors: readonly FrameTensor[] = [],
): void {
  let aboutBytes = 0
  let dataBytes = 0
  for (let i = 0; i < tensors.length; i++) {
    const { tensor } = tensors[i]!
    aboutBytes += TENSOR_BYTES + 8 * tensor.shape.length
    dataBytes += binarySizeBytes(tensor)
  }
  const isJoined = dataBytes <= JOINED_BYTES
  const start = PREFIX_BYTES + head.length + aboutBytes
  const bytes = Buffer.allocUnsafe(isJoined ? start + dataBytes : start)
  bytes.writeUInt32LE(MARK, 0)
  bytes[4] = kind
  bytes[5] = 0
  bytes.writeUInt16LE(tensors.length, 6)
  bytes.writeUInt32LE(id, 8)
  bytes.writeUInt32LE(head.length, 12)
  bytes.writeUInt32LE(aboutBytes, 16)
  bytes.set(head, PREFIX_BYTES)
  let at = PREFIX_BYTES + head.length
  for (let i = 0; i < tensors.length; i++) at = writeAbout(bytes, at, tensors[i]!)
  if (isJoined) {
    for (let i = 0; i < tensors.length; i++) at = writeBinaryTensor(tensors[i]!.tensor, bytes, at)
    stream.write(bytes)
    return
  }
  stream.cork()
  stream.write(bytes)
  for (let i = 0; i < tensors.length; i++) {
    const data = binaryTensor(tensors[i]!.tensor)
    if (data.length > 0) stream.write(data)
  }
  stream.uncork()
}

function writeAbout(bytes: Buffer, start: number, { index, tensor }: FrameTensor): number {
  const { datatype, shape } = tensor
  bytes.writeUInt16LE(index, start)
  bytes[start + 2] = DATATYPES.indexOf(datatype)
  bytes[start + 3] = shape.length
  bytes.writeDoubleLE(binarySizeBytes(tensor), start + 4)
  let at = start + TENSOR_BYTES
  for (let i = 0; i < shape.length; i++) at = bytes.writeDoubleLE(shape[i]!, at)
  return at
}

/** A tensor that is announced, and how much of it has arrived. */
interface Arriving {
  readonly index: number
  readonly datatype: Tensor['datatype']
  readonly shape: readonly number[]
  readonly bytes: Buffer
}

/** Puts chunks together again. */
export class FrameReader {
  /** The part that is being waited for: the prefix, what stands between it and the tensors, or one tensor after the other. */
  readonly #prefixBytes = Buffer.allocUnsafeSlow(PREFIX_BYTES)
  #part: Buffer = this.#prefixBytes
  #filled = 0
  #prefix: { kind: number; id: number; headBytes: number; tensors: number } | undefined
  #head: Buffer = Buffer.alloc(0)
  #arriving: Arriving[] = []
  #next = 0

  constructor(private readonly onFrame: (frame: Frame) => void) {}

  /** Throws a FrameError, after which nothing more is to be given. */
  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      const bytes = Math.min(chunk.length - at, this.#part.length - this.#filled)
      chunk.copy(this.#part, this.#filled, at, at + bytes)
      this.#filled += bytes
      at += bytes
      while (this.#filled === this.#part.length && this.#advance());
    }
  }

  /** A part is complete. Says whether the next one can be, too, because it is empty. */
  #advance(): boolean {
    const part = this.#part
    if (this.#prefix === undefined) this.#readPrefix(part)
    else if (this.#next === 0) {
      this.#readHead(part)
      this.#next = 1
    } else this.#next++
    if (this.#next > 0 && this.#next > this.#arriving.length) return this.#finish()
    if (this.#next > 0) this.#expect(this.#arriving[this.#next - 1]!.bytes)
    return this.#part.length === 0
  }

  #expect(part: Buffer): void {
    this.#part = part
    this.#filled = 0
  }

  #readPrefix(prefix: Buffer): void {
    if (prefix.readUInt32LE(0) !== MARK) throw new FrameError('it sent something that is no message')
    const tensors = prefix.readUInt16LE(6)
    const headBytes = prefix.readUInt32LE(12)
    const aboutBytes = prefix.readUInt32LE(16)
    if (headBytes > MAX_HEAD_BYTES || tensors > MAX_TENSORS)
      throw new FrameError(`it sent a message with a head of ${headBytes} bytes and ${tensors} tensors`)
    if (aboutBytes > tensors * (TENSOR_BYTES + 8 * MAX_DIMENSIONS) || aboutBytes < tensors * TENSOR_BYTES)
      throw new FrameError(`it sent a message with ${aboutBytes} bytes about ${tensors} tensors`)
    this.#prefix = { kind: prefix[4]!, id: prefix.readUInt32LE(8), headBytes, tensors }
    this.#expect(Buffer.allocUnsafeSlow(headBytes + aboutBytes))
  }

  #readHead(part: Buffer): void {
    const { headBytes, tensors } = this.#prefix!
    this.#head = part.subarray(0, headBytes)
    let at = headBytes
    for (let i = 0; i < tensors; i++) {
      const dimensions = part[at + 3]!
      const end = at + TENSOR_BYTES + 8 * dimensions
      if (!(end <= part.length)) throw new FrameError('it sent a message that ends within a tensor')
      this.#arriving.push(readAbout(part, at, dimensions))
      at = end
    }
    if (at !== part.length) throw new FrameError(`it sent ${part.length - at} bytes too many about tensors`)
  }

  #finish(): boolean {
    const { kind, id } = this.#prefix!
    const frame: Frame = { kind, id, head: this.#head, tensors: this.#arriving.map(complete) }
    this.#prefix = undefined
    this.#arriving = []
    this.#next = 0
    this.#expect(this.#prefixBytes)
    this.onFrame(frame)
    return false
  }
}

function readAbout(part: Buffer, at: number, dimensions: number): Arriving {
  const index = part.readUInt16LE(at)
  const datatype = DATATYPES[part[at + 2]!]
  const sizeBytes = part.readDoubleLE(at + 4)
  const shape: number[] = []
  for (let i = 0; i < dimensions; i++) shape.push(part.readDoubleLE(at + TENSOR_BYTES + 8 * i))
  const expected =
    datatype === 'BYTES' || datatype === undefined ? sizeBytes : elementCount(shape) * ELEMENT_BYTES[datatype]
  const isPossible = Number.isSafeInteger(sizeBytes) && sizeBytes >= 0 && sizeBytes <= MAX_TENSOR_BYTES
  if (datatype === undefined || !isPossible || sizeBytes !== expected)
    throw new FrameError(`it sent a tensor of ${sizeBytes} bytes with the shape [${shape}]`)
  // Of its own, so that it can be handed to another thread.
  return { index, datatype, shape, bytes: Buffer.allocUnsafeSlow(sizeBytes) }
}

function complete({ index, datatype, shape, bytes }: Arriving): FrameTensor {
  try {
    const data = readBinaryTensor(new Uint8Array(bytes.buffer), `number ${index}`, datatype, shape)
    return { index, tensor: { name: '', datatype, shape, data } }
  } catch (error) {
    throw new FrameError(`it sent a tensor that cannot be: ${(error as Error).message}`)
  }
}
