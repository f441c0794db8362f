// The nodes of one metadata store, for faces.
import type { ProcessReport } from './reports.js'

export interface NodeState {
  /** Number of the last decision that has begun to take effect on it. */
  readonly decision: number
  readonly processes: readonly ProcessReport[]
}

export interface NodeView extends NodeState {
  readonly id: string
  /** The host's name. */
  readonly name: string
  readonly url: string | null
  /** Of Headrace. */
  readonly version: string
  /** It is the one that answers. */
  readonly isSelf: boolean
  /** It has not reported for 15 seconds: it was killed, or is cut off. Forgotten after a week. */
  readonly isGone: boolean
  readonly startedMs: number
  /** By the metadata store's clock. */
  readonly reportedAgoMs: number
}

export interface NodesService {
  list(): Promise<NodeView[]>
}
