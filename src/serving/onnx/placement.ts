// Where a version's session lives, decided by what its loading thread measured. The limits keep two promises: nothing
// synchronous on the event loop takes over 5 ms, and no version delays another one's run by more than SHARED_MS.
import type { Isolation } from '../../tensor/index.js'

/** `inline`: the main thread. `shared`: a thread with other versions. `dedicated`: a thread of its own. */
export type Place = 'inline' | 'shared' | 'dedicated'

/** A run this short costs less than sending it to a thread and back (30 µs of CPU, and 0.1 ms when the cores are busy). */
export const INLINE_RUN_MS = 0.5
export const INLINE_CREATE_MS = 5
export const SHARED_MS = 10

export interface Measured {
  readonly createMs: number
  /** Undefined when no test run succeeded. */
  readonly largestBatchMs: number | undefined
  /** No run can be larger than the one measured: nothing is open in the shapes but the rows, and the batcher limits those. */
  readonly isBounded: boolean
}

/** `dedicated`: whatever was measured, as for one of several instances. */
export function placeOf(
  isolation: Isolation | 'dedicated',
  { createMs, largestBatchMs, isBounded }: Measured,
  usesGpu = false,
): Place {
  // Waiting for a GPU would stop the event loop, and what else shares its thread.
  if (usesGpu) return 'dedicated'
  if (isolation === 'inline' || isolation === 'dedicated') return isolation
  // A text model answers one token in no time and a thousand in a second.
  const runMs = isBounded && largestBatchMs !== undefined ? largestBatchMs : Number.POSITIVE_INFINITY
  if (isolation === 'auto' && runMs <= INLINE_RUN_MS && createMs <= INLINE_CREATE_MS) return 'inline'
  return runMs <= SHARED_MS && createMs <= SHARED_MS ? 'shared' : 'dedicated'
}
