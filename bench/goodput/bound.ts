// A bound that no scheduler exceeds: rows served one by one at the speed of the largest batches, by somebody who knows the
// future and may interrupt himself. Real batches come out later than that, so nobody reaches it either.
import { LARGEST_BATCH_ROWS, type ModelCost, runMs } from './model.js'
import type { Arrival } from './traces.js'

/**
 * The share of a trace's requests that could be in time. Rows are matched with the time slots between their arrival and
 * deadline, as many as can be: by the slot, the row whose deadline is next (Glover 1967, optimal for windows). The requests
 * that so many rows make up are at most the smallest ones.
 */
export function bound(trace: readonly Arrival[], model: ModelCost): number {
  const slotMs = runMs(model, LARGEST_BATCH_ROWS) / LARGEST_BATCH_ROWS
  /** Deadlines of the rows that have arrived, the next one last. */
  const waiting: number[] = []
  let served = 0
  let arrived = 0
  for (let startMs = 0; arrived < trace.length || waiting.length > 0; startMs += slotMs) {
    for (; arrived < trace.length && trace[arrived]!.atMs < startMs + slotMs; arrived++) {
      const { atMs, limitMs, rows } = trace[arrived]!
      const place = placeOf(waiting, atMs + limitMs)
      for (let row = 0; row < rows; row++) waiting.splice(place, 0, atMs + limitMs)
    }
    while (waiting.length > 0 && waiting.at(-1)! <= startMs) waiting.pop()
    if (waiting.pop() !== undefined) served++
  }
  const sizes = trace.map(({ rows }) => rows).sort((a, b) => a - b)
  let fitting = 0
  for (let left = served; fitting < sizes.length && sizes[fitting]! <= left; fitting++) left -= sizes[fitting]!
  return fitting / sizes.length
}

/** Where a deadline belongs in a list that falls. */
function placeOf(deadlines: readonly number[], atMs: number): number {
  let low = 0
  let high = deadlines.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (deadlines[middle]! > atMs) low = middle + 1
    else high = middle
  }
  return low
}
