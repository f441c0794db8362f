// Reads the request head of a plain prediction straight from the bytes. It knows one narrow form of HTTP/1.1 and says `other` to
// everything else, so that what is odd or hostile is read by node:http alone: nothing is ever understood in two ways.
import type { PredictHeader } from '../predict/exchange.js'
import { type PredictTarget, predictTarget } from '../target.js'

/** A head that was understood. Immutable and shared: clients send the same one again and again. */
export interface Head {
  readonly url: string
  readonly target: PredictTarget
  readonly host: string
  readonly origin: string | undefined
  readonly headers: Readonly<Partial<Record<PredictHeader, string>>>
  /** False when the client closes the connection after this request. */
  readonly isKeptAlive: boolean
  /** What stands before and after the digits of Content-Length; with any digits between them this head means the same. */
  readonly before: Uint8Array
  readonly after: Uint8Array
}

/** `incomplete`: fine so far. `other`: not for us, whatever follows. */
export type HeadResult = 'whole' | 'incomplete' | 'other'

/** Longer heads are node:http's. */
const MAX_HEAD_BYTES = 4096

const SPACE = 0x20
const CR = 0x0d
const LF = 0x0a
const COLON = 0x3a
const ZERO = 0x30
const METHOD = Buffer.from('POST /')
const VERSION = Buffer.from(' HTTP/1.1\r\n')

/** One bit a byte may have. */
const URL = 1
const NAME = 2
const VALUE = 4

