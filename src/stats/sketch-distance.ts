// Distances of two distributions given as sketches: to the accuracy of their buckets, which both must share.
import type { DDSketch } from './dd-sketch.js'

const BINS = 10
/** What an empty bin counts as, in observations: the index is infinite otherwise. */
const EMPTY_COUNT = 0.5

/** Kolmogorov-Smirnov: the largest difference of the two distribution functions. Both sketches hold something. */
export function kolmogorovDistance(a: DDSketch, b: DDSketch): number {
  const inB = new Map(bucketsOf(b))
  const inA = new Map(bucketsOf(a))
  let sumA = 0
  let sumB = 0
  let largest = 0
  for (const key of [...new Set([...inA.keys(), ...inB.keys()])].sort((x, y) => x - y)) {
    sumA += (inA.get(key) ?? 0) / a.count
    sumB += (inB.get(key) ?? 0) / b.count
    largest = Math.max(largest, Math.abs(sumA - sumB))
  }
  return Math.min(1, largest)
}

/** Population stability index over the deciles of `a`: Σ (share of b - share of a) ln(share of b / share of a). */
export function populationStability(a: DDSketch, b: DDSketch): number {
  const ofB = bucketsOf(b)
  const bins: { a: number; b: number }[] = []
  let bin = { a: 0, b: 0 }
  let seen = 0
  let seenB = 0
  let next = 0
  for (const [key, count] of bucketsOf(a)) {
    for (; next < ofB.length && ofB[next]![0] <= key; next++) {
      bin.b += ofB[next]![1]
      seenB += ofB[next]![1]
    }
    seen += count
    bin.a += count
    if (seen < ((bins.length + 1) * a.count) / BINS) continue
    bins.push(bin)
    bin = { a: 0, b: 0 }
  }
  // What lies above all of a belongs to its last bin.
  bins[bins.length - 1]!.b += b.count - seenB
  let index = 0
  for (const one of bins) {
    const shareA = Math.max(one.a, EMPTY_COUNT) / a.count
    const shareB = Math.max(one.b, EMPTY_COUNT) / b.count
    index += (shareB - shareA) * Math.log(shareB / shareA)
  }
  return index
}

/** Buckets in the order of their values: negative ones, zeros, positive ones. The keys order and are no values. */
function bucketsOf(sketch: DDSketch): [number, number][] {
  const [zeros = 0, infinities = 0, negativeInfinities = 0, positives = 0, ...rest] = sketch.counts()
  const buckets: [number, number][] = []
  // Bucket numbers are well within a million of 0.
  for (let at = 0; at < rest.length; at += 2)
    buckets.push([at < 2 * positives ? 1e6 + rest[at]! : -1e6 - rest[at]!, rest[at + 1]!])
  if (zeros > 0) buckets.push([0, zeros])
  if (infinities > 0) buckets.push([1e7, infinities])
  if (negativeInfinities > 0) buckets.push([-1e7, negativeInfinities])
  return buckets.sort(([x], [y]) => x - y)
}
