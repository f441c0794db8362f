// Guards compare a candidate with what serves beside it. Each guard counts distinct units to which something happened for the first
// time; under "the candidate is no worse" the arm of such a unit is a coin that assignment threw, so counts are all a verdict needs.

export type GuardArm = 'candidate' | 'control' | 'baseline'

/** A unit's first event under a guard: `unit` is 16 hex digits of the SHA-256 of release and unit, so no personal data is stored. */
export interface GuardEvent {
  /** `errors`, `latency-p99`, `outputs-high`, `outcome:converted`; windowed ones as `errors@<window>`. */
  readonly guard: string
  readonly unit: string
  readonly arm: GuardArm
  /** Index of the plan's step whose weights the record was routed by: a record may arrive after its step has ended. */
  readonly step: number
}

/** Distinct units with an event, by arm, in one step: within a step the shares are constant. */
export interface GuardCounts {
  readonly guard: string
  readonly step: number
  /** Share of units that the candidate has among the arms compared, 0 to 1. */
  readonly share: number
  readonly candidate: number
  readonly reference: number
}

/** Rows of the store, counted: what `guardCounts` makes `GuardCounts` of. */
export interface ArmCount {
  readonly guard: string
  readonly step: number
  readonly arm: GuardArm
  readonly units: number
}

export type GuardVerdict =
  /** The evidence against the candidate passed the guard's part of the error budget. */
  | 'failed'
  /** Enough units were seen, and the interval excludes the harm that the guard looks for. */
  | 'passed'
  /** Neither; also when nothing was seen. */
  | 'inconclusive'

export interface GuardReport {
  readonly guard: string
  readonly verdict: GuardVerdict
  /** Always-valid evidence against the candidate; fails when it reaches 1 / alpha. Never above 1e300. */
  readonly eValue: number
  readonly alpha: number
  readonly candidate: number
  readonly reference: number
  /**
   * Candidate's rate over the reference's. Each bound holds at all times together at 1 - alpha; 1,000,000 stands for "without bound".
   * Null while nothing was seen.
   */
  readonly relative: { readonly estimate: number; readonly low: number; readonly high: number } | null
  /** One sentence for a person. */
  readonly summary: string
}

/** What slow, dear and unusual mean for one release: learned from the champion before it is used, stored, and the same on all nodes. */
export interface GuardThresholds {
  /** Guard to the value above which a call counts; the candidate's has slack besides: `{ "latency-p99": 41.8, "cost": 0.002 }`. */
  readonly limits: Readonly<Record<string, number>>
  /** First and last decile of a numeric output, or the labels seen with the most frequent one first. Absent: outputs are not compared. */
  readonly outputs?:
    | { readonly kind: 'number'; readonly name: string; readonly low: number; readonly high: number }
    | { readonly kind: 'label'; readonly name: string; readonly labels: readonly string[] }
  /** Share of the champion's units whose first call failed: what the last step, without a control, is compared with. */
  readonly failingShare: number
  /** Champion's calls that they were learned from. */
  readonly calls: number
}
