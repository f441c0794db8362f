// A hop's worth of one key's events: parts of those that every later read takes whole, and the events that one may yet cut.
import { addTo, type Layout, mergeInto } from './layout.js'
import type { CountedEvent, Part } from './parts/part.js'

/** With more raw events than this, parts of them are kept beside them for reads that take all. */
const RAW_MERGED_ONE_BY_ONE = 4

export class Tile {
  /** Of settled events; no part where no event passed the filter. */
  readonly parts: (Part | undefined)[]
  settled = 0
  /** In no order. */
  raw: CountedEvent[] = []
  newestMs = Number.NEGATIVE_INFINITY
  /** Parts of all events, settled or raw. */
  #whole: (Part | undefined)[] | undefined

  constructor(
    readonly layout: Layout,
    readonly startMs: number,
  ) {
    this.parts = new Array<Part | undefined>(layout.aggregates.length).fill(undefined)
  }

  addSettled(event: CountedEvent): void {
    addTo(this.layout, this.parts, event)
    this.settled++
    this.#added(event)
  }

  addRaw(event: CountedEvent): void {
    this.raw.push(event)
    this.#added(event)
  }

  /** Raw events before `untilMs` become part of the whole. */
  settle(untilMs: number): void {
    if (this.raw.length === 0) return
    const left: CountedEvent[] = []
    for (const event of this.raw) {
      if (event.eventMs >= untilMs) left.push(event)
      else {
        addTo(this.layout, this.parts, event)
        this.settled++
      }
    }
    if (left.length === 0) this.#whole = undefined
    this.raw = left
  }

  /** Events before `fromMs` are forgotten. Of an `exact` view, which settles none. */
  dropBefore(fromMs: number): void {
    this.raw = this.raw.filter(({ eventMs }) => eventMs >= fromMs)
    this.#whole = undefined
  }

  hasEventIn(fromMs: number, toMs: number): boolean {
    if (this.settled > 0) return true
    return this.raw.some(({ eventMs }) => eventMs >= fromMs && eventMs < toMs)
  }

  /** Merges the events from `fromMs` and before `toMs`. Settled ones are taken whole: no read that may come cuts them. */
  mergeInto(into: (Part | undefined)[], window: number, fromMs: number, toMs: number): void {
    const { layout, raw } = this
    const isWhole = fromMs <= this.startMs && this.newestMs < toMs
    if (isWhole && raw.length > RAW_MERGED_ONE_BY_ONE) {
      mergeInto(layout, into, this.#wholeParts(), window)
      return
    }
    if (this.settled > 0) mergeInto(layout, into, this.parts, window)
    for (let i = 0; i < raw.length; i++) {
      const event = raw[i]!
      if (event.eventMs >= fromMs && event.eventMs < toMs) addTo(layout, into, event)
    }
  }

  get sizeBytes(): number {
    let size = 160 + 8 * this.parts.length + partsBytes(this.parts)
    for (const { values } of this.raw) size += 120 + 24 * values.length
    if (this.#whole !== undefined) size += partsBytes(this.#whole)
    return size
  }

  #added(event: CountedEvent): void {
    if (event.eventMs > this.newestMs) this.newestMs = event.eventMs
    if (this.#whole !== undefined) addTo(this.layout, this.#whole, event)
  }

  #wholeParts(): (Part | undefined)[] {
    if (this.#whole !== undefined) return this.#whole
    const whole = new Array<Part | undefined>(this.parts.length).fill(undefined)
    mergeInto(this.layout, whole, this.parts, 0)
    for (const event of this.raw) addTo(this.layout, whole, event)
    this.#whole = whole
    return whole
  }
}

export function partsBytes(parts: readonly (Part | undefined)[]): number {
  let size = 0
  for (const part of parts) if (part !== undefined) size += part.sizeBytes
  return size
}
