// What is expected of a source's or a view's rows. Rows that break a row rule are quarantined; a set that breaks a set rule raises an alert.

/** `column` is a column of the source, or a feature of the view. */
export type Expectation =
  | { readonly expect: 'type'; readonly column: string; readonly type: string }
  | { readonly expect: 'notNull'; readonly column: string }
  | { readonly expect: 'range'; readonly column: string; readonly min?: number; readonly max?: number }
  | { readonly expect: 'oneOf'; readonly column: string; readonly values: readonly (string | number | boolean)[] }
  | { readonly expect: 'regex'; readonly column: string; readonly pattern: string }
  /** Of a whole set of rows. Shares are 0 to 1. */
  | { readonly expect: 'nullShare'; readonly column: string; readonly max: number }
  | { readonly expect: 'unique'; readonly columns: readonly string[] }
  /** Never falls (or rises) in the order of event time, per entity. */
  | { readonly expect: 'monotonic'; readonly column: string; readonly direction?: 'rising' | 'falling' }
  /** The newest row is at most so old; a duration. */
  | { readonly expect: 'freshness'; readonly max: string }
  | { readonly expect: 'rowCount'; readonly min?: number; readonly max?: number }
  /** Distance from a reference (population stability index) at most `max`, default 0.2. */
  | {
      readonly expect: 'distribution'
      readonly column: string
      readonly reference: DistributionReference
      readonly max?: number
    }

/** Shares per bin. Numbers: between consecutive edges, with open ends; text: by value, the rest under "". */
export type DistributionReference =
  | { readonly edges: readonly number[]; readonly shares: readonly number[] }
  | { readonly shares: Readonly<Record<string, number>> }
