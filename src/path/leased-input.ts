// The request as a release's candidate sees it: it stays as it is when the baseline answers in the candidate's place.
import type { CachePolicy, LeafInput, Priority } from '../serving/index.js'
import type { TensorMap } from '../tensor/index.js'
import type { Prediction } from './prediction.js'

/** Status of a candidate's call in the record: its lease was lost before it had answered. */
export const LEASE_LOST = 'PATH_LEASE_LOST'

export class LeasedInput implements LeafInput {
  readonly rows: number
  readonly outputs: readonly string[] | undefined
  readonly priority: Priority
  readonly cache: CachePolicy | undefined
  readonly tenant: string
  readonly rawInputs: Uint8Array | string | undefined
  readonly protocol: string
  readonly feedsLastKnown: boolean
  /** Another version answers in its place. */
  isReplaced = false

  constructor(
    private readonly prediction: Prediction,
    readonly tensors: TensorMap,
  ) {
    this.rows = prediction.rows
    this.outputs = prediction.outputs
    this.priority = prediction.priority
    this.cache = prediction.cache
    this.tenant = prediction.tenant
    this.rawInputs = prediction.rawInputs
    this.protocol = prediction.protocol
    this.feedsLastKnown = prediction.feedsLastKnown
  }

  get cancelled(): boolean {
    return this.isReplaced || this.prediction.cancelled
  }
}
