// Universal Binary JSON (https://ubjson.org, draft 12) as XGBoost writes it, into plain values. Lengths are compared with the
// bytes that are left before anything is allocated for them, and depth is bounded: the file may be made to hurt.
import { expectAtMost, unreadable } from './failure.js'

const MAX_DEPTH = 64
/** Without the elements of typed arrays, which hold all that there is much of. */
const MAX_VALUES = 10_000_000

const NUMBER_SIZE: Readonly<Record<string, number>> = { i: 1, U: 1, I: 2, l: 4, L: 8, d: 4, D: 8 }

/** Typed arrays of numbers come out as typed arrays, except that 64-bit integers come out as doubles. Throws UNREADABLE. */
export function readUbjson(bytes: Uint8Array): unknown {
  const reader = new Reader(bytes)
  const value = reader.value(reader.marker(), 0)
  reader.expectEnd()
  return value
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0
  #values = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** The next one that is no padding. */
  marker(): string {
    for (;;) {
      this.#need(1)
      const marker = String.fromCharCode(this.#bytes[this.#at++]!)
      if (marker !== 'N') return marker
    }
  }

  expectEnd(): void {
    while (this.#bytes[this.#at] === 0x4e) this.#at++
    if (this.#at !== this.#bytes.length) throw unreadable(`its value ends at byte ${this.#at}, and more follows`)
  }

  value(marker: string, depth: number): unknown {
    expectAtMost('values', MAX_VALUES, ++this.#values)
    if (depth > MAX_DEPTH) throw unreadable(`it is nested deeper than ${MAX_DEPTH} levels`)
    switch (marker) {
      case 'Z':
        return null
      case 'T':
        return true
      case 'F':
        return false
      case 'C':
        return String.fromCharCode(this.#take(1)[0]!)
      case 'S':
        return this.#text(this.#length())
      case '[':
        return this.#array(depth)
      case '{':
        return this.#object(depth)
      default:
        return this.#number(marker)
    }
  }

  #array(depth: number): unknown {
    const type = this.#optional('$') ? this.marker() : undefined
    const count = this.#optional('#') ? this.#length() : undefined
    if (type !== undefined) {
      if (count === undefined) throw unreadable(`the list at byte ${this.#at} has a type and no length`)
      return this.#typedArray(type, count)
    }
    const items: unknown[] = []
    if (count !== undefined) {
      // Each takes a byte at least.
      this.#need(count)
      for (let i = 0; i < count; i++) items.push(this.value(this.marker(), depth + 1))
      return items
    }
    for (let marker = this.marker(); marker !== ']'; marker = this.marker()) items.push(this.value(marker, depth + 1))
    return items
  }

  #typedArray(type: string, count: number): unknown {
    const size = NUMBER_SIZE[type]
    if (size === undefined) throw unreadable(`the list at byte ${this.#at} is of type "${type}", which is no number`)
    this.#need(count * size)
    const numbers = type === 'd' ? new Float32Array(count) : new Float64Array(count)
    for (let i = 0; i < count; i++) numbers[i] = this.#number(type)
    return numbers
  }

  #object(depth: number): Record<string, unknown> {
    if (this.#optional('$')) throw unreadable(`the object at byte ${this.#at} has a type, which no model has`)
    const count = this.#optional('#') ? this.#length() : Number.POSITIVE_INFINITY
    const object: Record<string, unknown> = Object.create(null)
    for (let i = 0; i < count; i++) {
      if (count === Number.POSITIVE_INFINITY && this.#optional('}')) break
      const key = this.#text(this.#length())
      object[key] = this.value(this.marker(), depth + 1)
    }
    return object
  }

  #number(type: string): number {
    const size = NUMBER_SIZE[type]
    if (size === undefined) throw unreadable(`byte ${this.#at - 1} starts no value`)
    this.#need(size)
    const at = this.#at
    this.#at += size
    switch (type) {
      case 'i':
        return this.#view.getInt8(at)
      case 'U':
        return this.#view.getUint8(at)
      case 'I':
        return this.#view.getInt16(at)
      case 'l':
        return this.#view.getInt32(at)
      case 'L':
        return Number(this.#view.getBigInt64(at))
      case 'd':
        return this.#view.getFloat32(at)
      default:
        return this.#view.getFloat64(at)
    }
  }

  #length(): number {
    const type = this.marker()
    const length = 'iUIlL'.includes(type) ? this.#number(type) : Number.NaN
    if (!(length >= 0)) throw unreadable(`the length before byte ${this.#at} is none`)
    return length
  }

  #text(length: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(this.#take(length))
    } catch (error) {
      throw error instanceof TypeError ? unreadable(`the text before byte ${this.#at} is not UTF-8`) : error
    }
  }

  #take(length: number): Uint8Array {
    this.#need(length)
    const from = this.#at
    this.#at += length
    return this.#bytes.subarray(from, this.#at)
  }

  #optional(marker: string): boolean {
    if (this.#bytes[this.#at] !== marker.charCodeAt(0)) return false
    this.#at++
    return true
  }

  #need(length: number): void {
    const left = this.#bytes.length - this.#at
    if (length > left) throw unreadable(`byte ${this.#at} speaks of ${length} bytes, and ${left} follow`)
  }
}
