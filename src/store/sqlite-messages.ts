// What the main thread and the SQLite thread say to each other. Plain data only: the thread loads nothing but libsql.

export type SqlValue = number | bigint | string | Uint8Array | null

export interface SqliteThreadData {
  readonly file: string
  readonly busyMs: number
}

export type ToThread =
  | { readonly id: number; readonly kind: 'query'; readonly sql: string; readonly parameters: readonly SqlValue[] }
  /** Asks for the next page of an earlier query, whose id this is. */
  | { readonly id: number; readonly kind: 'more' }
  /** Drops what is left of an earlier query; it has no answer. */
  | { readonly id: number; readonly kind: 'forget' }
  /** Ends the transaction if the database has not ended it by itself, as it does when the disk is full. */
  | { readonly id: number; readonly kind: 'rollback' }
  | { readonly id: number; readonly kind: 'close' }

export type FromThread =
  | { readonly id: number; readonly kind: 'page'; readonly page: Page }
  | { readonly id: number; readonly kind: 'failed'; readonly failure: SqliteFailure }

/** Rows laid end to end, which costs a third of what an array of objects does to clone. */
export interface Page {
  readonly columns: readonly string[]
  readonly values: readonly SqlValue[]
  readonly hasMore: boolean
  /** Rows changed; 0 for a statement that returns rows. */
  readonly affected: number
}

export interface SqliteFailure {
  /** SQLite's extended code, for example `SQLITE_CONSTRAINT_UNIQUE`; undefined when it is none of SQLite's. */
  readonly code: string | undefined
  readonly message: string
}

/** The id of the message that says the database is open, or why not. */
export const OPENED = 0
