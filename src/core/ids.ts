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

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function createIds(clock: Clock, random: Random): Ids {
  let lastMs = -1
  let sequence = 0
  let prefix = ''
  return {
    next() {
      const nowMs = clock.nowMs()
      if (nowMs > lastMs) {
        lastMs = nowMs
        prefix = timePrefix(nowMs)
        // 11 random bits leave half of the 12-bit counter for ids of the same millisecond.
        sequence = random.uint32() & 0x7ff
      } else if (++sequence > 0xfff) {
        // More than 2,048 ids in a millisecond, or a clock that stands still or goes back: borrow the next one.
        prefix = timePrefix(++lastMs)
        sequence = 0
      }
      const a = random.uint32()
      const b = random.uint32()
      return (
        prefix +
        HEX[0x70 | (sequence >>> 8)] +
        HEX[sequence & 0xff] +
        '-' +
        HEX[0x80 | (a & 0x3f)] +
        HEX[(a >>> 8) & 0xff] +
        '-' +
        HEX[(a >>> 16) & 0xff] +
        HEX[a >>> 24] +
        HEX[b & 0xff] +
        HEX[(b >>> 8) & 0xff] +
        HEX[(b >>> 16) & 0xff] +
        HEX[b >>> 24]
      )
    },
  }
}

function timePrefix(ms: number): string {
  const hex = ms.toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-`
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
