// A double as one whole number of 64 bits. SQLite reads one decimal text in ten thousand a bit off; whole numbers it reads exactly.

const double = new Float64Array(1)
const words = new Uint32Array(double.buffer)
/** Which of the two words has the exponent. */
const HIGH = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0
/** Two shifts of at most 62. */
const MOST_SHIFTED = 124

/**
 * `m` and `s` as the digits `m·1000 + s`, where the number is exactly `m / 2^s` and |m| < 2^53. undefined for numbers that have bits
 * below 2^-124 or are 2^53 and more, for NaN and the infinities.
 */
export function exactWhole(value: number): string | undefined {
  if (Number.isSafeInteger(value)) return wholeText(value, 0)
  double[0] = value
  const shift = 1075 - ((words[HIGH]! >>> 20) & 0x7ff)
  return shift > MOST_SHIFTED || shift < 0 ? undefined : wholeText(value * 2 ** shift, shift)
}

function wholeText(mantissa: number, shift: number): string {
  // JSON has no number that begins with more zeros.
  if (mantissa === 0) return '0'
  return `${mantissa}${shift < 10 ? '00' : shift < 100 ? '0' : ''}${shift}`
}
