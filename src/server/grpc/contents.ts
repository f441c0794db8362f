// InferTensorContents from its bytes: lists of numbers, packed or not, straight into memory of the tensor's own kind. A byte of the
// message can be a number, and 60 million objects would be the end of the process. Large ones are read a slice at a time, so that
// other work gets its turn.
import { copyData, type DataType, MAX_STRINGS, type TypedContents } from '../../tensor/index.js'
import { DELIMITED, FIXED32, FIXED64, invalid, VARINT, WireReader } from './wire-reader.js'

/** So many bytes of numbers are decoded within 2 ms; of packed floats any number is, they are only viewed. */
export const CONTENTS_INLINE_BYTES = 128 * 1024

const NAMES = [
  'boolContents',
  'intContents',
  'int64Contents',
  'uintContents',
  'uint64Contents',
  'fp32Contents',
  'fp64Contents',
  'bytesContents',
] as const

/** By field number. */
const TYPES = [-1, VARINT, VARINT, VARINT, VARINT, VARINT, FIXED32, FIXED64, DELIMITED]

/** The field of a datatype's elements; none of FP16 and BF16. */
export const CONTENTS_FIELDS: Readonly<Partial<Record<DataType, number>>> = {
  BOOL: 1,
  INT8: 2,
  INT16: 2,
  INT32: 2,
  INT64: 3,
  UINT8: 4,
  UINT16: 4,
  UINT32: 4,
  UINT64: 5,
  FP32: 6,
  FP64: 7,
  BYTES: 8,
}

/**
 * The elements of a tensor of `datatype` whose shape holds `count`. Of a list in another field, or one longer than that, there is
 * only the length: it is wrong anyway. Throws GRPC_MESSAGE_INVALID.
 */
export function decodeContents(bytes: Buffer, datatype: DataType, count: number): TypedContents {
  const packed = packedFloats(bytes)
  if (packed !== undefined) return floats(bytes, new Uint8Array(packed))
  const reader = new ContentsReader(bytes, datatype, count)
  reader.read(bytes.length)
  return reader.finish()
}

/** Rejects with GRPC_MESSAGE_INVALID. */
export async function decodeContentsInTurns(bytes: Buffer, datatype: DataType, count: number): Promise<TypedContents> {
  const packed = packedFloats(bytes)
  if (packed !== undefined)
    return floats(bytes, await copyData(new Uint8Array(packed.buffer, packed.byteOffset, packed.length)))
  const reader = new ContentsReader(bytes, datatype, count)
  for (let end = CONTENTS_INLINE_BYTES; end < bytes.length; end += CONTENTS_INLINE_BYTES) {
    reader.read(end)
    await new Promise((resolve) => setImmediate(resolve))
  }
  reader.read(bytes.length)
  return reader.finish()
}

const FLOATS = (6 << 3) | DELIMITED
const DOUBLES = (7 << 3) | DELIMITED

/** Of nothing but one packed list of floats, as clients write them: it is memory already. */
function packedFloats(bytes: Buffer): Buffer | undefined {
  if (bytes.length < 2 || (bytes[0] !== FLOATS && bytes[0] !== DOUBLES)) return undefined
  const reader = new WireReader(bytes)
  reader.tag()
  const packed = reader.delimited()
  return reader.hasMore || packed.length % (bytes[0] === DOUBLES ? 8 : 4) !== 0 ? undefined : packed
}

function floats(bytes: Buffer, { buffer }: Uint8Array): TypedContents {
  return bytes[0] === DOUBLES ? { fp64Contents: new Float64Array(buffer) } : { fp32Contents: new Float32Array(buffer) }
}

type Storage =
  | Uint8Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array
  | Buffer[]

function storageFor(field: number, length: number): Storage {
  switch (field) {
    case 1:
      return new Uint8Array(length)
    case 2:
      return new Int32Array(length)
    case 3:
      return new BigInt64Array(length)
    case 4:
      return new Uint32Array(length)
    case 5:
      return new BigUint64Array(length)
    case 6:
      return new Float32Array(length)
    case 7:
      return new Float64Array(length)
    default:
      return []
  }
}

