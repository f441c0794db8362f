// A version's leaf: cache, then batch, then run.
import { Batcher, type BatcherOptions } from './batcher.js'
import type { AnswerCache } from './cache/answer-cache.js'
import type { VersionIdentity } from './cache/cached-leaf.js'
import type { Leaf } from './types.js'

/** A leaf as the pool holds it. */
export interface PooledLeaf extends Leaf {
  /** Drops queued calls whose input says `cancelled`. */
  dropCancelled(): void
  /** Resolves when every call has its answer, and refuses all that come after that. */
  close(): Promise<void>
}

export interface LeafOptions extends Omit<BatcherOptions, 'manifest'>, VersionIdentity {
  /** Undefined: whatever a request's policy says, its answers are computed. */
  readonly cache?: AnswerCache | undefined
}

export function createLeaf(options: LeafOptions): PooledLeaf {
  const batcher = new Batcher(options)
  return options.cache === undefined ? batcher : options.cache.front(batcher, options)
}
