// A hub in the same process, as one owner sees it: what workers do by messages, without the messages.
import type { CacheHub, SharedAnswer, SharedTier } from '../../src/serving/index.js'

export function hubTier(hub: CacheHub, owner: number): SharedTier {
  return {
    lookup: (key, waitMs) =>
      new Promise<SharedAnswer>((resolve) =>
        hub.lookup(owner, key, waitMs, (reply) =>
          resolve(
            reply.kind === 'hit'
              ? reply
              : { kind: 'lead', publish: (bytes, ttlMs) => hub.publish(reply.lease, bytes, ttlMs) },
          ),
        ),
      ),
    store: (key, bytes, ttlMs) => hub.store(key, bytes, ttlMs),
    close: async () => hub.leaderGone(owner),
  }
}
