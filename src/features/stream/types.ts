// Events on their way in: kept, checked, counted once, and taken into the windows of the views that they feed.
import type { Value } from '../value.js'

/** One event as it arrives. */
export interface ArrivedEvent {
  /** By column, as JSON has them: not yet checked. */
  readonly row: Readonly<Record<string, unknown>>
  /** When it arrived; a Kafka record's own timestamp, else now. */
  readonly knownMs: number
}

/** Checked against its source's columns. */
export interface StreamEvent {
  readonly eventMs: number
  readonly knownMs: number
  readonly id: string | undefined
  readonly row: Readonly<Record<string, Value>>
}

/** An event with its place in the log. */
export interface LoggedEvent extends StreamEvent {
  readonly partition: string
  readonly offset: number
}

/** A record of a partitioned stream, with its place. */
export interface PlacedEvent extends ArrivedEvent {
  readonly offset: number
}

/** The offset that comes next, by partition. */
export type StreamPositions = Readonly<Record<string, number>>

export interface IngestReport {
  readonly accepted: number
  readonly duplicates: number
  /** Kept, but too late to count (see the source's `lateness`). */
  readonly late: number
  /** In quarantine, with the reason of the first few. */
  readonly refused: number
  readonly problems: readonly { readonly index: number; readonly code: string; readonly problem: string }[]
}

/** The events of stream sources, kept for training sets, backfills and checks: what offline reads of a source that has no batch source. */
export interface EventLog {
  append(source: string, events: readonly StreamEvent[]): Promise<void>
  /** Files that hold what was appended, for DuckDB. */
  files(source: string): Promise<readonly string[]>
  close(): Promise<void>
}

/** Rows that broke a rule: kept, counted, to be looked at. */
export interface Quarantine {
  put(rows: readonly QuarantinedRow[]): Promise<void>
  list(filter: { readonly of?: string; readonly limit?: number }): Promise<readonly QuarantinedRow[]>
  counts(): Promise<readonly { readonly of: string; readonly reason: string; readonly rows: number }[]>
}

export interface QuarantinedRow {
  /** Source or view. */
  readonly of: string
  readonly reason: string
  readonly problem: string
  readonly atMs: number
  /** JSON text of the row as it arrived, at most 64 KiB of it. */
  readonly row: string
}
