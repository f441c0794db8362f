// A version's leaf: cache, then batch, then run. Today it is the batcher alone; a cache goes in front of it, here.
import { Batcher, type BatcherOptions } from './batcher.js'
import type { Leaf } from './types.js'

/** A leaf as the pool holds it. */
export interface PooledLeaf extends Leaf {
  /** Drops queued calls whose input says `cancelled`. */
  dropCancelled(): void
  /** Resolves when every call has its answer, and refuses all that come after that. */
  close(): Promise<void>
}

export function createLeaf(options: BatcherOptions): PooledLeaf {
  return new Batcher(options)
}
