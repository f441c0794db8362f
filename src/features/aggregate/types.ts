// The aggregation engine: one state per entity key of a window view. Training sets replay events through it, streams feed it, requests
// read it; so all three have one meaning (definitions/feature.ts states it).
import type { Value } from '../value.js'

export interface WindowEvent {
  readonly eventMs: number
  /** When it could be known; at least what `read` moments are compared with by the caller. Events are given in this order. */
  readonly knownMs: number
  /** Of the source's `eventId` column, as text; undefined: never a duplicate. */
  readonly id: string | undefined
  /** Values of the view's `columns`, in their order. */
  readonly values: readonly Value[]
}

export interface KeyState {
  /**
   * In any order of event time. `duplicate`: an event of this id is already in, whose eventMs lies at most the stream's lateness (of a batch
   * source: the longest window and a hop) before this one's knownMs. `expired`: before every window that can still be read.
   */
  add(event: WindowEvent): 'added' | 'duplicate' | 'expired'
  /**
   * Writes the view's feature values at a moment into `into` from `offset` on. False, and nothing written, when the longest window holds no
   * event (whatever filters say): the key is then not known. A moment before the last `evict` is read as that one.
   */
  read(atMs: number, into: Value[], offset: number): boolean
  /**
   * Forgets what no window that ends at `atMs` or later can reach, and merges what none of them can cut: call it now and then with a moment that
   * no read and no later event's knownMs is before. True when nothing is left.
   */
  evict(atMs: number): boolean
  /** Of the newest event in it; undefined without any. */
  readonly newestEventMs: number | undefined
  /** Bytes that it takes in memory, about. */
  readonly sizeBytes: number
  /** A stored format: read for ever by `parse` of the same view fingerprint. */
  serialize(): Uint8Array
}

/** Compiled once per window view. */
export interface WindowEngine {
  create(): KeyState
  /** Throws FEATURE_STATE_CORRUPT. */
  parse(bytes: Uint8Array): KeyState
  /**
   * The lambda seam: what `batch` holds before `seamMs` and `stream` holds from there on, without gap or overlap. `seamMs` is a
   * multiple of the view's hop. Neither argument may be used afterwards.
   */
  merge(batch: KeyState, stream: KeyState, seamMs: number): KeyState
}
