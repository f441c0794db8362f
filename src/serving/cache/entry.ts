// A cached answer.

import type { TensorMap } from '../../tensor/index.js'
import type { LeafResult } from '../types.js'
import type { Remembered } from './last-known.js'
import { CacheNode } from './node-list.js'

export class Entry extends CacheNode {
  /** The same for every hit, so that a hit allocates nothing. */
  readonly answer: Promise<LeafResult>

  constructor(
    /** Where it is found by its key. */
    readonly entries: Map<string, Entry>,
    readonly key: string,
    hash: number,
    sizeBytes: number,
    readonly outputs: TensorMap,
    /** Monotonic milliseconds. */
    readonly computedMs: number,
    /** Monotonic milliseconds. */
    readonly expiresMs: number,
    /** How long it took to compute. */
    readonly costMs: number,
    /** As the last known answer; undefined as long as it was no reply to anybody. */
    public remembered: Remembered | undefined,
  ) {
    super(hash, sizeBytes)
    this.answer = Promise.resolve({ outputs, queueMs: 0, computeMs: 0, batchRows: 0, cached: 'hit' })
  }
}
