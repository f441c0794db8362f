// Where a view's rows come from: batch sources are read as a whole or by a range of time, stream sources hand over events.
import type { Duration } from '../duration.js'
import type { ValueType } from '../value.js'
import type { Described } from './described.js'
import type { Expectation } from './expectation.js'

/** Columns by name. Those of a batch source need not be declared: they are read from it. */
export type Columns = Readonly<Record<string, ValueType>>

interface Timed {
  /** Column of the moment that a row is about. */
  readonly eventTime: string
  /**
   * Column of the moment when the row could be known: when it was written or arrived. A value counts only from then on. Without it a row
   * is known at its event time.
   */
  readonly knownTime?: string
  /**
   * The zone of times that are written without one, such as 'Europe/Berlin'; default UTC. An hour that a clock shows twice is its
   * first one; one that it skips is read as if it had not been skipped.
   */
  readonly timeZone?: string
  /** New name by old name, of columns that were renamed in the source: both are read. */
  readonly renames?: Readonly<Record<string, string>>
  /** Of its columns; checked with those of each view that reads it. */
  readonly expectations?: readonly Expectation[]
}

export interface FileSource extends Described, Timed {
  readonly kind: 'file'
  readonly name: string
  /** A file or a glob, relative to the project. */
  readonly path: string
  /** Default: by the file's name. */
  readonly format?: 'parquet' | 'csv' | 'json'
  readonly columns?: Columns
}

export interface SqlSource extends Described, Timed {
  readonly kind: 'sql'
  readonly name: string
  /** One SELECT in DuckDB's dialect; relative files are the project's. */
  readonly query: string
  readonly columns?: Columns
}

export interface PostgresSource extends Described, Timed {
  readonly kind: 'postgres'
  readonly name: string
  /** Either of the two; a query is one SELECT. */
  readonly table?: string
  readonly query?: string
  /** Name of the environment variable that holds the connection URL; default DATABASE_URL. */
  readonly urlFrom?: string
  readonly columns?: Columns
}

interface Streamed extends Described {
  /** Columns of its events; others are kept out. */
  readonly columns: Columns
  /** Column of the event's moment (timestamp); an event without it happened when it arrived. Default `event_timestamp`. */
  readonly eventTime?: string
  /** Column that identifies an event: the same one twice counts once. */
  readonly eventId?: string
  /** An event that arrives later than this after it happened does not count: it is kept, counted and can be looked at. Default 1 h. */
  readonly lateness?: Duration
  /** An event from further ahead than this is refused; default 1 m. */
  readonly maxAhead?: Duration
  /** Of its columns: an event that breaks one about single rows is quarantined. */
  readonly expectations?: readonly Expectation[]
}

/** Events that clients push over HTTP, or code in this process does. */
export interface PushSource extends Streamed {
  readonly kind: 'push'
  readonly name: string
}

/** Events of a Kafka topic: JSON objects. Replicas share its partitions as one consumer group. */
export interface KafkaSource extends Streamed {
  readonly kind: 'kafka'
  readonly name: string
  readonly topic: string
  /** Default `headrace-<source>`. */
  readonly groupId?: string
}

export type BatchSource = FileSource | SqlSource | PostgresSource
export type StreamSource = PushSource | KafkaSource
export type Source = BatchSource | StreamSource

type Options<S> = Omit<S, 'kind' | 'name'>

/** Rows of Parquet, CSV or (newline-delimited) JSON files. */
export function fileSource(name: string, options: Options<FileSource>): FileSource {
  return { kind: 'file', name, ...options }
}

/** Rows of a query that DuckDB runs over files. */
export function sqlSource(name: string, options: Options<SqlSource>): SqlSource {
  return { kind: 'sql', name, ...options }
}

/** Rows of a Postgres table or query. */
export function postgresSource(name: string, options: Options<PostgresSource>): PostgresSource {
  return { kind: 'postgres', name, ...options }
}

/** Events pushed to POST /api/v1/features/push, Feast's /push, or through the app. */
export function pushSource(name: string, options: Options<PushSource>): PushSource {
  return { kind: 'push', name, ...options }
}

/** Events of a Kafka topic; the brokers are those of the configuration (KAFKA_BROKERS). */
export function kafkaSource(name: string, options: Options<KafkaSource>): KafkaSource {
  return { kind: 'kafka', name, ...options }
}
