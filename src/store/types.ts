// The engines behind small interfaces. Embedded implementations live here now; Redis, S3, Kafka and Postgres plug in later.
import type { Readable } from 'node:stream'
import type { Digest } from '../core/index.js'

export interface KeyValueEntry {
  readonly key: string
  readonly value: Uint8Array
  /** Milliseconds until it is gone; undefined keeps it. */
  readonly ttlMs?: number
}

/** Small values by key, with what counters and leases need. Keys are UTF-8 text. */
export interface KeyValue {
  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]>
  setMany(entries: readonly KeyValueEntry[]): Promise<void>
  /** Writes `next` only if the value is `expected` (undefined: absent); says whether it did. */
  compareAndSet(key: string, expected: Uint8Array | undefined, next: Uint8Array): Promise<boolean>
  /** Adds to an integer, starting at 0; the time to live is set when the key is made. Returns the new value. */
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

/** Files by key (`/`-separated). A blob is there whole or not at all. */
export interface Blobs {
  /** Rejects with STORE_DIGEST_MISMATCH, leaving nothing behind, when the bytes are not the `expected` ones. */
  put(key: string, body: Readable, expected?: Digest): Promise<void>
  /** Rejects with STORE_BLOB_NOT_FOUND. */
  get(key: string, range?: ByteRange): Promise<Readable>
  list(prefix: string): AsyncIterable<BlobInfo>
  /** Removing what is not there does nothing. */
  remove(key: string): Promise<void>
}
