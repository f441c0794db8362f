// Writing and reading stored bytes. Text is WTF-8: UTF-8, with lone surrogates as their own three bytes, so that any two keys stay apart.
import { isWellFormed } from '../check-value.js'
import { FeatureErrors } from '../errors.js'

/** UTF-8 never has this byte with one from 0xa0 on behind it. */
const SURROGATE_LEAD = 0xed

export function textBytes(text: string): Buffer {
  if (isWellFormed(text)) return Buffer.from(text, 'utf8')
  const parts: Buffer[] = []
  for (const letter of text) {
    const code = letter.codePointAt(0)!
    parts.push(
      code >= 0xd800 && code <= 0xdfff
        ? Buffer.of(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f))
        : Buffer.from(letter, 'utf8'),
    )
  }
  return Buffer.concat(parts)
}

export function bytesText(bytes: Buffer, start = 0, end = bytes.length): string {
  const surrogate = findSurrogate(bytes, start, end)
  if (surrogate === -1) return bytes.toString('utf8', start, end)
  const code = 0xd000 | ((bytes[surrogate + 1]! & 0x3f) << 6) | (bytes[surrogate + 2]! & 0x3f)
  return bytes.toString('utf8', start, surrogate) + String.fromCharCode(code) + bytesText(bytes, surrogate + 3, end)
}

function findSurrogate(bytes: Buffer, start: number, end: number): number {
  for (
    let at = bytes.indexOf(SURROGATE_LEAD, start);
    at !== -1 && at < end - 2;
    at = bytes.indexOf(SURROGATE_LEAD, at + 1)
  ) {
    if (bytes[at + 1]! >= 0xa0) return at
  }
  return -1
}

export class ByteWriter {
  #bytes: Buffer
  /** Of the same memory: several times as fast with numbers as a Buffer. */
  #view: DataView
  #length = 0

  constructor(sizeBytes = 256) {
    this.#bytes = Buffer.allocUnsafe(sizeBytes)
    this.#view = viewOf(this.#bytes)
  }

  get length(): number {
    return this.#length
  }

  u8(value: number): void {
    const at = this.#room(1)
    this.#bytes[at] = value
  }

  /** Up to 2^31. */
  varint(value: number): void {
    let left = value
    while (left >= 0x80) {
      this.u8((left & 0x7f) | 0x80)
      left >>>= 7
    }
    this.u8(left)
  }

  f32(value: number): void {
    const at = this.#room(4)
    this.#view.setFloat32(at, value, true)
  }

  f64(value: number): void {
    const at = this.#room(8)
    this.#view.setFloat64(at, value, true)
  }

  /** `u8(tag)` and `f64(value)` in one step. */
  tagged(tag: number, value: number): void {
    const at = this.#room(9)
    this.#bytes[at] = tag
    this.#view.setFloat64(at + 1, value, true)
  }

  /** Big-endian, as Redis's scripts read it too. */
  f64be(value: number): void {
    const at = this.#room(8)
    this.#view.setFloat64(at, value)
  }

  i64(value: bigint): void {
    const at = this.#room(8)
    this.#view.setBigInt64(at, value, true)
  }

  text(text: string): void {
    const length = text.length
    if (length < 64) {
      // Short text is nearly always ASCII: written without asking how long it is in UTF-8.
      const start = this.#room(1 + length)
      let i = 0
      for (; i < length; i++) {
        const code = text.charCodeAt(i)
        if (code >= 0x80) break
        this.#bytes[start + 1 + i] = code
      }
      if (i === length) {
        this.#bytes[start] = length
        return
      }
      this.#length = start
    }
    this.bytes(textBytes(text))
  }

  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length)
    this.raw(bytes)
  }

  raw(bytes: Uint8Array): void {
    const start = this.#room(bytes.length)
    this.#bytes.set(bytes, start)
  }

  /** What was written since the last time, in memory of its own. */
  take(): Buffer {
    const taken = Buffer.from(this.#bytes.subarray(0, this.#length))
    this.#length = 0
    return taken
  }

  /** May change `#bytes`: called before they are looked up. */
  #room(sizeBytes: number): number {
    const start = this.#length
    const end = start + sizeBytes
    if (end > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(end, 2 * this.#bytes.length))
      this.#bytes.copy(larger, 0, 0, start)
      this.#bytes = larger
      this.#view = viewOf(larger)
    }
    this.#length = end
    return start
  }
}

/** Throws FEATURE_ROW_CORRUPT where bytes end too early. */
export class ByteReader {
  readonly #view: DataView
  #at: number

  constructor(
    private readonly buffer: Buffer,
    start = 0,
    private readonly end = buffer.length,
  ) {
    this.#view = viewOf(buffer)
    this.#at = start
  }

  get left(): number {
    return this.end - this.#at
  }

  u8(): number {
    return this.buffer[this.#take(1)]!
  }

  varint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw FeatureErrors.ROW_CORRUPT({ problem: 'a number in it does not end' })
  }

  f32(): number {
    return this.#view.getFloat32(this.#take(4), true)
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true)
  }

  f64be(): number {
    return this.#view.getFloat64(this.#take(8))
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#take(8), true)
  }

  text(): string {
    const length = this.varint()
    const start = this.#take(length)
    return bytesText(this.buffer, start, start + length)
  }

  /** In memory of its own. */
  bytes(): Buffer {
    const length = this.varint()
    const start = this.#take(length)
    return Buffer.from(this.buffer.subarray(start, start + length))
  }

  #take(sizeBytes: number): number {
    const start = this.#at
    if (start + sizeBytes > this.end) throw FeatureErrors.ROW_CORRUPT({ problem: 'it ends too early' })
    this.#at = start + sizeBytes
    return start
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength)
}
