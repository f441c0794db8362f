// Entries read lately, for the time when the store does not answer. Bounded: of two generations the older one is forgotten when the
// newer one is full, so that what is read now and then stays, at the price of one write per reading.
import type { OnlineEntry } from '../online/types.js'

export interface KnownEntry {
  readonly entry: OnlineEntry
  /** Wall-clock moment of the reading: the values of windows are those of then. */
  readonly readMs: number
}

export class LastKnown {
  #young = new Map<string, KnownEntry>()
  #old = new Map<string, KnownEntry>()

  /** At most `limit` entries, at least half of that many of the newest. */
  constructor(private readonly limit: number) {}

  put(table: string, key: string, entry: OnlineEntry, readMs: number): void {
    if (this.#young.size >= this.limit / 2) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(`${table} ${key}`, { entry, readMs })
  }

  get(table: string, key: string): KnownEntry | undefined {
    const name = `${table} ${key}`
    return this.#young.get(name) ?? this.#old.get(name)
  }
}
