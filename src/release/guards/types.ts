// Guards compare a candidate with what serves beside it. Each guard counts distinct units to which something happened for the first
// time; under "the candidate is no worse" the arm of such a unit is a coin that assignment threw, so counts are all a verdict needs.

export type GuardArm = 'candidate' | 'control' | 'baseline'

/** A unit's first event under a guard: `unit` is 16 hex digits of the SHA-256 of release and unit, so no personal data is stored. */
export interface GuardEvent {
  /** `errors`, `latency-p99`, `outputs-high`, `outcome:converted`; windowed ones as `errors@<window>`. */
  readonly guard: string
  readonly unit: string
  readonly arm: GuardArm
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
  /** Always-valid evidence against the candidate; fails when it reaches 1 / alpha. */
  readonly eValue: number
  readonly alpha: number
  readonly candidate: number
  readonly reference: number
  /** Candidate's rate over the reference's, with its confidence sequence at 1 - alpha; null while nothing was seen. */
  readonly relative: { readonly estimate: number; readonly low: number; readonly high: number } | null
  /** One sentence for a person. */
  readonly summary: string
}
