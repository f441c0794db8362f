// A hop's worth of one key's events. A few events are kept as they are, which takes less than parts do; more are merged into parts as soon
// as no later read can take some of them and leave others. Stored parts are decoded when they are first wanted, and encoded again only
// when they have changed: a write of a key with a thousand tiles is then a copy.
import { ByteReader, type ByteWriter, orCorrupt } from './bytes.js'
import { addTo, type Layout, mergeInto } from './layout.js'
import type { CountedEvent, Part } from './parts/part.js'

/** From here on a tile has parts. Those of ten features take some 640 bytes more than one event (bench stream-ingestion, 2026-11-22). */
const MOST_RAW = 8

export class Tile {
  /** Of settled events; no part where no event passed the filter. Undefined also while only `stored` has them. */
  private parts: (Part | undefined)[] | undefined
  /** The parts, encoded; undefined when they have changed since. */
  stored: Uint8Array | undefined
  /** In no order. */
  raw: CountedEvent[] = []
  newestMs = Number.NEGATIVE_INFINITY
  /** Parts of all events, for reads that take all while many are raw. */
  private whole: (Part | undefined)[] | undefined

  constructor(
    readonly layout: Layout,
    readonly startMs: number,
  ) {}

  /** `settledMs`: no read ends before it. */
  add(event: CountedEvent, settledMs: number): void {
    if (event.eventMs > this.newestMs) this.newestMs = event.eventMs
    if (this.whole !== undefined) addTo(this.layout, this.whole, event)
    if (this.hasParts && event.eventMs < settledMs) addTo(this.layout, this.changingParts(), event)
    else {
      this.raw.push(event)
      if (event.eventMs < settledMs) this.settle(settledMs)
    }
  }

  /** Merges raw events before `settledMs` when they are many. False: there was nothing to do. */
  settle(settledMs: number): boolean {
    if (this.raw.length === 0 || (!this.hasParts && this.raw.length <= MOST_RAW)) return false
    const left: CountedEvent[] = []
    for (const event of this.raw) {
      if (event.eventMs >= settledMs) left.push(event)
      else addTo(this.layout, this.changingParts(), event)
    }
    if (left.length <= MOST_RAW) this.whole = undefined
    this.raw = left
    return true
  }

  /** Of an `exact` view, whose events stay raw. */
  dropBefore(fromMs: number): void {
    this.raw = this.raw.filter(({ eventMs }) => eventMs >= fromMs)
    this.whole = undefined
  }

  hasEventIn(fromMs: number, toMs: number): boolean {
    return this.hasParts || this.raw.some(({ eventMs }) => eventMs >= fromMs && eventMs < toMs)
  }

  /** Merges the events from `fromMs` and before `toMs`. Parts are taken whole: no read cuts them. */
  mergeInto(into: (Part | undefined)[], window: number, fromMs: number, toMs: number): void {
    const { layout, raw } = this
    if (raw.length > MOST_RAW && fromMs <= this.startMs && this.newestMs < toMs) {
      mergeInto(layout, into, this.wholeParts(), window)
      return
    }
    const parts = this.settledParts()
    if (parts !== undefined) mergeInto(layout, into, parts, window)
    for (let i = 0; i < raw.length; i++) {
      const event = raw[i]!
      if (event.eventMs >= fromMs && event.eventMs < toMs) addTo(layout, into, event, window)
    }
  }

  get sizeBytes(): number {
    let size = 130 + 150 * this.raw.length + (this.stored?.length ?? 0)
    if (this.parts !== undefined) size += partsBytes(this.parts)
    if (this.whole !== undefined) size += partsBytes(this.whole)
    return size
  }

  /** Encodes the parts, unless they are encoded still; undefined of none. */
  encodedParts(to: ByteWriter): Uint8Array | undefined {
    if (this.parts === undefined || this.stored !== undefined) return this.stored
    to.clear()
    for (let i = 0; i < this.parts.length; i++) {
      const part = this.parts[i]
      to.byte(part === undefined ? 0 : 1)
      part?.write(to)
    }
    this.stored = to.written().slice()
    return this.stored
  }

  private get hasParts(): boolean {
    return this.parts !== undefined || this.stored !== undefined
  }

  /** Throws FEATURE_STATE_CORRUPT. */
  private settledParts(): (Part | undefined)[] | undefined {
    if (this.parts !== undefined || this.stored === undefined) return this.parts
    const { stored, layout } = this
    this.parts = orCorrupt(layout.table, () => {
      const from = new ByteReader(stored)
      return layout.aggregates.map(({ reducer }) => (from.byte() === 1 ? reducer.read(from) : undefined))
    })
    return this.parts
  }

  private changingParts(): (Part | undefined)[] {
    const parts = this.settledParts() ?? noParts(this.layout)
    this.parts = parts
    this.stored = undefined
    return parts
  }

  private wholeParts(): (Part | undefined)[] {
    if (this.whole !== undefined) return this.whole
    const whole = noParts(this.layout)
    const parts = this.settledParts()
    if (parts !== undefined) mergeInto(this.layout, whole, parts, 0)
    for (const event of this.raw) addTo(this.layout, whole, event)
    this.whole = whole
    return whole
  }
}

export function noParts(layout: Layout): (Part | undefined)[] {
  return new Array<Part | undefined>(layout.aggregates.length).fill(undefined)
}

export function partsBytes(parts: readonly (Part | undefined)[]): number {
  let size = 8 * parts.length
  for (const part of parts) if (part !== undefined) size += part.sizeBytes
  return size
}
