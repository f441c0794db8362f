// Gates: what must hold before a version may take an endpoint's traffic. A gate that nobody can judge is skipped and says why: a report
// never reads as if something had been checked that was not.
import type { Actor } from '../../decisions/index.js'

export type GateVerdict = 'passed' | 'failed' | 'skipped'

export interface GateResult {
  /** `loads`, `warm-up`, `signature`, `evaluation:holdout/auc`, `latency`, `memory`, `approvals`. */
  readonly gate: string
  readonly verdict: GateVerdict
  /** One sentence for a person: what was found, or why nothing could be. */
  readonly summary: string
  /** What the verdict was made from, as JSON. */
  readonly evidence: Readonly<Record<string, unknown>>
  readonly durationMs: number
}

/** A version that traffic comes from or goes to. */
export interface GateVersion {
  readonly version: number
  readonly digest: string
}

export interface GateReport {
  readonly endpoint: string
  readonly model: string
  readonly version: number
  /** Of the candidate's file; null when it could not be read. */
  readonly digest: string | null
  /** What serves the endpoint now by that model; null when nothing does. */
  readonly champion: GateVersion | null
  /** No gate failed. What was skipped is in `notChecked`. */
  readonly passed: boolean
  /** Everything passed except that approvals are missing. */
  readonly awaitsApproval: boolean
  readonly results: readonly GateResult[]
  /** The gates that were skipped, each with its reason. */
  readonly notChecked: readonly string[]
  /** Of the endpoint's gates in the configuration: a report of other settings counts no more. */
  readonly settings: string
  readonly checkedMs: number
  readonly durationMs: number
}

/** A person's word on a version's content for an endpoint. */
export interface Approval {
  readonly endpoint: string
  readonly model: string
  readonly digest: string
  readonly verdict: 'approved' | 'rejected'
  readonly comment: string | null
  readonly by: Actor
  readonly role: string | null
  readonly timeMs: number
  /** The decision that made it; undoing that revokes it. */
  readonly decision: string
}
