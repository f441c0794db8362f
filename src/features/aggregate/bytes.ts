// The bytes of stored states: whole numbers take what they need, everything read is checked against what is left.
import { FeatureErrors } from '../errors.js'
import type { Scalar, Value } from '../value.js'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** What is wrong with bytes that are no stored state. */
export class BytesProblem extends Error {}

/** Gives what `read` gives; throws FEATURE_STATE_CORRUPT where it meets a problem with the bytes. */
export function orCorrupt<T>(view: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof BytesProblem)) throw error
    throw FeatureErrors.STATE_CORRUPT({ view, problem: error.message })
  }
}

export class ByteWriter {
  private buffer = new Uint8Array(512)
  private view = new DataView(this.buffer.buffer)
  private at = 0

  /** Begins again. */
  clear(): this {
    this.at = 0
    return this
  }

  byte(value: number): void {
    this.room(1)
    this.buffer[this.at++] = value
  }

  /** A whole number from 0 to 2^53 - 1. */
  count(value: number): void {
    this.room(8)
    let left = value
    while (left >= 128) {
      this.buffer[this.at++] = (left % 128) | 128
      left = Math.floor(left / 128)
    }
    this.buffer[this.at++] = left
  }

  /** Any number; whole ones of less than 2^51 in size are short. */
  number(value: number): void {
    if (Number.isInteger(value) && Math.abs(value) < 2 ** 51 && !Object.is(value, -0)) {
      this.count(value < 0 ? -2 * value : 2 * value + 1)
      return
    }
    this.count(0)
    this.room(8)
    this.view.setFloat64(this.at, value, true)
    this.at += 8
  }

  numbers(values: readonly number[]): void {
    this.count(values.length)
    for (const value of values) this.number(value)
  }

  text(value: string): void {
    const { length } = value
    this.room(length * 3 + 8)
    const start = this.at
    if (length < 128) {
      // Ids and names are short and mostly ASCII: a loop costs less than a call of the encoder.
      const bytes = this.buffer
      bytes[this.at++] = length
      let i = 0
      for (; i < length; i++) {
        const code = value.charCodeAt(i)
        if (code > 127) break
        bytes[this.at++] = code
      }
      if (i === length) return
      this.at = start
    }
    // The length comes first and is known last.
    const { written } = encoder.encodeInto(value, scratchFor(length * 3))
    this.count(written)
    this.room(written)
    this.buffer.set(scratch.subarray(0, written), this.at)
    this.at += written
  }

  bytes(value: Uint8Array): void {
    this.count(value.length)
    this.put(value)
  }

  /** Without a length before it. */
  put(value: Uint8Array): void {
    this.room(value.length)
    this.buffer.set(value, this.at)
    this.at += value.length
  }

  value(value: Value): void {
    if (value === null) this.byte(0)
    else if (typeof value === 'number') {
      this.byte(1)
      this.number(value)
    } else if (typeof value === 'string') {
      this.byte(2)
      this.text(value)
    } else if (typeof value === 'boolean') this.byte(value ? 3 : 4)
    else if (typeof value === 'bigint') {
      this.byte(5)
      this.text(String(value))
    } else if (value instanceof Float32Array) {
      this.byte(7)
      this.numbers([...value])
    } else {
      this.byte(6)
      this.count(value.length)
      for (const item of value) this.value(item)
    }
  }

  get length(): number {
    return this.at
  }

  /** All of it, as a view that the next write may change. */
  written(): Uint8Array {
    return this.buffer.subarray(0, this.at)
  }

  private room(sizeBytes: number): void {
    if (this.at + sizeBytes <= this.buffer.length) return
    const bytes = new Uint8Array(Math.max(2 * this.buffer.length, this.at + sizeBytes))
    bytes.set(this.buffer)
    this.buffer = bytes
    this.view = new DataView(bytes.buffer)
  }
}

let scratch = new Uint8Array(256)
function scratchFor(sizeBytes: number): Uint8Array {
  if (scratch.length < sizeBytes) scratch = new Uint8Array(2 * sizeBytes)
  return scratch
}

export class ByteReader {
  private at = 0
  private readonly view: DataView

  constructor(readonly source: Uint8Array) {
    this.view = new DataView(source.buffer, source.byteOffset, source.byteLength)
  }

  get left(): number {
    return this.source.length - this.at
  }

  byte(): number {
    this.need(1)
    return this.source[this.at++]!
  }

  count(): number {
    let value = 0
    let unit = 1
    for (let i = 0; i < 8; i++) {
      const byte = this.byte()
      value += (byte & 127) * unit
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
      unit *= 128
    }
    throw new BytesProblem('a number is too large')
  }

  /** A number of things of at least `eachBytes`, which must all be there: nothing is allocated for a count that cannot be. */
  size(eachBytes = 1): number {
    const size = this.count()
    if (size * eachBytes > this.left) throw new BytesProblem(`${size} things are announced and ${this.left} bytes left`)
    return size
  }

  number(): number {
    const coded = this.count()
    if (coded !== 0) return coded % 2 === 0 ? -coded / 2 : (coded - 1) / 2
    this.need(8)
    const value = this.view.getFloat64(this.at, true)
    this.at += 8
    return value
  }

  numbers(): number[] {
    return Array.from({ length: this.size() }, () => this.number())
  }

  text(): string {
    try {
      return decoder.decode(this.bytes())
    } catch {
      throw new BytesProblem('a text is not UTF-8')
    }
  }

  /** A view. */
  bytes(): Uint8Array {
    const size = this.size()
    const bytes = this.source.subarray(this.at, this.at + size)
    this.at += size
    return bytes
  }

  value(): Value {
    const kind = this.byte()
    if (kind === 7) return Float32Array.from(this.numbers())
    if (kind === 6) return Array.from({ length: this.size() }, () => this.scalar())
    return kind === 0 ? null : this.scalarOf(kind)
  }

  scalar(): Scalar {
    return this.scalarOf(this.byte())
  }

  private scalarOf(kind: number): Scalar {
    switch (kind) {
      case 1:
        return this.number()
      case 2:
        return this.text()
      case 3:
        return true
      case 4:
        return false
      case 5: {
        const text = this.text()
        if (!/^-?\d{1,30}$/.test(text)) throw new BytesProblem('a whole number is not one')
        return BigInt(text)
      }
      default:
        throw new BytesProblem(`there is no kind of value ${kind}`)
    }
  }

  private need(sizeBytes: number): void {
    if (sizeBytes > this.left) throw new BytesProblem('the bytes end too soon')
  }
}
