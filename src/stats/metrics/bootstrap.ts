// The paired bootstrap: rows are drawn again with replacement, both predictions of a row together, and what changes from draw to draw is how
// uncertain the difference is. Percentile interval; Efron & Tibshirani (1993), chapter 13.
import type { Weighted } from './types.js'

export interface Interval {
  readonly estimate: number
  readonly low: number
  readonly high: number
  /** Draws in which the metric was defined; the interval is only as good as these are many. */
  readonly draws: number
}

export interface BootstrapOptions {
  /** 0 to 1. */
  readonly confidence: number
  /** The same seed draws the same rows. */
  readonly random: { uint32(): number }
  /** Draws at least; a confidence close to 1 takes more, so that ten lie beyond each end. Default 1,000. */
  readonly draws?: number
}

const DRAWS = 1000
const BEYOND = 10
/** Of the draws: with fewer defined ones nothing is said. */
const LEAST_DEFINED = 0.9

/** Of `first - second`, or of `first` alone. Undefined when the metric is not defined on the rows, or on too many draws of them. */
export function pairedBootstrap(
  first: Weighted,
  second: Weighted | undefined,
  weights: Float64Array,
  { confidence, random, draws: least = DRAWS }: BootstrapOptions,
): Interval | undefined {
  const rows = weights.length
  const statistic = (under: Float64Array) => first(under) - (second?.(under) ?? 0)
  const estimate = statistic(weights)
  if (!Number.isFinite(estimate)) return undefined
  const tail = (1 - confidence) / 2
  const draws = Math.max(least, Math.ceil(BEYOND / tail))
  const drawn = new Float64Array(rows)
  const found = new Float64Array(draws)
  let defined = 0
  for (let draw = 0; draw < draws; draw++) {
    drawn.fill(0)
    for (let i = 0; i < rows; i++) {
      // Biased by less than 2^-12 for a million rows.
      const row = Math.floor((random.uint32() / 4_294_967_296) * rows)
      drawn[row]! += weights[row]!
    }
    const value = statistic(drawn)
    if (Number.isFinite(value)) found[defined++] = value
  }
  if (defined < LEAST_DEFINED * draws) return undefined
  const sorted = found.subarray(0, defined).sort()
  return { estimate, low: quantile(sorted, tail), high: quantile(sorted, 1 - tail), draws: defined }
}

function quantile(sorted: Float64Array, p: number): number {
  const at = p * (sorted.length - 1)
  const below = Math.floor(at)
  const next = sorted[Math.min(below + 1, sorted.length - 1)]!
  return sorted[below]! + (at - below) * (next - sorted[below]!)
}
