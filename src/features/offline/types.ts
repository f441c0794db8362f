// Reading history: training sets, backfills and checks. DuckDB runs the plans; windows are replayed through the aggregation engine.

import type { WindowEvent } from '../aggregate/types.js'
import type { CompiledService, CompiledView } from '../compiled.js'
import type { Value } from '../value.js'
import type { Duck } from './duck.js'
import type { Relation } from './relation.js'

/** A row of a row view's source. */
export interface HistoryRow {
  readonly key: string
  readonly eventMs: number
  readonly knownMs: number
  readonly values: readonly Value[]
}

export interface HistoryEvent extends WindowEvent {
  readonly key: string
}

/** Where the labels are and what to make of them. */
export interface TrainingSetRequest {
  readonly service: CompiledService
  /** Parquet, CSV or JSON, or `postgres:<table>`, with the entity keys, a time, the on-demand inputs, and anything else, which is carried over. */
  readonly labels: string
  /** Column of the labels' moments; default `event_timestamp`. */
  readonly timeColumn?: string
  /** Parquet (default), CSV or JSON by its extension. Written beside and renamed when whole. */
  readonly out: string
  /** Rows that a brute-force oracle derives again; any difference, or a row that used later knowledge, fails. Default 0. */
  readonly proofRows?: number
  /** Goes on where an interrupted run of the same request stopped; default true. */
  readonly resume?: boolean
  /** Columns `<feature>__event_timestamp` beside each view's features; default false. */
  readonly withTimes?: boolean
  readonly onProgress?: (progress: { readonly step: string; readonly done: number; readonly total: number }) => void
  readonly signal?: AbortSignal
}

export interface TrainingSetReport {
  readonly rows: number
  readonly out: string
  readonly elapsedMs: number
  /** Largest resident memory of the process so far. */
  readonly peakMemoryBytes: number
  /** Per feature of the service. */
  readonly features: readonly { readonly name: string; readonly nulls: number }[]
  readonly proof: { readonly rows: number; readonly values: number } | undefined
}

export interface OfflineStore {
  trainingSet(request: TrainingSetRequest): Promise<TrainingSetReport>
  /**
   * The newest row per key among those known in (afterKnownMs, throughKnownMs], in the order of keys, from `afterKey` on: so that an
   * interrupted reader goes on.
   */
  newestRows(
    view: CompiledView,
    range: {
      readonly afterKnownMs: number | undefined
      readonly throughKnownMs: number
      readonly afterKey?: string | undefined
    },
  ): AsyncIterable<readonly HistoryRow[]>
  /** Events of a window view in the order of key, then knownMs: those that a window ending at `untilMs` or later may still hold, and happened before `beforeMs`. */
  events(
    view: CompiledView,
    range: {
      readonly fromMs: number
      readonly beforeMs: number
      readonly throughKnownMs: number
      readonly afterKey?: string | undefined
    },
  ): AsyncIterable<readonly HistoryEvent[]>
  /** When the newest row of a view's source became known, of those known by then; undefined without any. */
  newestKnownMs(view: CompiledView, throughKnownMs: number): Promise<number | undefined>
  /** What a view's features were at moments, for checking what was served. In the order of `moments`. */
  valuesAt(
    view: CompiledView,
    moments: readonly { readonly key: string; readonly atMs: number }[],
  ): Promise<(readonly Value[] | undefined)[]>
  /** Columns of a source as they are now. Throws FEATURE_SOURCE_UNREADABLE, FEATURE_SOURCE_SCHEMA. */
  schema(view: CompiledView): Promise<readonly { readonly name: string; readonly type: string }[]>
  /** Runs SQL over the rows of a view's source: for checks of whole sets of rows. */
  inspect<T>(
    view: CompiledView,
    work: (duck: Pick<Duck, 'rows'>, relation: Relation) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T>
  close(): Promise<void>
}
