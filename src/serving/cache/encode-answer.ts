// Answers as bytes, for servers to share. Little-endian, every part at a multiple of 8. A format is never changed: a new one gets
// a new number, and what has another number or does not add up is no answer.
import { allocate, type DataType, elementCount, isDataType, type Tensor, type TensorMap } from '../../tensor/index.js'
import { DATATYPE_CODES } from './datatype-codes.js'

export interface StoredAnswer {
  readonly outputs: TensorMap
  /** Wall time, milliseconds since the epoch. */
  readonly computedAtMs: number
  /** Wall time. */
  readonly expiresAtMs: number
  /** How long it took to compute. */
  readonly costMs: number
}

const FORMAT = 1
/** Format and count of tensors, 4 bytes each; then the three times. */
const HEADER_BYTES = 32
/** Length of the name, code, rank, nothing; then the name, the sizes (8 bytes each), the length of the data (8) and the data. */
const TENSOR_BYTES = 16
const MAX_RANK = 64

const DATATYPES = new Map<number, DataType>(
  Object.entries(DATATYPE_CODES).flatMap(([name, code]) => (isDataType(name) ? [[code, name]] : [])),
)

export function encodeAnswer({ outputs, computedAtMs, expiresAtMs, costMs }: StoredAnswer): Uint8Array {
  let sizeBytes = HEADER_BYTES
  for (const { name, shape, data } of outputs.values())
    sizeBytes += TENSOR_BYTES + padded(Buffer.byteLength(name)) + 8 * shape.length + 8 + padded(dataBytes(data))
  const bytes = Buffer.alloc(sizeBytes)
  bytes.writeUInt32LE(FORMAT, 0)
  bytes.writeUInt32LE(outputs.size, 4)
  bytes.writeDoubleLE(computedAtMs, 8)
  bytes.writeDoubleLE(expiresAtMs, 16)
  bytes.writeDoubleLE(costMs, 24)
  let at = HEADER_BYTES
  for (const { name, datatype, shape, data } of outputs.values()) {
    const nameBytes = bytes.write(name, at + TENSOR_BYTES)
    bytes.writeUInt32LE(nameBytes, at)
    bytes.writeUInt32LE(DATATYPE_CODES[datatype], at + 4)
    bytes.writeUInt32LE(shape.length, at + 8)
    at += TENSOR_BYTES + padded(nameBytes)
    for (let axis = 0; axis < shape.length; axis++, at += 8) bytes.writeDoubleLE(shape[axis]!, at)
    const length = dataBytes(data)
    bytes.writeDoubleLE(length, at)
    at += 8
    if (!Array.isArray(data)) bytes.set(new Uint8Array(data.buffer, data.byteOffset, length), at)
    else {
      let to = at
      for (const element of data) {
        bytes.writeUInt32LE(element.length, to)
        bytes.set(element, to + 4)
        to += 4 + element.length
      }
    }
    at += padded(length)
  }
  return bytes
}

/** Undefined when the bytes are no answer of this format: another release wrote them, or they were damaged. */
export function decodeAnswer(stored: Uint8Array): StoredAnswer | undefined {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength)
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== FORMAT) return undefined
  const outputs = new Map<string, Tensor>()
  const count = bytes.readUInt32LE(4)
  let at = HEADER_BYTES
  for (let i = 0; i < count; i++) {
    const read = readTensor(bytes, at)
    if (read === undefined) return undefined
    outputs.set(read.tensor.name, read.tensor)
    at = read.end
  }
  if (at !== bytes.length || outputs.size !== count) return undefined
  return {
    outputs,
    computedAtMs: bytes.readDoubleLE(8),
    expiresAtMs: bytes.readDoubleLE(16),
    costMs: bytes.readDoubleLE(24),
  }
}

function readTensor(bytes: Buffer, start: number): { tensor: Tensor; end: number } | undefined {
  if (start + TENSOR_BYTES > bytes.length) return undefined
  const nameBytes = bytes.readUInt32LE(start)
  const datatype = DATATYPES.get(bytes.readUInt32LE(start + 4))
  const rank = bytes.readUInt32LE(start + 8)
  let at = start + TENSOR_BYTES + padded(nameBytes)
  if (datatype === undefined || rank > MAX_RANK || at + 8 * rank + 8 > bytes.length) return undefined
  const name = bytes.toString('utf8', start + TENSOR_BYTES, start + TENSOR_BYTES + nameBytes)
  const shape: number[] = []
  for (let axis = 0; axis < rank; axis++, at += 8) shape.push(bytes.readDoubleLE(at))
  const length = bytes.readDoubleLE(at)
  at += 8
  const elements = elementCount(shape)
  // A count is checked against what is there before anything of that size is allocated.
  if (!isCount(length) || !shape.every(isCount) || !isCount(elements) || at + padded(length) > bytes.length)
    return undefined
  if (datatype === 'BYTES' ? elements * 4 > length : elements > length) return undefined
  const data = allocate(datatype, elements)
  if (Array.isArray(data)) {
    let from = at
    for (let i = 0; i < elements; i++) {
      if (from + 4 > at + length) return undefined
      const end = from + 4 + bytes.readUInt32LE(from)
      if (end > at + length) return undefined
      data[i] = Buffer.from(bytes.subarray(from + 4, end))
      from = end
    }
    if (from !== at + length) return undefined
  } else {
    if (data.byteLength !== length) return undefined
    new Uint8Array(data.buffer).set(bytes.subarray(at, at + length))
  }
  return { tensor: { name, datatype, shape, data }, end: at + padded(length) }
}

function dataBytes(data: Tensor['data']): number {
  if (!Array.isArray(data)) return data.byteLength
  return data.reduce((sum, element) => sum + 4 + element.length, 0)
}

function padded(sizeBytes: number): number {
  return Math.ceil(sizeBytes / 8) * 8
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}
