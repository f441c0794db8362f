// The online store: the newest row, or the window state, per entity key. One round trip reads any number of views.

import type { KeyState } from '../aggregate/types.js'
import type { CompiledView } from '../compiled.js'
import type { Value } from '../value.js'

/** A generation of a view's data: a full materialisation or a new version fills one beside the live one, and is switched to. */
export interface OnlineTable {
  readonly view: CompiledView
  /** `view@version.generation`. Parts of stored keys; never reused. */
  readonly name: string
}

/** Keys to look up in a table, each encoded by `encodeKey`. */
export interface OnlineRead {
  readonly table: OnlineTable
  readonly keys: readonly string[]
}

/** What is known of one key. */
export interface OnlineEntry {
  /** Of the row, or of the newest event in the window state. */
  readonly eventMs: number
  /** In the order of the view's features; window features are those at the read's moment. */
  readonly values: readonly Value[]
}

/** Entries by read and by key; undefined where there is none. TTL is the reader's affair: the entry says its time. */
export type OnlineAnswer = readonly (readonly (OnlineEntry | undefined)[])[]

export interface OnlineRow {
  readonly key: string
  readonly eventMs: number
  /** Decides between rows of one event time: the later known wins. */
  readonly knownMs: number
  readonly values: readonly Value[]
}

export interface StateWrite {
  readonly key: string
  /** undefined removes it. */
  readonly state: KeyState | undefined
}

/** How far a stream has been taken in, by partition: the next offset. Committed with the states that it led to, in one step. */
export type StreamPosition = Readonly<Record<string, string>>

export interface PositionWrite {
  readonly stream: string
  readonly at: StreamPosition
  /**
   * What the position was when the states were read; null: there was none. In a store that several processes write, nothing is written
   * when it is another one by now: somebody else has taken the stream on, or the store was emptied.
   */
  readonly after?: StreamPosition | null
}

export interface OnlineStore {
  readonly kind: 'memory' | 'redis'
  /**
   * One round trip. Memory answers at once, without a promise. Rejects with FEATURE_STORE_UNAVAILABLE; a reader has its own time limit.
   * `atMs` is the moment that windows end at.
   */
  read(reads: readonly OnlineRead[], atMs: number): OnlineAnswer | Promise<OnlineAnswer>
  /** Writes rows that are newer by (eventMs, knownMs) than what is there; says how many were. Any order, any number of writers. */
  writeRows(table: OnlineTable, rows: readonly OnlineRow[]): Promise<number>
  /** Window states as they are now, for the one writer that a key has. */
  readStates(table: OnlineTable, keys: readonly string[]): Promise<(KeyState | undefined)[]>
  /** Replaces window states and, with them, the position of `stream` that they are of: both or neither. Throws FEATURE_POSITION_MOVED. */
  writeStates(table: OnlineTable, states: readonly StateWrite[], position?: PositionWrite): Promise<void>
  /** undefined: nothing was ever committed. */
  position(table: OnlineTable, stream: string): Promise<StreamPosition | undefined>
  /** Facts about a table, written with what they are about; gone when the store was emptied, which is how that is noticed. */
  readMark(table: OnlineTable): Promise<TableMark | undefined>
  writeMark(table: OnlineTable, mark: TableMark): Promise<void>
  /** Every key of a table, in batches, while it changes: each key that stays is seen at least once. */
  scan(table: OnlineTable): AsyncIterable<readonly string[]>
  /** Names of the tables that hold something. */
  tables(): Promise<string[]>
  drop(tableName: string): Promise<void>
  /** Waits until what was written survives a restart (memory: its files; Redis: as Redis is configured). */
  flush(): Promise<void>
  close(): Promise<void>
}

export interface TableMark {
  readonly fingerprint: string
  /** Rows known up to this moment are in it (and, for windows, events before `seamMs` come from the batch source). */
  readonly throughKnownMs: number | null
  readonly seamMs: number | null
  readonly keys: number
  readonly writtenMs: number
}
