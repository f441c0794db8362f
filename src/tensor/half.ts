// FP16 and BF16 live in memory as 16-bit patterns; JavaScript on Node 20 has no type for either.
// Numbers are rounded to the nearest pattern, ties to even, straight from the double (by way of FP32 would round twice).

/** The value of an IEEE 754 binary16 pattern. */
export function float16ToNumber(bits: number): number {
  const exponent = (bits >>> 10) & 0x1f
  const fraction = bits & 0x3ff
  const size =
    exponent === 0x1f
      ? fraction === 0
        ? Number.POSITIVE_INFINITY
        : Number.NaN
      : exponent === 0
        ? fraction * 2 ** -24
        : (1024 + fraction) * POWERS_OF_TWO[exponent]!
  return bits & 0x8000 ? -size : size
}

/** The nearest binary16 pattern; beyond 65,519 in size it is an infinity. */
export function numberToFloat16(value: number): number {
  return toPattern(value, 10, 15)
}

/** The value of a bfloat16 pattern: the upper half of an FP32. */
export function bfloat16ToNumber(bits: number): number {
  float32Bits[0] = bits << 16
  return float32[0]!
}

/** The nearest bfloat16 pattern; beyond the largest one it is an infinity. */
export function numberToBfloat16(value: number): number {
  return toPattern(value, 7, 127)
}

/** 2^(e - 25): the weight of a binary16 fraction's last bit at exponent e. */
const POWERS_OF_TWO = Float64Array.from({ length: 31 }, (_, exponent) => 2 ** (exponent - 25))

const float32 = new Float32Array(1)
const float32Bits = new Uint32Array(float32.buffer)
const float64 = new Float64Array(1)
const float64Bits = new Uint32Array(float64.buffer)
/** Which 32-bit half of a double holds its exponent: the second on little-endian machines. */
const HIGH = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0
/** A sum at least this large has no fraction bits left, so the hardware's own rounding does ours. */
const ROUNDING = 2 ** 52

function toPattern(value: number, fractionBits: number, bias: number): number {
  const largest = ((2 * bias + 1) << fractionBits) >>> 0
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const size = Math.abs(value)
  if (Number.isNaN(size)) return largest | (1 << (fractionBits - 1))
  if (size === Number.POSITIVE_INFINITY) return sign | largest
  float64[0] = size
  // Below the smallest normal number the last bit keeps its weight: that is what a subnormal is.
  const exponent = Math.max((float64Bits[HIGH]! >>> 20) - 1023, 1 - bias)
  // The weight of the last bit is a power of two; written as bits, it takes a tenth of the time of `**`.
  float64Bits[HIGH] = (exponent - fractionBits + 1023) << 20
  float64Bits[1 - HIGH] = 0
  const steps = size / float64[0]! + ROUNDING - ROUNDING
  // A carry out of the fraction raises the exponent by itself, up to the pattern of infinity.
  const bits = ((exponent + bias - 1) << fractionBits) + steps
  return sign | Math.min(bits, largest)
}
