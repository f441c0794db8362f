// Ids are distinct types made by a parser. Generated ones are UUID version 7 (RFC 9562, section 5.7): they sort by time.
import type { Clock } from './clock.js'
import type { Random } from './random.js'

declare const brand: unique symbol
type Branded<T, B extends string> = T & { readonly [brand]: B }

export type PredictionId = Branded<string, 'PredictionId'>
export type DecisionId = Branded<string, 'DecisionId'>
export type ModelName = Branded<string, 'ModelName'>
export type EndpointName = Branded<string, 'EndpointName'>
/** `sha256:` and 64 lower-case hex digits. */
export type Digest = Branded<string, 'Digest'>

export interface Ids {
  /** A new time-ordered id; ids of one generator never repeat and never go backwards. */
  next(): string
}

/** Character codes of the two hex digits of each byte. */
const HIGH = new Uint8Array(256)
const LOW = new Uint8Array(256)
for (let byte = 0; byte < 256; byte++) {
  HIGH[byte] = '0123456789abcdef'.charCodeAt(byte >> 4)
  LOW[byte] = '0123456789abcdef'.charCodeAt(byte & 15)
}
/** Where each of the 16 bytes stands in the text, between the hyphens. */
const PLACES = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34] as const

export function createIds(clock: Clock, random: Random): Ids {
  // One text in memory of its own, cut into strings: putting them together from pieces costs ten times as much memory.
  const text = Buffer.from('--------------------------------------')
  let lastMs = -1
  let sequence = 0
  const put = (index: number, byte: number): void => {
    const at = PLACES[index]!
    text[at] = HIGH[byte & 0xff]!
    text[at + 1] = LOW[byte & 0xff]!
  }
  const putTime = (ms: number): void => {
    const high = Math.floor(ms / 0x100000000)
    put(0, high >>> 8)
    put(1, high)
    for (let i = 0; i < 4; i++) put(2 + i, ms >>> (24 - 8 * i))
  }
  return {
    next() {
      const nowMs = clock.nowMs()
      if (nowMs > lastMs) {
        lastMs = nowMs
        putTime(nowMs)
        // 11 random bits leave half of the 12-bit counter for ids of the same millisecond.
        sequence = random.uint32() & 0x7ff
      } else if (++sequence > 0xfff) {
        // More than 2,048 ids in a millisecond, or a clock that stands still or goes back: borrow the next one.
        putTime(++lastMs)
        sequence = 0
      }
      const a = random.uint32()
      const b = random.uint32()
      put(6, 0x70 | (sequence >>> 8))
      put(7, sequence)
      put(8, 0x80 | (a & 0x3f))
      put(9, a >>> 8)
      put(10, a >>> 16)
      put(11, a >>> 24)
      put(12, b)
      put(13, b >>> 8)
      put(14, b >>> 16)
      put(15, b >>> 24)
      return text.toString('latin1', 0, 36)
    },
  }
}

/** The millisecond an id was made in, or undefined when it is no UUID version 7. */
export function idTimeMs(id: string): number | undefined {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)) return undefined
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}

/** Names of models and endpoints: letters, digits, `.`, `_` and `-`, at most 128, starting with a letter or digit. */
export function isName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(text)
}

export function parseModelName(text: string): ModelName | undefined {
  return isName(text) ? (text as ModelName) : undefined
}

export function parseEndpointName(text: string): EndpointName | undefined {
  return isName(text) ? (text as EndpointName) : undefined
}

export function parseDigest(text: string): Digest | undefined {
  return /^sha256:[0-9a-f]{64}$/.test(text) ? (text as Digest) : undefined
}
