// What a shadow step learned, as plain data: a state that nodes add up and store, and the report that is made of it.

/** Sums over pairs of a unit's first copied prediction: the champion's answer, and the candidate's to the same inputs. */
export interface ShadowState {
  readonly pairs: number
  readonly failed: { readonly both: number; readonly champion: number; readonly candidate: number }
  readonly answers: {
    /** Pairs whose outputs could be compared, and those that differ by more than the tolerance. */
    readonly compared: number
    readonly differing: number
    /** Answers of other names, datatypes or sizes. */
    readonly mismatched: number
    readonly invalid: number
    readonly maxAbsolute: number
    readonly maxRelative: number
    readonly sumAbsolute: number
    readonly labels: number
    readonly labelsAgreeing: number
  }
  /** Sketches of one value per answer (`DDSketch.counts()`), for the distance of distributions. */
  readonly values: { readonly champion: readonly number[]; readonly candidate: readonly number[] }
  /** Of pairs in which both ran: logarithms of the candidate's time over the champion's, and sketches of both in milliseconds. */
  readonly latency: PairedTimes
  /** The same of run time without waiting: what a version costs, as hosted models are paid by time. */
  readonly runTime: PairedTimes
}

export interface PairedTimes {
  readonly pairs: number
  readonly sum: number
  readonly sumOfSquares: number
  readonly champion: readonly number[]
  readonly candidate: readonly number[]
}

export type ShadowVerdict =
  /** Errors and answers differ less than is tolerated: a plan may skip ahead, by a decision. */
  'indistinguishable' | 'differs' | 'inconclusive'

/** A figure with bounds that hold at all times together. */
export interface Interval {
  readonly estimate: number
  readonly low: number
  readonly high: number
}

export interface TimesReport {
  readonly pairs: number
  /** Geometric mean of candidate over champion; null without pairs. The bounds are asymptotic. */
  readonly ratio: Interval | null
  readonly championMs: QuantilesMs | null
  readonly candidateMs: QuantilesMs | null
}

export interface QuantilesMs {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

/** A type, not an interface: it is stored and sent as a record of plain data. */
export type ShadowReport = {
  readonly verdict: ShadowVerdict
  readonly summary: string
  readonly pairs: number
  readonly errors: {
    readonly verdict: ShadowVerdict
    /** Share of pairs in which only the candidate failed. */
    readonly onlyCandidate: Interval | null
    readonly both: number
    readonly champion: number
    readonly candidate: number
  }
  readonly answers: {
    readonly verdict: ShadowVerdict
    /** Share of pairs whose answers differ. */
    readonly differing: Interval | null
    readonly compared: number
    readonly mismatched: number
    readonly invalid: number
    readonly maxAbsolute: number
    readonly maxRelative: number
    readonly meanAbsolute: number | null
    readonly labelAgreement: number | null
    /** Between the distributions of values: population stability index over the champion's deciles, and Kolmogorov-Smirnov distance. */
    readonly psi: number | null
    readonly ks: Interval | null
  }
  /** Copies run after the reply and at low priority: their waiting is an upper bound, so it decides nothing. */
  readonly latency: TimesReport
  readonly runTime: TimesReport
}
