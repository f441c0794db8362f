// Sticky assignment: a salt and a unit give a point in [0, 1), and arms are contiguous ranges of it.
// A unit of truth: changing this function would re-assign every running experiment.
import { hash } from 'node:crypto'

/**
 * The first 52 bits of SHA-256(salt, NUL, unit) as a fraction. SHA-256 because every warehouse can recompute it:
 * `('0x' || sha256(salt || chr(0) || unit)[:13])::BIGINT / 2**52` in DuckDB. About 1 µs.
 */
export function assignmentPoint(salt: string, unit: string): number {
  return Number.parseInt(hash('sha256', `${salt}\u0000${unit}`, 'hex').slice(0, 13), 16) / 2 ** 52
}

/** Index of the arm whose range holds `point`; weights need not sum to 1, and an arm of weight 0 is never chosen. */
export function armAt(point: number, weights: readonly number[]): number {
  let total = 0
  for (let i = 0; i < weights.length; i++) total += weights[i]!
  let upper = 0
  let last = 0
  for (let i = 0; i < weights.length; i++) {
    if (weights[i]! <= 0) continue
    last = i
    upper += weights[i]! / total
    if (point < upper) return i
  }
  // Rounding can leave the sum just under 1: the point belongs to the last arm that takes traffic.
  return last
}
