// Where the batch source of a window view ends and its stream begins: the one rule, for what is materialised and for training sets.
import type { StreamSource } from './definitions/source.js'
import { durationMs } from './duration.js'

export interface Seam {
  /** Events from before it are the batch source's, events at it and later the stream's. */
  readonly seamMs: number
  /** How much lies between the two, in neither. */
  readonly gapMs: number
}

/** How late an event of a stream may be and still count. */
export function latenessMsOf(stream: StreamSource): number {
  return durationMs(stream.lateness ?? '1h', `source ${stream.name} › lateness`)
}

/**
 * In event time. An event that counts is known at most the lateness after it happened, so everything from before `newest known - lateness` is in
 * the batch source; the stream's log has everything that was known since `sinceMs`. Undefined for a batch source without rows: the stream has
 * all there is.
 */
export function seamOf(
  newestKnownMs: number | undefined,
  stream: { readonly sinceMs: number; readonly latenessMs: number },
  hopMs: number,
): Seam | undefined {
  if (newestKnownMs === undefined) return undefined
  const settledMs = Math.floor((newestKnownMs - stream.latenessMs) / hopMs) * hopMs
  if (stream.sinceMs <= settledMs) return { seamMs: settledMs, gapMs: 0 }
  // The log begins later: the batch source is used for as long as it goes.
  const seamMs = Math.min(stream.sinceMs, newestKnownMs + 1)
  return { seamMs, gapMs: stream.sinceMs - seamMs }
}
