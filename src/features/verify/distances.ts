// How far two values are apart, and the quantiles of many such distances.
import type { Scalar } from '../value.js'

/** Longer lists are compared by their first items: the distance takes time and memory in the product of the lengths. */
const MAX_LIST = 1000

/** |a - b| / max(|a|, |b|): 0 for equals (two zeros, two infinities), at most 2. Beyond 2^53 differences are taken of the exact integers. */
export function relativeError(a: number | bigint, b: number | bigint): number {
  if (a === b) return 0
  if (typeof a === 'bigint' && typeof b === 'bigint') {
    const larger = Math.max(Math.abs(Number(a)), Math.abs(Number(b)))
    return Math.abs(Number(a - b)) / larger
  }
  const x = Number(a)
  const y = Number(b)
  if (x === y) return 0
  const larger = Math.max(Math.abs(x), Math.abs(y))
  return Number.isFinite(larger) ? Math.abs(x - y) / larger : 1
}

/** Levenshtein distance (insert, delete, replace: 1 each) over the length of the longer list: 0 equal, 1 nothing in common. */
export function editDistance(
  a: readonly Scalar[],
  b: readonly Scalar[],
  isSame: (x: Scalar, y: Scalar) => boolean,
): number {
  const n = Math.min(a.length, MAX_LIST)
  const m = Math.min(b.length, MAX_LIST)
  if (n === 0 || m === 0) return n === m ? 0 : 1
  // One row of the table at a time (Wagner and Fischer, 1974).
  const row = Uint32Array.from({ length: m + 1 }, (_, j) => j)
  for (let i = 1; i <= n; i++) {
    let diagonal = row[0]!
    row[0] = i
    for (let j = 1; j <= m; j++) {
      const above = row[j]!
      const replaced = diagonal + (isSame(a[i - 1]!, b[j - 1]!) ? 0 : 1)
      row[j] = Math.min(replaced, above + 1, row[j - 1]! + 1)
      diagonal = above
    }
  }
  return row[m]! / Math.max(n, m)
}

/** 1 - cosine: 0 for one direction, 2 for opposite ones. A zero vector is as far from any other as can be told: 1. */
export function cosineDistance(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return 1
  let dot = 0
  let aa = 0
  let bb = 0
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!
    aa += a[i]! * a[i]!
    bb += b[i]! * b[i]!
  }
  if (aa === 0 || bb === 0) return aa === bb ? 0 : 1
  return Math.max(0, 1 - dot / Math.sqrt(aa * bb))
}

/** The largest difference of a component over the largest component; 1 for vectors of two lengths. */
export function vectorError(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return 1
  let difference = 0
  let largest = 0
  for (let i = 0; i < a.length; i++) {
    difference = Math.max(difference, Math.abs(a[i]! - b[i]!))
    largest = Math.max(largest, Math.abs(a[i]!), Math.abs(b[i]!))
  }
  return largest === 0 ? 0 : difference / largest
}

/** As NumPy's default: linear between the two nearest. `sorted` ascends and is not empty. */
export function quantileOf(sorted: Float64Array, q: number): number {
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  const below = sorted[low]!
  const above = sorted[Math.min(low + 1, sorted.length - 1)]!
  return below + (above - below) * (at - low)
}
