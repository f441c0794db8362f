// A version's leaf: cache, then batch, then run.
import { Batcher, type BatcherOptions } from './batcher.js'
import type { LeafCache, PooledLeaf, VersionIdentity } from './types.js'

export interface LeafOptions extends Omit<BatcherOptions, 'manifest'>, VersionIdentity {
  /** Undefined: whatever a request's policy says, its answers are computed. */
  readonly cache?: LeafCache | undefined
}

export function createLeaf(options: LeafOptions): PooledLeaf {
  const batcher = new Batcher(options)
  return options.cache === undefined ? batcher : options.cache.front(batcher, options, options.metrics.statistics)
}
