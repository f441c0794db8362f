import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { narrowToBf16, widenBf16 } from './bf16.js'

const numberOf = (bits: number) => widenBf16(Uint16Array.of(bits))[0]!

/** The nearest of all 65,536 patterns, of two equally near the one whose last bit is 0. */
function slowNarrow(value: number): number {
  let best = 0
  let bestDistance = Number.POSITIVE_INFINITY
  for (let bits = 0; bits < 0x7f80; bits++) {
    const distance = Math.abs(numberOf(bits) - Math.abs(value))
    if (distance < bestDistance || (distance === bestDistance && bits % 2 === 0)) {
      best = bits
      bestDistance = distance
    }
  }
  return best | (value < 0 ? 0x8000 : 0)
}

describe('bfloat16', () => {
  it('knows the values of the standard', () => {
    const patterns = Uint16Array.of(0x0000, 0x8000, 0x3f80, 0xc000, 0x4049, 0x7f80, 0xff80, 0x0080, 0x0001)
    expect([...widenBf16(patterns)]).toEqual([
      0,
      -0,
      1,
      -2,
      3.140625,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      2 ** -126,
      2 ** -133,
    ])
    expect(numberOf(0x7fc0)).toBeNaN()
  })

  it('survives widening and narrowing, every pattern of it', () => {
    const all = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits)
    const back = narrowToBf16(widenBf16(all))
    // A signalling NaN may come back quiet; it stays a NaN.
    const expected = all.map((bits) => ((bits & 0x7fff) > 0x7f80 ? bits | 0x40 : bits))
    expect(back.map((bits) => ((bits & 0x7fff) > 0x7f80 ? bits | 0x40 : bits))).toEqual(expected)
  })

  it('rounds to the nearest, ties to even, as the slow search says', () => {
    const random = fc.float({ noNaN: true, noDefaultInfinity: true, min: Math.fround(-3e38), max: Math.fround(3e38) })
    fc.assert(
      fc.property(random, (value) => {
        expect(narrowToBf16(Float32Array.of(value))[0]! & 0x7fff).toBe(slowNarrow(value) & 0x7fff)
      }),
      { numRuns: 50 },
    )
    // Halfway between 1 and the next pattern, and halfway between that and the one after.
    expect([...narrowToBf16(Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8))]).toEqual([0x3f80, 0x3f82])
    // Above the largest number, by more than half a step: infinity.
    expect([...narrowToBf16(Float32Array.of(3.4e38, -3.4e38))]).toEqual([0x7f80, 0xff80])
  })
})
