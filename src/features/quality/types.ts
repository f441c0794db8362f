// Rules about rows and about sets of rows, and what breaking them looks like.
import type { Expectation } from '../definitions/expectation.js'
import type { Quarantine, QuarantinedRow } from '../stream/types.js'

/** Judged row by row: a row that breaks one is quarantined. */
export type RowRule = Extract<Expectation, { expect: 'type' | 'notNull' | 'range' | 'oneOf' | 'regex' }>
/** Judged over a whole set: breaking one raises an alert and, in materialisation, is reported. */
export type SetRule = Exclude<Expectation, RowRule>

/** What rules belong to: a source or a view, by name. */
export interface Checked {
  readonly name: string
  readonly expectations: readonly Expectation[]
}

export interface RowBreach {
  readonly index: number
  /** Rule and column, such as `range amount`: few distinct values, what quarantined rows are counted by. */
  readonly reason: string
  readonly problem: string
}

export interface RowCheck {
  /** One per row that breaks a rule (its first), in the order of rows. Empty: all pass. */
  readonly breaches: readonly RowBreach[]
}

/** One rule over a set of rows. */
export interface RuleResult {
  readonly rule: Expectation
  /** `nullShare amount`. */
  readonly reason: string
  readonly passed: boolean
  /** What was measured: a share, a count, an index, an age in milliseconds; null where nothing could be. */
  readonly measured: number | null
  /** A sentence with figures, for people. */
  readonly explanation: string
  /** Where what breaks the rule is concentrated, the most telling first. */
  readonly segments: readonly Segment[]
}

/** `column` = `value` holds `share` of the rows that break a rule, `lift` times its share of all rows. */
export interface Segment {
  readonly column: string
  readonly value: string | null
  readonly rows: number
  readonly share: number
  readonly lift: number
}

export interface QualityReport {
  readonly of: string
  readonly rows: number
  readonly passed: boolean
  readonly results: readonly RuleResult[]
  readonly checkedMs: number
}

/** A row in quarantine, with the number that it is called by. */
export interface KeptRow extends QuarantinedRow {
  readonly id: number
}

export interface QuarantineFilter {
  readonly of?: string
  readonly reason?: string
  /** Rows with these numbers only. */
  readonly ids?: readonly number[]
}

export interface QuarantineStore extends Quarantine {
  /** The newest first; at most `limit`, default 100. */
  list(filter: QuarantineFilter & { readonly limit?: number }): Promise<readonly KeptRow[]>
  /** Rows that are kept, and those that were dropped for want of room. */
  counts(): Promise<
    readonly { readonly of: string; readonly reason: string; readonly rows: number; readonly dropped: number }[]
  >
  /** Removes rows for good; says how many. */
  remove(filter: QuarantineFilter): Promise<number>
  close(): Promise<void>
}