const KINDS = new Uint8Array(256)
for (let byte = 0x20; byte < 0x7f; byte++) {
  const character = String.fromCharCode(byte)
  KINDS[byte] =
    VALUE |
    (/[A-Za-z0-9/:._~%?=&+,-]/.test(character) ? URL : 0) |
    // RFC 9110, section 5.6.2.
    (/[A-Za-z0-9!#$%&'*+.^_`|~-]/.test(character) ? NAME : 0)
}

const LENGTH = 0
const HOST = 1
const ORIGIN = 2
const CONNECTION = 3
const FIRST_PREDICT = 4
const PREDICT_HEADERS: readonly PredictHeader[] = [
  'content-type',
  'content-encoding',
  'accept-encoding',
  'inference-header-content-length',
  'headrace-unit',
  'headrace-priority',
  'traceparent',
  'authorization',
  'x-api-key',
]
const KNOWN: readonly string[] = ['content-length', 'host', 'origin', 'connection', ...PREDICT_HEADERS]
/** They change how the message is framed or what is to be answered. */
const OTHERS_HEADERS = ['transfer-encoding', 'upgrade', 'expect', 'trailer', 'proxy-connection', 'http2-settings']
const UNKNOWN = -1
const NOT_OURS = -2

interface Name {
  readonly bytes: Uint8Array
  readonly slot: number
}

/** The names of interest, by their length. */
const NAMES: readonly (readonly Name[])[] = Array.from({ length: 32 }, (_, length) =>
  [
    ...KNOWN.map((name, slot) => ({ bytes: Buffer.from(name), slot })),
    ...OTHERS_HEADERS.map((name) => ({ bytes: Buffer.from(name), slot: NOT_OURS })),
  ].filter(({ bytes }) => bytes.length === length),
)

/** Longer bodies are node:http's; so many digits are enough for it. */
const MAX_LENGTH_DIGITS = 7

export class HeadReader {
  /** Of the head read last. */
  head: Head | undefined
  /** Where the body starts. */
  end = 0
  contentLength = 0
  readonly #starts = new Int32Array(KNOWN.length)
  readonly #ends = new Int32Array(KNOWN.length)

  /** Reads one head of `bytes` from `start`; `likely` is one that the same client has sent before. */
  read(bytes: Buffer, start: number, likely: Head | undefined): HeadResult {
    if (likely !== undefined && this.#isLike(likely, bytes, start)) {
      this.head = likely
      return 'whole'
    }
    const stop = Math.min(bytes.length, start + MAX_HEAD_BYTES)
    const result = this.#parse(bytes, start, stop)
    return result === 'incomplete' && stop < bytes.length ? 'other' : result
  }

  #isLike({ before, after }: Head, bytes: Buffer, start: number): boolean {
    let at = start + before.length
    if (at >= bytes.length || !isAt(bytes, start, before)) return false
    const first = at
    let length = 0
    for (; at < bytes.length; at++) {
      const digit = bytes[at]! - ZERO
      if (digit < 0 || digit > 9) break
      length = length * 10 + digit
    }
    if (!isPlainLength(bytes, first, at)) return false
    const end = at + after.length
    if (end > bytes.length || !isAt(bytes, at, after)) return false
    this.contentLength = length
    this.end = end
    return true
  }

  #parse(bytes: Buffer, start: number, stop: number): HeadResult {
    let at = start
    for (let i = 0; i < METHOD.length; i++, at++) {
      if (at === stop) return 'incomplete'
      if (bytes[at] !== METHOD[i]) return 'other'
    }
    const urlStart = at - 1
    while (at < stop && (KINDS[bytes[at]!]! & URL) !== 0) at++
    const urlEnd = at
    for (let i = 0; i < VERSION.length; i++, at++) {
      if (at === stop) return 'incomplete'
      if (bytes[at] !== VERSION[i]) return 'other'
    }
    const url = bytes.toString('latin1', urlStart, urlEnd)
    const target = predictTarget(url)
    if (target === undefined || target === 'bad') return 'other'
    let seen = 0
    for (;;) {
      if (at === stop) return 'incomplete'
      if (bytes[at] === CR) break
      const nameStart = at
      while (at < stop && (KINDS[bytes[at]!]! & NAME) !== 0) at++
      if (at === stop) return 'incomplete'
      if (bytes[at] !== COLON || at === nameStart) return 'other'
      const slot = slotOf(bytes, nameStart, at)
      if (slot === NOT_OURS) return 'other'
      at++
      while (at < stop && bytes[at] === SPACE) at++
      const valueStart = at
      while (at < stop && (KINDS[bytes[at]!]! & VALUE) !== 0) at++
      if (at === stop) return 'incomplete'
      if (bytes[at] !== CR) return 'other'
      const valueEnd = at
      if (++at === stop) return 'incomplete'
      if (bytes[at++] !== LF) return 'other'
      if (slot === UNKNOWN) continue
      // What it means twice, or with nothing in it, is for node:http to say.
      if ((seen & (1 << slot)) !== 0 || valueEnd === valueStart || bytes[valueEnd - 1] === SPACE) return 'other'
      seen |= 1 << slot
      this.#starts[slot] = valueStart
      this.#ends[slot] = valueEnd
    }
    if (++at === stop) return 'incomplete'
    if (bytes[at++] !== LF) return 'other'
    const needed = (1 << LENGTH) | (1 << HOST)
    if ((seen & needed) !== needed) return 'other'
    const lengthStart = this.#starts[LENGTH]!
    const lengthEnd = this.#ends[LENGTH]!
    if (!isPlainLength(bytes, lengthStart, lengthEnd)) return 'other'
    const connection = this.#value(bytes, CONNECTION, seen)?.toLowerCase() ?? 'keep-alive'
    if (connection !== 'keep-alive' && connection !== 'close') return 'other'
    const headers: Partial<Record<PredictHeader, string>> = {}
    for (let i = 0; i < PREDICT_HEADERS.length; i++) {
      const value = this.#value(bytes, FIRST_PREDICT + i, seen)
      if (value !== undefined) headers[PREDICT_HEADERS[i]!] = value
    }
    this.head = {
      url,
      target,
      host: this.#value(bytes, HOST, seen)!,
      origin: this.#value(bytes, ORIGIN, seen),
      headers,
      isKeptAlive: connection === 'keep-alive',
      // Copies: a slice would keep the whole chunk in memory.
      before: Buffer.from(bytes.subarray(start, lengthStart)),
      after: Buffer.from(bytes.subarray(lengthEnd, at)),
    }
    this.contentLength = Number(bytes.toString('latin1', lengthStart, lengthEnd))
    this.end = at
    return 'whole'
  }

  #value(bytes: Buffer, slot: number, seen: number): string | undefined {
    return (seen & (1 << slot)) === 0 ? undefined : bytes.toString('latin1', this.#starts[slot]!, this.#ends[slot]!)
  }
}

/** From here on the native comparison is worth its call. */
const MANY_BYTES = 64

function isAt(bytes: Buffer, start: number, expected: Uint8Array): boolean {
  const { length } = expected
  if (length >= MANY_BYTES) return bytes.compare(expected, 0, length, start, start + length) === 0
  for (let i = 0; i < length; i++) if (bytes[start + i] !== expected[i]) return false
  return true
}

/** Digits only, without a sign or leading zeros. */
function isPlainLength(bytes: Buffer, start: number, end: number): boolean {
  if (end === start || end - start > MAX_LENGTH_DIGITS) return false
  if (bytes[start] === ZERO) return end === start + 1
  for (let i = start; i < end; i++) if (bytes[i]! < ZERO || bytes[i]! > ZERO + 9) return false
  return true
}

function slotOf(bytes: Buffer, start: number, end: number): number {
  const candidates = NAMES[end - start]
  if (candidates === undefined) return UNKNOWN
  for (let c = 0; c < candidates.length; c++) {
    const { bytes: name, slot } = candidates[c]!
    let i = 0
    // Letters differ from their capitals in one bit, and `-` has it set.
    while (i < name.length && (bytes[start + i]! | 0x20) === name[i]) i++
    if (i === name.length) return slot
  }
  return UNKNOWN
}
