// The embedded KeyValue: a map in this process, gone when it ends. Bytes are copied in and out, as they are over a network.
// Counters are decimal text, as in Redis, so that getMany reads them.
import type { Clock, Platform } from '../core/index.js'
import { StoreErrors } from './errors.js'
import type { KeyValue, KeyValueEntry } from './types.js'

interface Stored {
  value: Uint8Array
  /** On the monotonic clock; Infinity when it stays. */
  expiresAtMs: number
}

/** Entries looked at per write to find expired ones: two free more than one write adds, and no timer is needed. */
const SWEPT_PER_WRITE = 2

export function createMemoryKeyValue(platform: Pick<Platform, 'clock'>): KeyValue {
  return new MemoryKeyValue(platform.clock)
}

class MemoryKeyValue implements KeyValue {
  readonly #entries = new Map<string, Stored>()
  #sweep = this.#entries.entries()

  constructor(private readonly clock: Clock) {}

  async getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    const values: (Uint8Array | undefined)[] = []
    for (const key of keys) {
      const stored = this.#live(key)
      values.push(stored && new Uint8Array(stored.value))
    }
    return values
  }

  async setMany(entries: readonly KeyValueEntry[]): Promise<void> {
    for (const { key, value, ttlMs } of entries)
      this.#set(key, new Uint8Array(value), ttlMs ?? Number.POSITIVE_INFINITY)
  }

  async compareAndSet(key: string, expected: Uint8Array | undefined, next: Uint8Array): Promise<boolean> {
    const stored = this.#live(key)
    const isExpected = expected
      ? stored !== undefined && Buffer.compare(stored.value, expected) === 0
      : stored === undefined
    if (isExpected) this.#set(key, new Uint8Array(next), Number.POSITIVE_INFINITY)
    return isExpected
  }

  async increment(key: string, by: number, ttlMs: number): Promise<number> {
    const stored = this.#live(key)
    const next = (stored ? toInteger(key, stored.value) : 0) + by
    if (!Number.isSafeInteger(next)) throw StoreErrors.NOT_INTEGER({ key, reason: `${next} is no exact integer` })
    const value = Buffer.from(String(next), 'latin1')
    if (stored) stored.value = value
    else this.#set(key, value, ttlMs)
    return next
  }

  #live(key: string): Stored | undefined {
    const stored = this.#entries.get(key)
    if (!stored || stored.expiresAtMs > this.clock.monotonicMs()) return stored
    this.#entries.delete(key)
    return undefined
  }

  #set(key: string, value: Uint8Array, ttlMs: number): void {
    const nowMs = this.clock.monotonicMs()
    this.#entries.set(key, { value, expiresAtMs: nowMs + ttlMs })
    for (let i = 0; i < SWEPT_PER_WRITE; i++) {
      const { value: entry, done } = this.#sweep.next()
      if (done) this.#sweep = this.#entries.entries()
      else if (entry[1].expiresAtMs <= nowMs) this.#entries.delete(entry[0])
    }
  }
}

function toInteger(key: string, value: Uint8Array): number {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')
  if (!/^-?[0-9]{1,16}$/.test(text)) throw StoreErrors.NOT_INTEGER({ key, reason: 'its value is no integer' })
  return Number(text)
}
