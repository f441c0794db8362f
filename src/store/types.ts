// The engines behind small interfaces. Embedded implementations live here now; Redis, S3, Kafka and Postgres plug in later.
import type { Readable } from 'node:stream'
import type { Kysely, Transaction } from 'kysely'
import type { Digest, Stop } from '../core/index.js'

/**
 * One step of a domain's schema. It runs inside a transaction; make tables with `tx.schema`, reach typed ones with
 * `tx.withTables<Tables>()` (`Tables` is a type, not an interface). Column types both engines understand: `text`, `integer`, `bigint`, `double precision`, `bytea`.
 */
export interface Migration {
  up(tx: Transaction<unknown>): Promise<void>
}

/**
 * Metadata in SQL, through kysely's query builder only, so that SQLite and Postgres run the same code.
 *
 * Values: numbers (finite), bigints of 64 bits, text without NUL, bytes, null. A boolean is 0 or 1 in an `integer` column,
 * a time is milliseconds in a `bigint` one, an object is JSON in `text`. Integers come back as numbers, and as bigints
 * where a number would round. Ids and numbers are made by the domain, never by the database.
 *
 * A transaction in which a statement failed cannot be committed, whether the work went on or not: look first, or use `onConflict`.
 *
 * Any call rejects with STORE_CONFLICT (a constraint), STORE_BUSY, STORE_FULL, STORE_CORRUPT, STORE_UNAVAILABLE,
 * STORE_QUERY_FAILED, STORE_VALUE_INVALID, STORE_THREAD_DIED, STORE_OUTCOME_UNKNOWN or STORE_CLOSED.
 */
export interface Sql {
  readonly dialect: 'sqlite' | 'postgres'
  /** The query builder for a domain's own tables. Inside `transaction`, use the transaction it was given instead. */
  db<Tables>(): Kysely<Tables>
  /**
   * Runs `work` in one serialised transaction and commits when it resolves; any rejection undoes all of it. Inside it use
   * only `tx`, and wait for nothing else: anything else waits for it, and fails with STORE_BUSY after ten seconds.
   * Annotate the parameter and both types follow: `sql.transaction(async (tx: Transaction<Tables>) => …)`.
   */
  transaction<Tables, T>(work: (tx: Transaction<Tables>) => Promise<T>): Promise<T>
  /**
   * Brings a domain's tables up to date, in the order of the names (`0001-aliases`, `0002-…`), all or nothing.
   * Throws STORE_SCHEMA_NEWER, STORE_MIGRATION_ORDER, STORE_MIGRATION_FAILED.
   */
  migrate(domain: string, migrations: Readonly<Record<string, Migration>>): Promise<void>
  /** Has every other process that listens on this database look for what is new, once `tx` has committed. */
  announce(tx: Transaction<unknown>): Promise<void>
  /** Calls `heard` when another process has announced something, or may have. SQLite has one process, which never does. */
  listen(heard: () => void): Stop
  /** Waits for what is running and leaves one file. Close before `process.exit`, which aborts in mid-statement (libsql 0.5). */
  close(): Promise<void>
}

/** Held for as long as a process owns a data folder; the system releases it when the process ends, however it ends. */
export interface FolderLock {
  readonly folder: string
  release(): Promise<void>
}

export interface KeyValueEntry {
  readonly key: string
  readonly value: Uint8Array
  /** Milliseconds until it is gone; undefined keeps it, zero or less removes it. */
  readonly ttlMs?: number
}

/** Small values by key, with what counters and leases need. Keys are UTF-8 text. */
export interface KeyValue {
  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]>
  setMany(entries: readonly KeyValueEntry[]): Promise<void>
  /** Writes `next`, to stay, only if the value is `expected` (undefined: absent); says whether it did. */
  compareAndSet(key: string, expected: Uint8Array | undefined, next: Uint8Array): Promise<boolean>
  /**
   * Adds to an integer, starting at 0; the time to live is set when the key is made. Returns the new value, which
   * `getMany` reads as decimal text. Rejects with STORE_NOT_INTEGER.
   */
  increment(key: string, by: number, ttlMs: number): Promise<number>
}

export interface ByteRange {
  readonly start: number
  /** Exclusive; undefined means to the end. */
  readonly end?: number
}

export interface BlobInfo {
  readonly key: string
  readonly sizeBytes: number
}

/**
 * Files by key: `/`-separated parts of letters, digits and `._=@+~-` that do not start with a dot. A blob is there whole or
 * not at all. Every method rejects another key with STORE_KEY_INVALID.
 */
export interface Blobs {
  /** Rejects with STORE_DIGEST_MISMATCH, leaving nothing behind, when the bytes are not the `expected` ones. */
  put(key: string, body: Readable, expected?: Digest): Promise<void>
  /** Rejects with STORE_BLOB_NOT_FOUND, STORE_RANGE_INVALID. Read the stream to its end or destroy it. */
  get(key: string, range?: ByteRange): Promise<Readable>
  /** Every blob whose key starts so, in no particular order. */
  list(prefix: string): AsyncIterable<BlobInfo>
  /** Removing what is not there does nothing. */
  remove(key: string): Promise<void>
}
