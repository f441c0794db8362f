// The primitives of protobuf's wire format on one buffer. Strict: what is not well-formed is refused, never guessed.
import { GrpcErrors } from './errors.js'

export const VARINT = 0
export const FIXED64 = 1
export const DELIMITED = 2
export const FIXED32 = 5

const TWO_TO_32 = 2 ** 32
/** Counted down, it never meets 0. */
const ANY_NUMBER = -1

export class WireReader {
  position: number
  end: number
  #fieldsLeft: number

  /** A message of more fields than `maxFields`, those inside others counted, is refused: 30 million of nothing fit into 60 MB. */
  constructor(
    readonly bytes: Buffer,
    private readonly maxFields = ANY_NUMBER,
  ) {
    this.position = 0
    this.end = bytes.length
    this.#fieldsLeft = maxFields
  }

  get hasMore(): boolean {
    return this.position < this.end
  }

  /** Field number and wire type: `field << 3 | type`. */
  tag(): number {
    if (this.#fieldsLeft-- === 0) throw invalid(`it has more than ${this.maxFields} fields`)
    const tag = this.uint32()
    if (tag >>> 3 === 0) throw invalid('a field has the number 0')
    return tag
  }

  uint32(): number {
    const { bytes } = this
    const first = this.#byte()
    if (first < 0x80) return first
    let value = first & 0x7f
    for (let shift = 7; shift < 70; shift += 7) {
      const byte = this.position < this.end ? bytes[this.position++]! : this.#byte()
      if (shift < 32) value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
    throw invalid('a number has more than ten bytes')
  }

  /** A 32-bit integer with a sign; ten bytes long when it is negative. */
  int32(): number {
    return this.uint32() | 0
  }

  /** A 64-bit integer with a sign, rounded beyond 2^53. */
  int64(): number {
    const first = this.position < this.end ? this.bytes[this.position]! : 0x80
    if (first < 0x80) {
      this.position++
      return first
    }
    this.#split()
    return (high | 0) * TWO_TO_32 + low
  }

  /** The same without a sign. */
  uint64(): number {
    this.#split()
    return high * TWO_TO_32 + low
  }

  bigint(isSigned: boolean): bigint {
    this.#split()
    return (BigInt(isSigned ? high | 0 : high) << 32n) | BigInt(low)
  }

  /** A 64-bit integer as two of 32 bits, the lower one first. */
  halves(into: Uint32Array, at: number): void {
    this.#split()
    into[at] = low
    into[at + 1] = high
  }

  float(): number {
    const at = this.#skip(4)
    return this.bytes.readFloatLE(at)
  }

  double(): number {
    const at = this.#skip(8)
    return this.bytes.readDoubleLE(at)
  }

  /** Where a field of bytes starts; the position is then after it. */
  delimited(): Buffer {
    const sizeBytes = this.uint32()
    const at = this.#skip(sizeBytes)
    return this.bytes.subarray(at, at + sizeBytes)
  }

  string(): string {
    const sizeBytes = this.uint32()
    const at = this.#skip(sizeBytes)
    return this.bytes.toString('utf8', at, at + sizeBytes)
  }

  /** Goes into a message that is a field of this one; returns what `leave` takes to come out again. */
  enter(): number {
    const outerEnd = this.end
    const sizeBytes = this.uint32()
    if (sizeBytes > this.end - this.position) throw invalid('a field reaches beyond its message')
    this.end = this.position + sizeBytes
    return outerEnd
  }

  leave(outerEnd: number): void {
    this.end = outerEnd
  }

  /** A field that nobody here knows. */
  skip(tag: number): void {
    switch (tag & 7) {
      case VARINT:
        this.uint32()
        return
      case FIXED64:
        this.#skip(8)
        return
      case DELIMITED:
        this.#skip(this.uint32())
        return
      case FIXED32:
        this.#skip(4)
        return
      default:
        throw invalid(`field ${tag >>> 3} has the wire type ${tag & 7}`)
    }
  }

  #split(): void {
    low = 0
    high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte()
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high = bits >>> 4
      } else if (shift < 63) high |= bits << (shift - 32)
      else high |= (bits & 1) << 31
      if (byte < 0x80) {
        low >>>= 0
        high >>>= 0
        return
      }
    }
    throw invalid('a number has more than ten bytes')
  }

  #byte(): number {
    if (this.position >= this.end) throw invalid('it ends in the middle of a number')
    return this.bytes[this.position++]!
  }

  #skip(sizeBytes: number): number {
    const at = this.position
    if (sizeBytes > this.end - at) throw invalid('a field reaches beyond its message')
    this.position = at + sizeBytes
    return at
  }
}

/** The two halves of the latest 64-bit number: no object, and no bigint, for each. */
let low = 0
let high = 0

export function invalid(problem: string): Error {
  return GrpcErrors.MESSAGE_INVALID({ problem })
}
