// The second tier of `--processes N`: one process keeps the answers of all, and who computes what. It knows nothing of how the
// others reach it; each is an owner, a number.
import type { Clock, Timer } from '../../core/index.js'

export type HubReply =
  | { readonly kind: 'hit'; readonly bytes: Uint8Array }
  /** `lease` goes back with `publish`; 0 when nothing is to be published. */
  | { readonly kind: 'lead'; readonly lease: number }

export interface CacheHub {
  /**
   * Replies exactly once: at once with an answer that is kept or with the lead, or, when somebody else leads, as soon as
   * they publish. Whoever still waits after `waitMs` leads without a lease.
   */
  lookup(owner: number, key: string, waitMs: number, reply: (reply: HubReply) => void): void
  /** The leader's answer; undefined hands the lead to the next who waits. Leases that are over are ignored. */
  publish(lease: number, bytes: Uint8Array | undefined, ttlMs: number): void
  store(key: string, bytes: Uint8Array, ttlMs: number): void
  /** An owner is gone: what it led is led by others now, and what it waited for is not kept for it. */
  leaderGone(owner: number): void
  readonly bytes: number
  close(): void
}

export interface CacheHubOptions {
  readonly clock: Clock
  /** Default 64 MiB. The least recently used answers go first. */
  readonly maxBytes?: number
  /** How long a leader may take before the next one leads as well; default 30,000. */
  readonly leaseMs?: number
}

interface Kept {
  readonly bytes: Uint8Array
  readonly expiresMs: number
}

interface Waiter {
  readonly owner: number
  readonly reply: (reply: HubReply) => void
  readonly timer: Timer
}

interface Lead {
  readonly key: string
  readonly owner: number
  readonly timer: Timer
}

/** A timer of Infinity would ring at once. */
const MAX_WAIT_MS = 3_600_000
/** What an answer costs beside its bytes and its key. */
const OVERHEAD_BYTES = 300

export function createCacheHub({ clock, maxBytes = 64 * 1024 * 1024, leaseMs = 30_000 }: CacheHubOptions): CacheHub {
  /** In order of use, the oldest first. */
  const kept = new Map<string, Kept>()
  let keptBytes = 0
  const leads = new Map<number, Lead>()
  /** Those who wait, by key; there is an entry as long as somebody leads. */
  const waiting = new Map<string, Set<Waiter>>()
  let lastLease = 0

  function sizeOf(key: string, { bytes }: Kept): number {
    return OVERHEAD_BYTES + key.length + bytes.length
  }

  function drop(key: string, entry: Kept): void {
    kept.delete(key)
    keptBytes -= sizeOf(key, entry)
  }

  function find(key: string): Uint8Array | undefined {
    const entry = kept.get(key)
    if (entry === undefined) return undefined
    if (entry.expiresMs <= clock.monotonicMs()) {
      drop(key, entry)
      return undefined
    }
    kept.delete(key)
    kept.set(key, entry)
    return entry.bytes
  }

  function store(key: string, bytes: Uint8Array, ttlMs: number): void {
    const old = kept.get(key)
    if (old !== undefined) drop(key, old)
    const entry = { bytes, expiresMs: clock.monotonicMs() + ttlMs }
    const sizeBytes = sizeOf(key, entry)
    if (sizeBytes > maxBytes || ttlMs <= 0) return
    kept.set(key, entry)
    keptBytes += sizeBytes
    for (const [oldest, entry] of kept) {
      if (keptBytes <= maxBytes) break
      drop(oldest, entry)
    }
  }

  function lead(owner: number, key: string): number {
    const lease = ++lastLease
    // A leader that hangs must not hold everybody up for ever.
    const timer = clock.after(leaseMs, () => passOn(lease))
    leads.set(lease, { key, owner, timer })
    return lease
  }

  /** Ends a lead without an answer: the first who waits leads now. */
  function passOn(lease: number): void {
    const ended = end(lease)
    if (ended === undefined) return
    const waiters = waiting.get(ended.key)!
    for (const next of waiters) {
      waiters.delete(next)
      next.timer.cancel()
      next.reply({ kind: 'lead', lease: lead(next.owner, ended.key) })
      return
    }
    waiting.delete(ended.key)
  }

  function end(lease: number): Lead | undefined {
    const ended = leads.get(lease)
    leads.delete(lease)
    ended?.timer.cancel()
    return ended
  }

  return {
    get bytes() {
      return keptBytes
    },
    lookup(owner, key, waitMs, reply) {
      const bytes = find(key)
      if (bytes !== undefined) return reply({ kind: 'hit', bytes })
      const waiters = waiting.get(key)
      if (waiters === undefined) {
        waiting.set(key, new Set())
        return reply({ kind: 'lead', lease: lead(owner, key) })
      }
      const waiter: Waiter = {
        owner,
        reply,
        timer: clock.after(Math.min(waitMs, MAX_WAIT_MS), () => {
          waiters.delete(waiter)
          reply({ kind: 'lead', lease: 0 })
        }),
      }
      waiters.add(waiter)
    },
    publish(lease, bytes, ttlMs) {
      if (bytes === undefined) return passOn(lease)
      const ended = end(lease)
      if (ended === undefined) return
      store(ended.key, bytes, ttlMs)
      const waiters = waiting.get(ended.key)!
      waiting.delete(ended.key)
      for (const { timer, reply } of waiters) {
        timer.cancel()
        reply({ kind: 'hit', bytes })
      }
    },
    store,
    leaderGone(owner) {
      for (const waiters of waiting.values())
        for (const waiter of waiters) {
          if (waiter.owner !== owner) continue
          waiters.delete(waiter)
          waiter.timer.cancel()
        }
      for (const [lease, led] of [...leads]) if (led.owner === owner) passOn(lease)
    },
    close() {
      for (const { timer } of leads.values()) timer.cancel()
      for (const waiters of waiting.values()) for (const { timer } of waiters) timer.cancel()
      leads.clear()
      waiting.clear()
      kept.clear()
      keptBytes = 0
    },
  }
}
