// Doubles as whole numbers times powers of two, and back with one rounding.

const view = new DataView(new ArrayBuffer(8))

/** The exact sum of finite doubles: `units` times 2^`exponent`. */
export function toBinary(numbers: readonly number[]): { readonly units: bigint; readonly exponent: number } {
  let units = 0n
  let exponent = 0
  let isFirst = true
  for (const number of numbers) {
    if (number === 0) continue
    view.setFloat64(0, number)
    const top = view.getUint32(0)
    const biased = (top >>> 20) & 0x7ff
    const fraction = (top & 0xfffff) * 2 ** 32 + view.getUint32(4)
    const own = BigInt(biased === 0 ? fraction : fraction + 2 ** 52) * (number < 0 ? -1n : 1n)
    const ownExponent = (biased === 0 ? 1 : biased) - 1075
    if (isFirst) {
      units = own
      exponent = ownExponent
      isFirst = false
    } else if (ownExponent >= exponent) units += own << BigInt(ownExponent - exponent)
    else {
      units = (units << BigInt(exponent - ownExponent)) + own
      exponent = ownExponent
    }
  }
  return { units, exponent }
}

const bitLength = (value: bigint) => value.toString(16).length * 4

/** The double nearest to top / bottom, ties to even; `bottom` is above 0. Never -0. */
export function nearestRatio(top: bigint, bottom: bigint): number {
  if (top === 0n) return 0
  const size = top < 0n ? -top : top
  // Enough bits of the quotient to round a double, with the remainder as a last bit that breaks ties. The least double is 2^-1074.
  const wanted = 72 - (bitLength(size) - bitLength(bottom))
  const shift = Math.min(wanted, 1074)
  const scaled = shift >= 0 ? size << BigInt(shift) : size
  const divisor = shift >= 0 ? bottom : bottom << BigInt(-shift)
  const quotient = scaled / divisor
  const remainder = scaled % divisor
  let value: number
  if (shift === wanted) {
    const rounded = Number(remainder === 0n ? quotient : quotient | 1n)
    const half = Math.trunc(-shift / 2)
    value = rounded * 2 ** half * 2 ** (-shift - half)
  } else {
    // At the least exponent the quotient counts in units of the least double: rounded as a whole number.
    const twice = 2n * remainder
    const isUp = twice > divisor || (twice === divisor && (quotient & 1n) === 1n)
    value = Number(isUp ? quotient + 1n : quotient) * 2 ** -1074
  }
  return top < 0n ? -value : value
}