/** Decodes up to a position, and goes on from there. */
class ContentsReader {
  readonly #reader: WireReader
  /** Of the tensor's elements; 0 when they can be in none. */
  readonly #own: number
  readonly #storage: Storage
  /** Of 64-bit integers: their halves, so that none has to become an object. */
  readonly #halves: Uint32Array | undefined
  readonly #capacity: number
  /** Elements seen, by field. */
  readonly #counts = new Float64Array(TYPES.length)
  /** Of the packed list that is being read: its field and where it ends; 0 outside of one. */
  #field = 0
  #packedEnd = 0

  constructor(bytes: Buffer, datatype: DataType, count: number) {
    this.#reader = new WireReader(bytes)
    this.#own = CONTENTS_FIELDS[datatype] ?? 0
    // Each element takes a byte at least.
    this.#capacity = Math.min(count, bytes.length, this.#own === 8 ? MAX_STRINGS : Number.POSITIVE_INFINITY)
    this.#storage = storageFor(this.#own, this.#capacity)
    if (this.#own === 3 || this.#own === 5) this.#halves = new Uint32Array((this.#storage as BigInt64Array).buffer)
  }

  /** Throws GRPC_MESSAGE_INVALID. */
  read(until: number): void {
    const reader = this.#reader
    while (reader.position < until) {
      if (this.#field !== 0) {
        const end = Math.min(until, this.#packedEnd)
        while (reader.position < end) this.#element(this.#field)
        if (reader.position > this.#packedEnd) throw invalid('an element reaches beyond its list')
        if (reader.position === this.#packedEnd) this.#field = 0
        continue
      }
      const tag = reader.tag()
      const field = tag >>> 3
      const type = TYPES[field]
      if (type === undefined) reader.skip(tag)
      else if ((tag & 7) === type) this.#element(field)
      else if ((tag & 7) === DELIMITED) {
        const sizeBytes = reader.uint32()
        this.#packedEnd = reader.position + sizeBytes
        if (this.#packedEnd > reader.end) throw invalid('a field reaches beyond its message')
        if (sizeBytes > 0) this.#field = field
      } else reader.skip(tag)
    }
  }

  finish(): TypedContents {
    const contents: { [name in (typeof NAMES)[number]]?: ArrayLike<unknown> } = {}
    for (let field = 1; field < TYPES.length; field++) {
      const length = this.#counts[field]!
      if (length === 0) continue
      const isWhole = field === this.#own && length <= this.#capacity
      contents[NAMES[field - 1]!] = isWhole ? this.#taken(length) : { length }
    }
    return contents as TypedContents
  }

  #taken(length: number): ArrayLike<unknown> {
    const storage = this.#storage
    return Array.isArray(storage) || storage.length === length ? storage : storage.subarray(0, length)
  }

  #element(field: number): void {
    const reader = this.#reader
    const at = this.#counts[field]!++
    if (field !== this.#own || at >= this.#capacity) {
      reader.skip(TYPES[field]!)
      return
    }
    switch (field) {
      case 1:
        ;(this.#storage as Uint8Array)[at] = reader.uint64() === 0 ? 0 : 1
        break
      case 2:
        ;(this.#storage as Int32Array)[at] = reader.int32()
        break
      case 4:
        ;(this.#storage as Uint32Array)[at] = reader.uint32()
        break
      case 3:
      case 5:
        reader.halves(this.#halves!, at * 2)
        break
      case 6:
        ;(this.#storage as Float32Array)[at] = reader.float()
        break
      case 7:
        ;(this.#storage as Float64Array)[at] = reader.double()
        break
      default:
        ;(this.#storage as Buffer[])[at] = reader.delimited()
    }
  }
}
