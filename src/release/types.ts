// A release moves an endpoint from one version of a model to another: shadow, canary steps, all traffic. What these types hold is
// stored in the metadata store and crosses processes: plain data.
import type { Actor } from '../decisions/index.js'

/** How long a step lasts: all that is given must have been reached. Time counts only while the release runs. */
export interface StepLength {
  readonly durationMs?: number
  /** Distinct units that the candidate answered (in shadow: that it was shown) in this step. */
  readonly units?: number
}

export type PlanStep =
  /** The candidate sees copies of a share of the traffic; nobody gets its answers. */
  | {
      readonly kind: 'shadow'
      readonly sample: number
      readonly length: StepLength
      /** Ends before its time when the candidate cannot be told from the champion. */
      readonly maySkip?: boolean
    }
  /** Units below `weight` get the candidate; above 1 - `weight` stands an equally large control, cut from the champion, while there is room for it. */
  | { readonly kind: 'canary'; readonly weight: number; readonly length: StepLength }

/** The last step of weight 1 may have a length: so long the old version is kept ready and the release can be rolled back at once. */
export interface ReleasePlan {
  /** `standard`; undefined when it was written out for one release. */
  readonly name?: string
  /** `shadow:1h,canary:5%/30m,25%/30m,100%` */
  readonly text: string
  readonly steps: readonly PlanStep[]
}

export type ReleaseState =
  | 'running'
  /** Weights stay as they are, time stands still; guards go on. */
  | 'paused'
  /** The endpoint serves the new version. */
  | 'completed'
  /** Ended by a person; the endpoint serves what it served before. */
  | 'aborted'
  /** Ended by a guard. */
  | 'rolled-back'

export interface Release {
  readonly id: string
  readonly endpoint: string
  readonly model: string
  readonly from: number
  readonly to: number
  /** JSON of the leaf's selector that stood for `from`: a number, `"latest"`, `{"alias": …}`. It is what completion moves. */
  readonly selector: string
  readonly plan: ReleasePlan
  readonly state: ReleaseState
  /** Index into `plan.steps`. */
  readonly step: number
  /** Grows with every change of state, step or weight: nodes report the one they applied. */
  readonly revision: number
  /** Time the present step has run, milliseconds, as the leader counted it on its own monotonic clock. */
  readonly stepElapsedMs: number
  readonly startedMs: number
  readonly endedMs: number | null
  readonly startedBy: Actor
  /** Why it ended or pauses; null while it runs. */
  readonly reason: string | null
}

/** What an endpoint's leaves of one selector mean since a release completed; in RegistryState. */
export interface ReleaseTarget {
  readonly endpoint: string
  readonly model: string
  /** JSON of the selector, as the configuration writes it. */
  readonly selector: string
  readonly version: number
}

/** What routing needs of a release that is not over; in RegistryState. */
export interface ActiveRelease {
  readonly id: string
  readonly endpoint: string
  readonly model: string
  readonly from: number
  readonly to: number
  readonly selector: string
  readonly step: PlanStep
  readonly stepIndex: number
  readonly revision: number
}
