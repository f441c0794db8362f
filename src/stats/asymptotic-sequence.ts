// A confidence sequence for a mean that holds at all sample sizes together, asymptotically: I. Waudby-Smith, D. Arbour, R. Sinha,
// E. Kennedy, A. Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences" (arXiv 2103.06476), theorem 2.2.

/** Sample size at which the sequence is tightest. */
const TIGHTEST_AT = 1000

/** Half of the width around the mean of `n` values with this standard deviation; infinite below two values. */
export function asymptoticHalfWidth(n: number, standardDeviation: number, alpha: number): number {
  if (n < 2) return Number.POSITIVE_INFINITY
  const log = -2 * Math.log(alpha)
  const rhoSquared = (log + Math.log(log + 1)) / TIGHTEST_AT
  const grown = n * rhoSquared + 1
  return standardDeviation * Math.sqrt((2 * grown * Math.log(Math.sqrt(grown) / alpha)) / (n * n * rhoSquared))
}
