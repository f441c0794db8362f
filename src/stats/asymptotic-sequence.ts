// A confidence sequence for a mean that holds at all sample sizes together, asymptotically: I. Waudby-Smith, D. Arbour, R. Sinha,
// E. Kennedy, A. Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences" (arXiv 2103.06476), theorem 2.2.

/** Half of the width around the mean of `n` values with this standard deviation, tightest at about `tightestAt` values; infinite below two. */
export function asymptoticHalfWidth(n: number, standardDeviation: number, alpha: number, tightestAt = 1000): number {
  if (n < 2) return Number.POSITIVE_INFINITY
  const log = -2 * Math.log(alpha)
  const rhoSquared = (log + Math.log(log + 1)) / tightestAt
  const grown = n * rhoSquared + 1
  return standardDeviation * Math.sqrt((2 * grown * Math.log(Math.sqrt(grown) / alpha)) / (n * n * rhoSquared))
}
