// The seam of the second tier: answers that several processes or servers share.

export type SharedAnswer =
  | { readonly kind: 'hit'; readonly bytes: Uint8Array }
  /** Nobody has the answer and the caller is to compute it: it calls `publish` once, with undefined when it got none. */
  | { readonly kind: 'lead'; publish(bytes: Uint8Array | undefined, ttlMs: number): void }

export interface SharedTier {
  /**
   * The answer under a key. It may wait, for at most `waitMs`, while somebody else computes it. Never rejects: a tier that is
   * in trouble lets the caller lead and forgets what it publishes.
   */
  lookup(key: string, waitMs: number): Promise<SharedAnswer>
  /** Keeps an answer that nobody asked this tier for: a refreshed one. Never throws. */
  store(key: string, bytes: Uint8Array, ttlMs: number): void
  close(): Promise<void>
}

/** Asks the near tier, and the far one where the near one lets the caller lead. Answers go into both. */
export function chainTiers(near: SharedTier, far: SharedTier): SharedTier {
  return {
    async lookup(key, waitMs) {
      const first = await near.lookup(key, waitMs)
      if (first.kind === 'hit') return first
      const second = await far.lookup(key, waitMs)
      if (second.kind === 'hit') {
        first.publish(second.bytes, NEAR_TTL_MS)
        return second
      }
      return {
        kind: 'lead',
        publish(bytes, ttlMs) {
          first.publish(bytes, ttlMs)
          second.publish(bytes, ttlMs)
        },
      }
    },
    store(key, bytes, ttlMs) {
      near.store(key, bytes, ttlMs)
      far.store(key, bytes, ttlMs)
    },
    async close() {
      await Promise.all([near.close(), far.close()])
    },
  }
}

/** How long the near tier keeps what came from the far one, whose time to live is not told; the answer itself says when it expires. */
const NEAR_TTL_MS = 60_000
