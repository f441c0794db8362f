// Tensors in the Open Inference Protocol's binary form: little-endian, row-major, without padding; BOOL takes a byte, and each
// element of BYTES its length as a uint32 and then its bytes. Typed arrays have the machine's own byte order, and every machine
// that ONNX Runtime's package runs on is little-endian: nothing is ever swapped.
import { allocate, type DataType, ELEMENT_BYTES, EMPTY, type TensorData, viewData } from './datatype.js'
import { TensorErrors } from './errors.js'
import { MAX_STRINGS } from './json-scan.js'
import { checkedCount } from './shape.js'
import type { Tensor } from './tensor.js'

const LENGTH_BYTES = 4

/**
 * The data of tensor `name`, from exactly as many bytes as its shape needs. It is a view of `bytes`, which must then stay as they
 * are, where they are aligned to the element's size; else a copy. Elements of BYTES are always views. What is not 0 is 1 in a BOOL.
 *
 * Throws TENSOR_SHAPE_INVALID, TENSOR_BINARY_LENGTH and TENSOR_STRINGS_TOO_MANY, before anything is allocated.
 */
export function readBinaryTensor(
  bytes: Uint8Array,
  name: string,
  datatype: DataType,
  shape: readonly number[],
): TensorData {
  const count = checkedBinary(bytes, name, datatype, shape)
  if (datatype === 'BYTES') {
    const reader = new BytesReader(bytes, name, shape, count)
    reader.read(count)
    return reader.finish()
  }
  if (datatype === 'BOOL') return onlyZeroAndOne(bytes)
  const isAligned = bytes.byteOffset % ELEMENT_BYTES[datatype] === 0
  return viewData(datatype, isAligned ? bytes : bytesOf(bytes).slice(), count)
}

/** The number of elements, when the bytes can hold just so many. */
export function checkedBinary(bytes: Uint8Array, name: string, datatype: DataType, shape: readonly number[]): number {
  const count = checkedCount(name, shape)
  if (datatype !== 'BYTES') {
    // Beyond 2^53 the product is rounded, but then it is no length that could arrive.
    const expected = count * ELEMENT_BYTES[datatype]
    if (expected !== bytes.length)
      throw TensorErrors.BINARY_LENGTH({
        tensor: name,
        datatype,
        shape,
        problem: `takes ${expected} bytes, but ${bytes.length} arrived`,
      })
  } else if (count * LENGTH_BYTES > bytes.length) {
    throw TensorErrors.BINARY_LENGTH({
      tensor: name,
      datatype,
      shape,
      problem: `takes at least ${count * LENGTH_BYTES} bytes, but ${bytes.length} arrived`,
    })
  } else if (count > MAX_STRINGS) {
    throw TensorErrors.STRINGS_TOO_MANY({ input: name, limit: MAX_STRINGS })
  }
  return count
}

/** Elements of BYTES one after the other, as views; in several turns when there are many. */
export class BytesReader {
  readonly #bytes: Buffer
  readonly #elements: Buffer[]
  #done = 0
  #at = 0

  constructor(
    bytes: Uint8Array,
    private readonly name: string,
    private readonly shape: readonly number[],
    count: number,
  ) {
    this.#bytes = asBuffer(bytes)
    this.#elements = new Array<Buffer>(count)
  }

  /** Reads on to element `end`. Throws TENSOR_BINARY_LENGTH. */
  read(end: number): void {
    const bytes = this.#bytes
    let at = this.#at
    for (let i = this.#done; i < end; i++) {
      const start = at + LENGTH_BYTES
      if (start > bytes.length) throw this.#isShort(i)
      at = start + bytes.readUInt32LE(at)
      if (at > bytes.length) throw this.#isShort(i)
      this.#elements[i] = at === start ? EMPTY : bytes.subarray(start, at)
    }
    this.#at = at
    this.#done = end
  }

  /** Throws TENSOR_BINARY_LENGTH when bytes are left. */
  finish(): Buffer[] {
    const left = this.#bytes.length - this.#at
    if (left > 0) throw this.#wrong(`ends ${left} bytes before the data does`)
    return this.#elements
  }

  #isShort(element: number): Error {
    return this.#wrong(`has element ${element} reach beyond the ${this.#bytes.length} bytes that arrived`)
  }

  #wrong(problem: string): Error {
    return TensorErrors.BINARY_LENGTH({ tensor: this.name, datatype: 'BYTES', shape: this.shape, problem })
  }
}

/** Bytes of the tensor's binary form. */
export function binarySizeBytes({ data }: Tensor): number {
  if (!Array.isArray(data)) return data.byteLength
  let sizeBytes = 0
  for (let i = 0; i < data.length; i++) sizeBytes += LENGTH_BYTES + data[i]!.length
  return sizeBytes
}

/** Writes the tensor's binary form, for which `into` must have room; returns the offset after it. */
export function writeBinaryTensor({ data }: Tensor, into: Uint8Array, at: number): number {
  if (!Array.isArray(data)) {
    into.set(bytesOf(data), at)
    return at + data.byteLength
  }
  const target = asBuffer(into)
  let next = at
  for (let i = 0; i < data.length; i++) {
    const element = data[i]!
    next = target.writeUInt32LE(element.length, next)
    target.set(element, next)
    next += element.length
  }
  return next
}

/** The tensor's binary form: a view of its own memory, or a new array for BYTES. */
export function binaryTensor(tensor: Tensor): Uint8Array {
  const { data } = tensor
  if (!Array.isArray(data)) return bytesOf(data)
  const bytes = Buffer.allocUnsafeSlow(binarySizeBytes(tensor))
  writeBinaryTensor(tensor, bytes, 0)
  return bytes
}

/** As plain bytes: the `slice` of a Buffer is no copy. */
export function bytesOf(data: Exclude<TensorData, Buffer[]>): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The same bytes where each is 0 or 1, as models and the JSON of a reply expect; else a copy in which they are. */
export function onlyZeroAndOne(bytes: Uint8Array): Uint8Array {
  let other = 0
  while (other < bytes.length && bytes[other]! <= 1) other++
  if (other === bytes.length) return bytesOf(bytes)
  const flags = allocate('BOOL', bytes.length)
  for (let i = 0; i < bytes.length; i++) flags[i] = bytes[i] === 0 ? 0 : 1
  return flags
}
