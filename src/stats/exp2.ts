// 2^x by additions and multiplications alone. Math.pow may differ in a last bit from one release of V8 to the next, and stored sums
// of weights must not.

/** Within 2 units in the last place; 0 below 2^-1074. */
export function exp2(x: number): number {
  const exponent = Math.floor(x + 0.5)
  if (exponent < -1074) return 0
  // e^y for |y| <= ln(2) / 2: the 15th term of the series is below half a unit in the last place.
  const y = (x - exponent) * Math.LN2
  let series = 1
  for (let k = 14; k > 0; k--) series = 1 + (series * y) / k
  const half = Math.trunc(exponent / 2)
  return series * 2 ** half * 2 ** (exponent - half)
}
