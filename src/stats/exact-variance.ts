import { nearestRatio } from './binary.js'
import type { ExactSquares, ExactSum } from './exact-sum.js'

/** The population's variance of n finite numbers: (n Σx² - (Σx)²) / n² without rounding, rounded once. */
export function variance(n: number, sum: ExactSum, squares: ExactSquares): number {
  const s = sum.binary()
  const q = squares.binary()
  const count = BigInt(n)
  const exponent = Math.min(q.exponent, 2 * s.exponent)
  const top =
    ((count * q.units) << BigInt(q.exponent - exponent)) - ((s.units * s.units) << BigInt(2 * s.exponent - exponent))
  const bottom = count * count
  return exponent < 0 ? nearestRatio(top, bottom << BigInt(-exponent)) : nearestRatio(top << BigInt(exponent), bottom)
}
