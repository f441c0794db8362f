// The leaf of a version that is loaded, put together as the pool does: cache, then batch, then run.
import { Batcher, type BatcherOptions } from '../../src/serving/batcher.js'
import { Use } from '../../src/serving/pool/use.js'
import { WakingLeaf } from '../../src/serving/pool/waking-leaf.js'
import type { LeafCache, PooledLeaf, VersionIdentity } from '../../src/serving/types.js'

export interface LeafOptions extends Omit<BatcherOptions, 'manifest'>, VersionIdentity {
  /** Undefined: whatever a request's policy says, its answers are computed. */
  readonly cache?: LeafCache | undefined
}

export function createLeaf(options: LeafOptions): PooledLeaf {
  const { version, clock, manifest, cache, metrics } = options
  const leaf = new WakingLeaf({
    version,
    clock,
    use: new Use(clock.monotonicMs()),
    maxWaitingRows: manifest.batching.maxQueueRows,
    wake: () => Promise.reject(new Error('it is loaded')),
    expectedLoadMs: () => undefined,
    failed: () => undefined,
  })
  leaf.up(new Batcher(options))
  return cache === undefined ? leaf : cache.front(leaf, options, metrics.statistics)
}
