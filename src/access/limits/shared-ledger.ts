// Quotas in a store that nodes share: Redis. A counter goes up by what is wanted, and down again by what was too much: whoever looks
// meanwhile gets less than there is, never more.
import type { KeyValue } from '../../store/index.js'
import { blockOf, type QuotaLedger } from './types.js'

/** A day of any zone is over by then. */
const TTL_MS = 3 * 86_400_000

export function createSharedLedger(store: KeyValue): QuotaLedger {
  const counterOf = (key: string, day: string) => `quota:${key}:${day}`
  return {
    async reserve({ key, day, limit, need }) {
      const counter = counterOf(key, day)
      const before = await store.increment(counter, 0, TTL_MS)
      const wanted = blockOf(limit - before, need)
      if (wanted === 0) return 0
      const after = await store.increment(counter, wanted, TTL_MS)
      const granted = Math.max(0, wanted - Math.max(0, after - limit))
      const kept = granted < need ? 0 : granted
      if (kept < wanted) await store.increment(counter, kept - wanted, TTL_MS)
      return kept
    },
    async add(key, day, rows) {
      await store.increment(counterOf(key, day), rows, TTL_MS)
    },
  }
}
