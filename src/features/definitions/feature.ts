// The features of a view: a column of its source, or an aggregation over a window of its events.
//
// The one meaning of a window, in training sets, backfills, streams and requests alike. At the moment t an event counts when
//   start(t) <= eventTime < t   and   knownTime <= t   and   its filter takes it,
// with start(t) = t - over (`exact`), rounded down to the view's hop (`sawtooth`). The event at t itself does not count: it is
// mostly the one that is being decided on. Of several events with one id, the one known first counts.
// Values that are null are skipped, as SQL does.
import { type Duration, durationMs } from '../duration.js'
import type { Value, ValueOf, ValueType } from '../value.js'

/** A row as filters see it: values by column, null where there is none. */
export type EventRow = Readonly<Record<string, Value>>

interface FeatureOptions<V> {
  /** The answer when there is no value: for an unknown entity, past the TTL, or while the store is down. Default null. */
  readonly default?: V | null
  readonly description?: string
  readonly tags?: readonly string[]
}

/** A column of the source, as it stands in the newest row. */
export interface Column<T extends ValueType = ValueType> extends FeatureOptions<ValueOf<T>> {
  readonly kind: 'column'
  readonly type: T
  /** Column of the source; default: the feature's own name. */
  readonly from?: string
}

export interface WindowOptions<V> extends FeatureOptions<V> {
  /** Length of the window. */
  readonly over: Duration
  /** Counts only events that it takes. Pure: it may look at nothing but the row. */
  readonly where?: (row: EventRow) => boolean
}

/** What is computed; parameters beside the name. */
export type AggregationSpec =
  | { readonly op: 'count' | 'sum' | 'mean' | 'min' | 'max' | 'variance' | 'first' | 'last' | 'distinct' }
  | { readonly op: 'lastK' | 'topK'; readonly k: number }
  /** Standard error 1.04 / sqrt(2^precision); default precision 12, 1.6 %. */
  | { readonly op: 'approxDistinct'; readonly precision: number }
  /** Relative error of the value at most `accuracy`. */
  | { readonly op: 'quantile'; readonly q: number; readonly accuracy: number }
  /** Counts between consecutive edges: below the first, …, from the last on. */
  | { readonly op: 'histogram'; readonly edges: readonly number[] }
  /** Sum (or count) in which an event weighs half as much after each half-life. */
  | { readonly op: 'decayedSum' | 'decayedCount'; readonly halfLifeMs: number }
  /** Items whose latest quantity is above zero, the latest changed first: the contents of a basket. */
  | { readonly op: 'currentItems'; readonly quantity: string; readonly k: number }

export interface Aggregation<T extends ValueType = ValueType> extends WindowOptions<ValueOf<T>> {
  readonly kind: 'aggregation'
  readonly type: T
  /** Column that is aggregated; undefined counts events. */
  readonly column: string | undefined
  readonly spec: AggregationSpec
}

export type Feature<T extends ValueType = ValueType> = Column<T> | Aggregation<T>

/** A value of the newest row, under the feature's own name or `from` a column of another. */
export function column<const T extends ValueType>(type: T, options: Omit<Column<T>, 'kind' | 'type'> = {}): Column<T> {
  return { kind: 'column', type, ...options }
}

function aggregation<T extends ValueType>(
  type: T,
  column: string | undefined,
  spec: AggregationSpec,
  options: WindowOptions<ValueOf<T>>,
): Aggregation<T> {
  return { kind: 'aggregation', type, column, spec, ...options }
}

type Over<T extends ValueType> = WindowOptions<ValueOf<T>>

/** Number of events. 0 for a known entity without any, as an empty window has no event. */
export const count = (options: Over<'int64'>) => aggregation('int64', undefined, { op: 'count' }, options)
/** Exact and in any order the same: summed without rounding, rounded once. Null without events. */
export const sum = (column: string, options: Over<'float64'>) => aggregation('float64', column, { op: 'sum' }, options)
export const mean = (column: string, options: Over<'float64'>) =>
  aggregation('float64', column, { op: 'mean' }, options)
export const min = (column: string, options: Over<'float64'>) => aggregation('float64', column, { op: 'min' }, options)
export const max = (column: string, options: Over<'float64'>) => aggregation('float64', column, { op: 'max' }, options)
/** Of the population: divided by n. */
export const variance = (column: string, options: Over<'float64'>) =>
  aggregation('float64', column, { op: 'variance' }, options)
/** Distinct values, exactly; memory grows with them. */
export const distinct = (column: string, options: Over<'int64'>) =>
  aggregation('int64', column, { op: 'distinct' }, options)

/** Distinct values by HyperLogLog. */
export const approxDistinct = (column: string, options: Over<'int64'> & { readonly precision?: number }) => {
  const { precision = 12, ...rest } = options
  return aggregation('int64', column, { op: 'approxDistinct', precision }, rest)
}

/** A quantile by DDSketch; `accuracy` is its relative error, default 0.01. */
export const quantile = (column: string, q: number, options: Over<'float64'> & { readonly accuracy?: number }) => {
  const { accuracy = 0.01, ...rest } = options
  return aggregation('float64', column, { op: 'quantile', q, accuracy }, rest)
}

export const histogram = (column: string, edges: readonly number[], options: Over<'int64[]'>) =>
  aggregation('int64[]', column, { op: 'histogram', edges }, options)

type ScalarColumn = 'float64' | 'int64' | 'bool' | 'string' | 'timestamp'

/** The value of the earliest event; `type` is the column's. */
export const first = <const T extends ScalarColumn>(column: string, type: T, options: Over<T>) =>
  aggregation(type, column, { op: 'first' }, options)
/** The value of the latest event. */
export const last = <const T extends ScalarColumn>(column: string, type: T, options: Over<T>) =>
  aggregation(type, column, { op: 'last' }, options)
/** Values of the latest `k` events, the latest first. */
export const lastK = <const T extends 'float64' | 'int64' | 'bool' | 'string'>(
  column: string,
  type: T,
  k: number,
  options: Over<`${T}[]`>,
) => aggregation(`${type}[]` as `${T}[]`, column, { op: 'lastK', k }, options)
/** The `k` most frequent values, the most frequent first; equals in the order of the values. */
export const topK = <const T extends 'int64' | 'string'>(column: string, type: T, k: number, options: Over<`${T}[]`>) =>
  aggregation(`${type}[]` as `${T}[]`, column, { op: 'topK', k }, options)

const decayed = (op: 'decayedSum' | 'decayedCount', column: string | undefined, options: Decay) => {
  const { halfLife, ...rest } = options
  return aggregation('float64', column, { op, halfLifeMs: durationMs(halfLife, 'halfLife') }, rest)
}
type Decay = Over<'float64'> & { readonly halfLife: Duration }
/** An event as old as `halfLife` weighs half. */
export const decayedSum = (column: string, options: Decay) => decayed('decayedSum', column, options)
export const decayedCount = (options: Decay) => decayed('decayedCount', undefined, options)

/** Items whose latest quantity is above zero, at most `k` (default 50). `quantity` is a column: what the event leaves there is. */
export const currentItems = (
  column: string,
  options: Over<'string[]'> & { readonly quantity: string; readonly k?: number },
) => {
  const { quantity, k = 50, ...rest } = options
  return aggregation('string[]', column, { op: 'currentItems', quantity, k }, rest)
}
