// What faces ask of releases: plain data in and out, answered by the process that owns the data folder.
import type { Actor, Evidence } from '../decisions/index.js'
import type { GuardReport } from './guards/types.js'
import type { Release, ReleasePlan, ReleaseState } from './types.js'

/** Everything `start` needs to know of the endpoint was looked up by the process that serves it (`startRelease` in app). */
export interface ReleaseRequest {
  readonly endpoint: string
  readonly model: string
  /** The version that stands for the selector now. */
  readonly from: number
  readonly to: number
  /** JSON of the selector of the leaves that are replaced. */
  readonly selector: string
  /** Alias that completion sets where the selector names none: `champion` of implicit endpoints. Default: the endpoint's leaves are moved. */
  readonly alias?: string
  /** Name or steps. Default: the endpoint's plan, else `standard`. */
  readonly plan?: string
  /** Units of a step that are waited for; default: the endpoint's, else 100, and none for plans of one step. */
  readonly minUnits?: number
  /** Time of the release runs so many times faster than clocks: for demonstrations. Default 1. */
  readonly timeScale?: number
  /** What gates found. */
  readonly evidence?: Evidence
}

/** Why a step does not go on yet, or what it is about to do. */
export interface ReleaseProgress {
  /** Units that the candidate answered (in shadow: was shown) in this step. */
  readonly units: number
  readonly controlUnits: number
  /** Units the step waits for; 0: none. */
  readonly unitsNeeded: number
  /** Milliseconds of the step that have passed, and that it lasts (null: no time was asked for). */
  readonly elapsedMs: number
  readonly durationMs: number | null
  /** One sentence: `Waits for 40 more units; guards are inconclusive.` */
  readonly summary: string
}

/** What one node does about a release, as it said last. */
export interface ReleaseNode {
  readonly node: string
  /** Null: it has not applied the release. */
  readonly revision: number | null
  /** The candidate is loaded and warm there. */
  readonly isWarm: boolean
  /** It may send units to the candidate. */
  readonly holdsLease: boolean
  /** Share of units that the candidate has there. */
  readonly weight: number
  /** Why the candidate does not take traffic there; null when it does. */
  readonly reason: string | null
  /** Milliseconds since the node said so. */
  readonly ageMs: number
}

/** One look at a guard, kept for plots. */
export interface GuardPoint {
  readonly timeMs: number
  readonly step: number
  readonly estimate: number | null
  readonly low: number | null
  readonly high: number | null
  readonly eValue: number
  readonly candidate: number
  readonly reference: number
}

export interface GuardHistory {
  readonly report: GuardReport
  /** At most 200 points over the whole release, oldest first; thinned as they grow. */
  readonly series: readonly GuardPoint[]
}

/** A decision about this release. */
export interface ReleaseEvent {
  readonly decision: string
  readonly timeMs: number
  /** `release.start`, `release.step`, … */
  readonly kind: string
  readonly by: Actor
  readonly summary: string
  readonly evidence: Evidence
}

export interface ReleaseStatus {
  readonly release: Release
  /** Share of units that the candidate should have now. */
  readonly weight: number
  readonly timeScale: number
  readonly progress: ReleaseProgress
  readonly guards: readonly GuardHistory[]
  /** Null before and without a shadow step. */
  readonly shadow: Readonly<Record<string, unknown>> | null
  readonly events: readonly ReleaseEvent[]
  readonly nodes: readonly ReleaseNode[]
}

export interface NamedPlan {
  readonly name: string
  readonly plan: ReleasePlan
  readonly isBuiltIn: boolean
}

export interface ReleaseChangeOptions {
  /** Fails with RELEASE_CHANGED_MEANWHILE when the release has another revision. */
  readonly revision?: number
  readonly reason?: string
}

/** `id` is a release's id, or an endpoint's name: its active release, else its last one. */
export interface ReleaseService {
  /** Throws RELEASE_PLAN_INVALID, RELEASE_ALREADY_ACTIVE, RELEASE_ALREADY_LIVE, RELEASE_NOT_SERVABLE. */
  start(request: ReleaseRequest, by: Actor): Promise<Release>
  get(id: string): Promise<Release>
  /** Newest first. */
  list(query?: {
    readonly endpoint?: string
    readonly state?: ReleaseState
    readonly limit?: number
  }): Promise<Release[]>
  status(id: string): Promise<ReleaseStatus>
  /** To the next step; `all`: completes. */
  promote(id: string, options: ReleaseChangeOptions & { readonly all?: boolean }, by: Actor): Promise<Release>
  pause(id: string, options: ReleaseChangeOptions, by: Actor): Promise<Release>
  resume(id: string, options: ReleaseChangeOptions, by: Actor): Promise<Release>
  /** Ends it; the endpoint serves what it served before. */
  abort(id: string, options: ReleaseChangeOptions, by: Actor): Promise<Release>
  /** As `abort`, because of what the candidate did. Of a release that is over already, nothing. */
  rollback(id: string, options: ReleaseChangeOptions & { readonly evidence?: Evidence }, by: Actor): Promise<Release>
  plans(): Promise<NamedPlan[]>
  /** A process serves an active release's candidate, or why it cannot. */
  report(report: CandidateReport): Promise<void>
  /** What a process may call the candidates of, and since when that is known; it asks several times a second while releases are active. */
  grants(): Promise<Grant[]>
}

/** A lease as processes ask for it. */
export interface Grant {
  readonly release: string
  /** Milliseconds since before the question to the metadata store that confirmed it. */
  readonly ageMs: number
}

/** What one process tells the node's owner of the data folder. */
export interface CandidateReport {
  readonly release: string
  /** `primary`, or a worker's number. */
  readonly process: string
  readonly revision: number
  readonly isWarm: boolean
  /** The candidate cannot be loaded: the release ends with this reason. */
  readonly failure: string | null
}
