// How long a store keeps what nobody refreshes. Past its ttl a row is still told apart from one that never was, and may be a last known
// value; a window state can be of use for as long as an event in it can be in a window.
import type { CompiledView } from '../compiled.js'

const MARGIN_MS = 3_600_000

/** The moment from which a row or state whose newest event is of `eventMs` may be forgotten. Infinity: never. */
export function keptUntilMs(view: CompiledView, eventMs: number): number {
  if (view.kind === 'windows') return eventMs + view.maxWindowMs + view.hopMs + MARGIN_MS
  return view.ttlMs === undefined ? Number.POSITIVE_INFINITY : eventMs + view.ttlMs + Math.max(view.ttlMs, MARGIN_MS)
}
