// The length of a view's tiles.

export const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/**
 * By the longest window, as Chronon does (1 d from 12 d on, 1 h from 12 h on, else 5 min), never more than a twelfth of the shortest; rounded
 * down so that it divides a day.
 */
export function defaultHopMs(longestMs: number, shortestMs: number): number {
  const byLongest = longestMs >= 12 * DAY_MS ? DAY_MS : longestMs >= 12 * HOUR_MS ? HOUR_MS : 300_000
  const limit = Math.max(1, Math.min(byLongest, Math.floor(shortestMs / 12)))
  let parts = Math.ceil(DAY_MS / limit)
  while (DAY_MS % parts !== 0) parts++
  return DAY_MS / parts
}
