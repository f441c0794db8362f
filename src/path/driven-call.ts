// One call of a route that is more than a single call: the request as its leaf sees it, and what became of it.
import type { CallStep } from '../route/index.js'
import type { CachePolicy, LeafInput, Priority, ServedVersion } from '../serving/index.js'
import type { TensorMap } from '../tensor/index.js'
import { partitioned } from './leases.js'
import type { Prediction } from './prediction.js'

export class DrivenCall implements LeafInput {
  /** Set when the version is known. */
  tensors: TensorMap
  readonly rows: number
  readonly outputs: readonly string[] | undefined
  readonly priority: Priority
  readonly cache: CachePolicy | undefined
  readonly tenant: string
  readonly rawInputs: Uint8Array | string | undefined
  readonly protocol: string
  /** The answer is the reply to the very request: no part of one, and no output more or less was asked for. */
  feedsLastKnown: boolean

  served: ServedVersion | undefined = undefined
  answer: TensorMap | undefined = undefined
  queueMs = 0
  computeMs = 0
  batchRows = 0
  /** Of the queue time: the wait for a version that rested. */
  loadMs = 0
  cached: 'hit' | 'coalesced' | 'stale' | undefined = undefined
  /** Index in the prediction's calls. */
  recordedAt = -1
  /** Its answer is not needed any more. */
  isDropped = false
  /** Its circuit knows how it ended. */
  isReported = false
  /** The lease of its version was lost: another call answers in its place. */
  isReplaced = false

  constructor(
    private readonly prediction: Prediction,
    readonly step: CallStep,
    readonly startedMs: number,
  ) {
    const isShadow = step.role === 'shadow'
    this.tensors = prediction.tensors
    this.rows = prediction.rows
    this.outputs = step.wantsAllOutputs ? undefined : prediction.outputs
    this.priority = isShadow ? 'low' : prediction.priority
    // A copy has to find out what its version does, and a meta-model's inputs are not those the request came with.
    this.cache = isShadow || step.inputsFrom ? undefined : cacheOf(step, prediction)
    this.tenant = prediction.tenant
    this.rawInputs = prediction.rawInputs
    this.protocol = prediction.protocol
    this.feedsLastKnown = !isShadow && !step.isPart && !step.wantsAllOutputs
  }

  /** A copy outlives the caller's connection. */
  get cancelled(): boolean {
    return this.isDropped || this.isReplaced || (this.step.role !== 'shadow' && this.prediction.cancelled)
  }
}

function cacheOf({ leaf }: CallStep, { cache }: Prediction): CachePolicy | undefined {
  if (cache === undefined || leaf.kind !== 'version' || leaf.partition === undefined) return cache
  return partitioned(cache, leaf.partition)
}
