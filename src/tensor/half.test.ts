import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import oracle from '../../test/fixtures/half/half.json' with { type: 'json' }
import { bfloat16ToNumber, float16ToNumber, numberToBfloat16, numberToFloat16 } from './half.js'

const sha256 = (array: Float32Array | Uint16Array): string =>
  createHash('sha256')
    .update(new Uint8Array(array.buffer, 0, array.byteLength))
    .digest('hex')

/** The fixture's FP32 patterns: a multiplicative step over the whole range, without NaNs. */
function spread(): Float32Array {
  const patterns = new Uint32Array(1 << 20)
  for (let i = 0; i < patterns.length; i++) patterns[i] = Math.imul(i, 2654435761)
  return new Float32Array(patterns.buffer).filter((value) => !Number.isNaN(value))
}

/** The obvious way: of the two neighbouring patterns, the nearer value; of equally near ones, the even pattern. */
function nearest(value: number, decode: (bits: number) => number, largest: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const size = Math.abs(value)
  let low = 0
  while (low + 1 < largest && decode(low + 1) <= size) low++
  if (decode(low) === size) return sign | low
  // Infinity takes part as the value that would follow the largest one.
  const below = decode(low)
  const above = low + 1 === largest ? below + (below - decode(low - 1)) : decode(low + 1)
  const middle = (below + above) / 2
  return sign | (size < middle || (size === middle && low % 2 === 0) ? low : low + 1)
}

const formats = [
  { name: 'FP16', decode: float16ToNumber, encode: numberToFloat16, key: 'fp16ToFp32', back: 'fp32ToFp16' },
  { name: 'BF16', decode: bfloat16ToNumber, encode: numberToBfloat16, key: 'bf16ToFp32', back: 'fp32ToBf16' },
] as const

describe.each(formats)('$name', ({ decode, encode, key, back, name }) => {
  const largest = name === 'FP16' ? 0x7c00 : 0x7f80

  it('decodes all 65,536 patterns as NumPy does', () => {
    const values = Float32Array.from({ length: 65_536 }, (_, bits) => (Number.isNaN(decode(bits)) ? NaN : decode(bits)))
    expect(sha256(values)).toBe(oracle[key])
  })

  it('rounds FP32 values over the whole range as NumPy does', () => {
    expect(sha256(Uint16Array.from(spread(), (value) => encode(value)))).toBe(oracle[back])
  })

  it('gives every pattern back after a round trip, NaNs as a NaN', () => {
    for (let bits = 0; bits < 65_536; bits++) {
      const value = decode(bits)
      if (Number.isNaN(value)) expect(decode(encode(value))).toBeNaN()
      else if (encode(value) !== bits) expect.fail(`pattern ${bits} came back as ${encode(value)}`)
    }
  })

  it('rounds doubles beside the middle of two patterns without rounding twice', () => {
    for (let bits = 1; bits < largest - 1; bits += 97) {
      const middle = (decode(bits) + decode(bits + 1)) / 2
      for (const value of [middle, -middle, middle * (1 + 2 ** -50), middle * (1 - 2 ** -50)]) {
        if (encode(value) !== nearest(value, decode, largest)) expect.fail(`${value} became pattern ${encode(value)}`)
      }
    }
  })

  it('overflows to infinity only from the middle beyond the largest value', () => {
    const max = decode(largest - 1)
    const middle = max + (max - decode(largest - 2)) / 2
    expect(encode(middle)).toBe(largest)
    expect(encode(middle * (1 - 2 ** -50))).toBe(largest - 1)
    expect(encode(Number.POSITIVE_INFINITY)).toBe(largest)
    expect(encode(-Number.MAX_VALUE)).toBe(0x8000 | largest)
    expect(encode(Number.MIN_VALUE)).toBe(0)
  })
})
