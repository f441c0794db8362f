// Lengths of time as people write them: '30d', '10m', '500ms', or a number of milliseconds.
import { FeatureErrors } from './errors.js'

/** A whole or fractional number and a unit, or milliseconds. A day is 24 hours, whatever a clock on a wall does that day. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Whole milliseconds, above 0. Throws FEATURE_DURATION. */
export function durationMs(duration: Duration, where: string): number {
  const match = typeof duration === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration) : undefined
  const ms = typeof duration === 'number' ? duration : match ? Number(match[1]) * UNIT_MS[match[2]!]! : Number.NaN
  if (!Number.isSafeInteger(ms) || ms <= 0) throw FeatureErrors.DURATION({ where, arrived: String(duration) })
  return ms
}
