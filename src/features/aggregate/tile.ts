// A hop's worth of one key's events. A few events are kept as they are, which takes less than parts do; more are merged into parts as soon
// as no later read can take some of them and leave others.
import { addTo, type Layout, mergeInto } from './layout.js'
import type { CountedEvent, Part } from './parts/part.js'

/** A tile has parts from here on. By measurement: at 4 and at 16 keys take more memory and reads more time. */
const MOST_RAW = 8

export class Tile {
  /** Of settled events; no part where no event passed the filter. */
  parts: (Part | undefined)[] | undefined
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
    if (this.parts !== undefined && event.eventMs < settledMs) addTo(this.layout, this.parts, event)
    else {
      this.raw.push(event)
      if (event.eventMs < settledMs) this.settle(settledMs)
    }
  }

  /** Merges raw events before `settledMs` when they are many. */
  settle(settledMs: number): void {
    if (this.raw.length === 0 || (this.parts === undefined && this.raw.length <= MOST_RAW)) return
    const left: CountedEvent[] = []
    for (const event of this.raw) {
      if (event.eventMs >= settledMs) left.push(event)
      else {
        this.parts ??= noParts(this.layout)
        addTo(this.layout, this.parts, event)
      }
    }
    if (left.length <= MOST_RAW) this.whole = undefined
    this.raw = left
  }

  /** Of an `exact` view, whose events stay raw. */
  dropBefore(fromMs: number): void {
    this.raw = this.raw.filter(({ eventMs }) => eventMs >= fromMs)
    this.whole = undefined
  }

  hasEventIn(fromMs: number, toMs: number): boolean {
    return this.parts !== undefined || this.raw.some(({ eventMs }) => eventMs >= fromMs && eventMs < toMs)
  }

  /** Merges the events from `fromMs` and before `toMs`. Parts are taken whole: no read cuts them. */
  mergeInto(into: (Part | undefined)[], window: number, fromMs: number, toMs: number): void {
    const { layout, raw } = this
    if (raw.length > MOST_RAW && fromMs <= this.startMs && this.newestMs < toMs) {
      mergeInto(layout, into, this.wholeParts(), window)
      return
    }
    if (this.parts !== undefined) mergeInto(layout, into, this.parts, window)
    for (let i = 0; i < raw.length; i++) {
      const event = raw[i]!
      if (event.eventMs >= fromMs && event.eventMs < toMs) addTo(layout, into, event, window)
    }
  }

  get sizeBytes(): number {
    let size = 120 + 150 * this.raw.length
    if (this.parts !== undefined) size += partsBytes(this.parts)
    if (this.whole !== undefined) size += partsBytes(this.whole)
    return size
  }

  private wholeParts(): (Part | undefined)[] {
    if (this.whole !== undefined) return this.whole
    const whole = noParts(this.layout)
    if (this.parts !== undefined) mergeInto(this.layout, whole, this.parts, 0)
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
