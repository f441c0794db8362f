// Two AUCs on the same rows, and how sure their difference is: DeLong, DeLong & Clarke-Pearson (1988), with midranks as in Sun & Xu (2014),
// so that it takes a sort and not every pair.
import { normalQuantile } from './normal-quantile.js'

export interface PairedAuc {
  readonly first: number
  readonly second: number
  /** first - second. */
  readonly difference: number
  /** Of the difference. */
  readonly standardError: number
}

/** Undefined when only one class is there. `isPositive` is 0 or 1 per row. */
export function delong(isPositive: Uint8Array, first: Float64Array, second: Float64Array): PairedAuc | undefined {
  const positives = isPositive.reduce((sum, one) => sum + one, 0)
  const negatives = isPositive.length - positives
  if (positives === 0 || negatives === 0) return undefined
  const a = placements(isPositive, first, positives, negatives)
  const b = placements(isPositive, second, positives, negatives)
  const variance =
    varianceOfDifference(a.ofPositives, b.ofPositives) / positives +
    varianceOfDifference(a.ofNegatives, b.ofNegatives) / negatives
  return { first: a.auc, second: b.auc, difference: a.auc - b.auc, standardError: Math.sqrt(variance) }
}

/** The difference at a confidence, by the normal distribution that it tends to. */
export function delongInterval(
  { difference, standardError }: PairedAuc,
  confidence: number,
): { low: number; high: number } {
  const reach = normalQuantile(1 - (1 - confidence) / 2) * standardError
  return { low: Math.max(-1, difference - reach), high: Math.min(1, difference + reach) }
}

interface Placements {
  readonly auc: number
  /** Share of negatives below each positive. */
  readonly ofPositives: Float64Array
  /** Share of positives above each negative. */
  readonly ofNegatives: Float64Array
}

function placements(isPositive: Uint8Array, scores: Float64Array, positives: number, negatives: number): Placements {
  const all = midranks(scores)
  const positiveScores = scores.filter((_, i) => isPositive[i] === 1)
  const negativeScores = scores.filter((_, i) => isPositive[i] === 0)
  const amongPositives = midranks(positiveScores)
  const amongNegatives = midranks(negativeScores)
  const ofPositives = new Float64Array(positives)
  const ofNegatives = new Float64Array(negatives)
  let p = 0
  let n = 0
  let sum = 0
  for (let i = 0; i < scores.length; i++) {
    if (isPositive[i] === 1) {
      ofPositives[p] = (all[i]! - amongPositives[p]!) / negatives
      sum += ofPositives[p]!
      p++
    } else {
      ofNegatives[n] = 1 - (all[i]! - amongNegatives[n]!) / positives
      n++
    }
  }
  return { auc: sum / positives, ofPositives, ofNegatives }
}

/** Ranks from 1; equal values share the mean of theirs. */
function midranks(values: Float64Array): Float64Array {
  const order = Int32Array.from(values, (_, i) => i).sort((a, b) => values[a]! - values[b]!)
  const ranks = new Float64Array(values.length)
  for (let from = 0; from < order.length; ) {
    let to = from + 1
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++
    for (let i = from; i < to; i++) ranks[order[i]!] = (from + 1 + to) / 2
    from = to
  }
  return ranks
}

function varianceOfDifference(a: Float64Array, b: Float64Array): number {
  const rows = a.length
  if (rows < 2) return 0
  let mean = 0
  for (let i = 0; i < rows; i++) mean += (a[i]! - b[i]!) / rows
  let sum = 0
  for (let i = 0; i < rows; i++) sum += (a[i]! - b[i]! - mean) ** 2
  return sum / (rows - 1)
}
