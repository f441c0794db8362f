// One fixed order of values, for ties that times do not decide: a store, a join and a stream must pick the same row of two.
import type { Scalar, Value } from './value.js'

/**
 * Negative when `a` is the smaller tuple, 0 when they are equal. Value by value: null before anything, false before true, numbers (int64
 * beyond 2^53 too) by size, text by code points, lists and vectors item by item and the shorter first.
 */
export function compareTuples(a: readonly Value[], b: readonly Value[]): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const order = compareValues(a[i]!, b[i]!)
    if (order !== 0) return order
  }
  return a.length - b.length
}

/** As `compareTuples`, of one value. Values of one column: of two types the order is fixed too, but means nothing. */
export function compareValues(a: Value, b: Value): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1
  if (typeof a === 'object' || typeof b === 'object') {
    if (typeof a !== 'object') return -1
    if (typeof b !== 'object') return 1
    return compareTuples(a as readonly Scalar[], b as readonly Scalar[])
  }
  return compareScalars(a, b)
}

function compareScalars(a: Scalar, b: Scalar): number {
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b)
  if (typeof a === 'string') return 1
  if (typeof b === 'string') return -1
  return a < b ? -1 : a > b ? 1 : 0
}

/** UTF-16 puts what lies beyond U+FFFF before U+E000; files and databases compare UTF-8 bytes, which is the order of code points. */
function compareText(a: string, b: string): number {
  if (a === b) return 0
  let i = 0
  while (i < a.length && i < b.length && a.charCodeAt(i) === b.charCodeAt(i)) i++
  if (i === a.length || i === b.length) return a.length - b.length
  const left = a.charCodeAt(i)
  const right = b.charCodeAt(i)
  const isSurrogateLeft = left >= 0xd800 && left <= 0xdfff
  const isSurrogateRight = right >= 0xd800 && right <= 0xdfff
  if (isSurrogateLeft !== isSurrogateRight) {
    const other = isSurrogateLeft ? right : left
    if (other >= 0xe000) return isSurrogateLeft ? 1 : -1
  }
  return left - right
}
