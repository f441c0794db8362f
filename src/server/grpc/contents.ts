// InferTensorContents from its bytes: lists of numbers, packed or not. Large ones are read a slice at a time, so that other work
// gets its turn.
import type { TypedContents } from '../../tensor/index.js'
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

type Lists = { -readonly [K in keyof TypedContents]?: unknown[] }

/** Throws GRPC_MESSAGE_INVALID. */
export function decodeContents(bytes: Buffer): TypedContents {
  const floats = packedFloats(bytes)
  if (floats !== undefined) return floats
  const reader = new ContentsReader(bytes)
  reader.read(bytes.length)
  return reader.contents
}

/** Rejects with GRPC_MESSAGE_INVALID. */
export async function decodeContentsInTurns(bytes: Buffer): Promise<TypedContents> {
  const floats = packedFloats(bytes)
  if (floats !== undefined) return floats
  const reader = new ContentsReader(bytes)
  for (let end = CONTENTS_INLINE_BYTES; end < bytes.length; end += CONTENTS_INLINE_BYTES) {
    reader.read(end)
    await new Promise((resolve) => setImmediate(resolve))
  }
  reader.read(bytes.length)
  return reader.contents
}

/** Nothing but one packed list of floats, as clients write them: it is memory already. */
function packedFloats(bytes: Buffer): TypedContents | undefined {
  if (bytes.length < 2) return undefined
  const reader = new WireReader(bytes)
  const tag = reader.tag()
  if (tag !== ((6 << 3) | DELIMITED) && tag !== ((7 << 3) | DELIMITED)) return undefined
  const packed = reader.delimited()
  const isDouble = tag >>> 3 === 7
  if (reader.hasMore || packed.length % (isDouble ? 8 : 4) !== 0) return undefined
  const { buffer } = new Uint8Array(packed)
  return isDouble ? { fp64Contents: new Float64Array(buffer) } : { fp32Contents: new Float32Array(buffer) }
}

/** Decodes up to a position, and goes on from there. */
class ContentsReader {
  readonly contents: TypedContents = {}
  readonly #reader: WireReader
  /** Of the packed list that is being read: its field and where it ends; 0 outside of one. */
  #field = 0
  #packedEnd = 0

  constructor(bytes: Buffer) {
    this.#reader = new WireReader(bytes)
  }

  /** Throws GRPC_MESSAGE_INVALID. */
  read(until: number): void {
    const reader = this.#reader
    while (reader.position < until) {
      if (this.#field !== 0) {
        const list = this.#list(this.#field)
        const end = Math.min(until, this.#packedEnd)
        while (reader.position < end) list.push(this.#element(this.#field))
        if (reader.position > this.#packedEnd) throw invalid('an element reaches beyond its list')
        if (reader.position === this.#packedEnd) this.#field = 0
        continue
      }
      const tag = reader.tag()
      const field = tag >>> 3
      const type = TYPES[field]
      if (type === undefined) reader.skip(tag)
      else if ((tag & 7) === type) this.#list(field).push(this.#element(field))
      else if ((tag & 7) === DELIMITED) {
        const sizeBytes = reader.uint32()
        this.#packedEnd = reader.position + sizeBytes
        if (this.#packedEnd > reader.end) throw invalid('a field reaches beyond its message')
        if (sizeBytes > 0) this.#field = field
      } else reader.skip(tag)
    }
  }

  #list(field: number): unknown[] {
    const lists = this.contents as Lists
    const name = NAMES[field - 1]!
    lists[name] ??= []
    return lists[name]
  }

  #element(field: number): unknown {
    const reader = this.#reader
    switch (field) {
      case 1:
        return reader.uint64() !== 0
      case 2:
        return reader.int32()
      case 3:
        return reader.bigint(true)
      case 4:
        return reader.uint32()
      case 5:
        return reader.bigint(false)
      case 6:
        return reader.float()
      case 7:
        return reader.double()
      default:
        return reader.delimited()
    }
  }
}
