// How sure an answer is: the largest class probability of each row, and of these the smallest, since every row has to be sure.
import type { Tensor } from '../tensor/index.js'
import { floatAt, isFloat } from './numbers.js'

/**
 * Confidence of probabilities [rows, classes], 0 to 1. A row of a single probability p has two classes, p and 1 - p. Anything that
 * is no probability (NaN, other datatypes, no element) is not sure at all.
 */
export function confidenceOf(probabilities: Tensor): number {
  const { shape, data, datatype } = probabilities
  const rows = shape[0] ?? 1
  const classes = data.length / rows
  if (!isFloat(datatype) || data.length === 0) return 0
  let least = 1
  for (let row = 0; row < rows; row++) {
    let largest = 0
    for (let i = row * classes; i < (row + 1) * classes; i++) {
      const value = floatAt(probabilities, i)
      const sure = classes === 1 ? Math.max(value, 1 - value) : value
      if (Number.isNaN(sure)) return 0
      if (sure > largest) largest = sure
    }
    if (largest < least) least = largest
  }
  return least
}
