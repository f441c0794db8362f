// Puts one record into a slab as a line: the header always if there is room, the payload when policy and room allow it.
import { isUtf8 } from 'node:buffer'
import type { Random } from '../core/index.js'
import { encodeHeader } from './encode-header.js'
import { encodeServed, mayExceed } from './encode-served.js'
import { encodeTensors, estimateBytes } from './encode-tensors.js'
import { QuotedNames } from './json-text.js'
import { oneLine, type Slab } from './slab.js'
import type { LogPolicy, LogPosition, LogRecord, Payload } from './types.js'

/** What happened to a record on its way into the buffer. */
export type Appended = 'whole' | 'without-payload' | 'dropped'

// Encoding tensors runs on the event loop at about 80 ns an element; this bounds it to a few milliseconds. Raw text,
// which is only copied, may be as large as `maxPayloadBytes`.
const MAX_ENCODED_BYTES = 256 * 1024

export const LOST_TO_PRESSURE = ',"payload":null,"payloadDropped":"pressure"'
const LOST_TO_SIZE = ',"payload":null,"payloadDropped":"size"'
const BACKSLASH = 0x5c
const ESCAPED_UNIT = Buffer.from('\\u')
export const LINE_END = '}\n'
/** Room a header keeps free for what can follow it without a payload. */
const CLOSING_BYTES = LOST_TO_PRESSURE.length + LINE_END.length

export class RecordEncoder {
  /** Where the payload of the record appended last starts in the slab; 0 when it has none. */
  payloadStart = 0
  readonly #names = new QuotedNames()

  constructor(
    private readonly policy: (endpoint: string) => LogPolicy,
    private readonly random: Random,
    private readonly maxPayloadBytes: number,
  ) {}

  append(slab: Slab, seq: LogPosition, record: LogRecord): Appended {
    const header = encodeHeader(seq, record, this.#names)
    if (!slab.tryText(header, slab.headerLimit - CLOSING_BYTES)) return 'dropped'
    let result: Appended = 'whole'
    this.payloadStart = 0
    if ((record.kind === 'prediction' || record.kind === 'call') && record.payload) {
      const policy = this.policy(record.endpoint)
      const prediction = record.kind === 'prediction' ? record.id : record.prediction
      if (isSampled(prediction, policy.payloadSample, this.random)) {
        const start = slab.used
        const lost = this.#appendPayload(slab, record.payload, policy)
        if (lost !== undefined) {
          slab.used = start
          slab.tryText(lost, slab.headerLimit)
          result = 'without-payload'
        } else this.payloadStart = start
      }
    }
    slab.tryText(LINE_END, slab.headerLimit)
    return result
  }

  /** Undefined when it was written; otherwise what to write instead, over whatever it left behind. */
  #appendPayload(slab: Slab, payload: Payload, policy: LogPolicy): string | undefined {
    const end = slab.used + this.maxPayloadBytes
    const limit = Math.min(end, slab.payloadLimit - LINE_END.length)
    const lost = limit === end ? LOST_TO_SIZE : LOST_TO_PRESSURE
    const { redact } = policy
    const { rawInputs, outputs } = payload
    // Texts are gathered: each write into the slab has a price of its own.
    let text = `,"payload":{"weight":${1 / policy.payloadSample},"inputs":`
    // Before anything reads the raw text: 64 MiB of it would hold the event loop for tens of milliseconds.
    if ((rawInputs?.length ?? 0) > this.maxPayloadBytes) return LOST_TO_SIZE
    // The raw text is written only when nothing is redacted: it holds whatever the caller sent.
    if (rawInputs !== undefined && redact.length === 0 && isPortable(rawInputs)) {
      if (!slab.tryText(text, limit) || !slab.tryJson(rawInputs, limit)) return lost
      text = ''
    } else {
      if (estimateBytes(payload.inputs) > MAX_ENCODED_BYTES) return LOST_TO_SIZE
      text += encodeTensors(payload.inputs, redact, payload.features)
    }
    for (let i = 0; i < outputs.length; i++) {
      const { call, tensors, raw } = outputs[i]!
      text += `${i === 0 ? ',"outputs":[' : ','}{"call":${call},"tensors":`
      if ((raw?.length ?? 0) > this.maxPayloadBytes) return LOST_TO_SIZE
      if (raw === undefined || !isPortable(raw)) {
        if (estimateBytes(tensors) > MAX_ENCODED_BYTES) return LOST_TO_SIZE
        text += encodeTensors(tensors)
      } else if (typeof raw === 'string') {
        text += oneLine(raw)
      } else {
        if (!slab.tryText(text, limit) || !slab.tryJson(raw, limit)) return lost
        text = ''
      }
      text += '}'
    }
    text += outputs.length === 0 ? ',"outputs":[]' : ']'
    if (payload.served !== undefined) {
      if (mayExceed(payload.served, MAX_ENCODED_BYTES)) return LOST_TO_SIZE
      text += `,"served":${encodeServed(payload.served, redact)}`
    }
    text += '}'
    return slab.tryText(text, limit) ? undefined : lost
  }
}

/**
 * Whether every JSON reader takes the text. For one invalid byte or one surrogate without a partner, both of which callers can
 * send, DuckDB leaves out the whole line, header and all; any escaped code unit is suspected, because encoding anew is cheap.
 */
function isPortable(json: Uint8Array | string): boolean {
  if (typeof json === 'string') return !json.includes('\\u')
  // Called on the prototype because a plain Uint8Array has no search for more than one byte. A single byte is found, or not,
  // in a fraction of the time.
  const { indexOf } = Buffer.prototype
  const at = indexOf.call(json, BACKSLASH)
  return (at === -1 || indexOf.call(json, ESCAPED_UNIT, at) === -1) && isUtf8(json)
}

/**
 * A generated id decides by its last 32 bits, which are random: so a prediction and its late calls are kept or left out
 * together, and the pair has the weight that each of them states. Any other id draws.
 */
function isSampled(prediction: string, share: number, random: Random): boolean {
  if (share >= 1) return true
  if (share <= 0) return false
  const isGenerated = prediction.length === 36 && prediction.charCodeAt(14) === 0x37
  const point = isGenerated ? Number.parseInt(prediction.slice(28), 16) / 2 ** 32 : random.next()
  return point < share
}
