// Token buckets by key: full at first, filled again at the key's rate.
import type { Clock } from '../../core/index.js'
import type { RequestsGranted, RequestsWanted } from './types.js'

interface Bucket {
  tokens: number
  atMs: number
}

/** Buckets that are full again are as good as new ones: beyond so many they are thrown away. */
const SWEEP_ABOVE = 1024

export class RateBuckets {
  readonly #buckets = new Map<string, Bucket>()

  constructor(private readonly clock: Clock) {}

  take({ key, perSecond, burst, want }: RequestsWanted): RequestsGranted {
    const nowMs = this.clock.monotonicMs()
    let bucket = this.#buckets.get(key)
    if (bucket === undefined) {
      if (this.#buckets.size >= SWEEP_ABOVE) this.#sweep(nowMs)
      bucket = { tokens: burst, atMs: nowMs }
      this.#buckets.set(key, bucket)
    }
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond)
    bucket.atMs = nowMs
    const granted = Math.min(want, Math.floor(bucket.tokens + 1e-9))
    if (granted > 0) {
      bucket.tokens -= granted
      return { granted, retryAfterMs: 0 }
    }
    return { granted: 0, retryAfterMs: Math.ceil(((1 - bucket.tokens) / perSecond) * 1000) }
  }

  #sweep(nowMs: number): void {
    for (const [key, { atMs }] of this.#buckets) if (nowMs - atMs > 3_600_000) this.#buckets.delete(key)
  }
}
