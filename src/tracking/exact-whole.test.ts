import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { exactWhole } from './exact-whole.js'

/** In exact arithmetic: `m / 2^s` is the value when `m · 2^1074 / 2^s` is the value's own count of 2^-1074. */
function read(text: string): number {
  const whole = BigInt(text)
  const shift = whole % 1000n < 0n ? -(whole % 1000n) : whole % 1000n
  return Number(whole / 1000n) / 2 ** Number(shift)
}

describe('exactWhole', () => {
  it('gives a whole number of 64 bits that means the same double, or nothing for one that is out of its reach', () => {
    fc.assert(
      fc.property(fc.double(), (value) => {
        const text = exactWhole(value)
        if (text === undefined) expect(Math.abs(value) < 2 ** -71 || !(Math.abs(value) < 2 ** 53)).toBe(true)
        else {
          expect(text).toMatch(/^(0|-?[1-9]\d*)$/)
          expect(BigInt.asIntN(64, BigInt(text))).toBe(BigInt(text))
          // SQLite keeps no negative zero.
          expect(read(text) + 0).toBe(value + 0)
        }
      }),
    )
  })
})
