import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareTuples, compareValues } from './compare-values.js'

describe('the order of values', () => {
  it('puts null first, compares whole numbers beyond 2^53 exactly, and shorter lists first', () => {
    const ascending = [null, -Infinity, -1, 2 ** 53, 2n ** 53n + 1n, Infinity]
    for (let i = 1; i < ascending.length; i++) {
      expect(compareValues(ascending[i - 1]!, ascending[i]!)).toBeLessThan(0)
      expect(compareValues(ascending[i]!, ascending[i - 1]!)).toBeGreaterThan(0)
    }
    expect(compareValues([1, 2], [1, 2, 0])).toBeLessThan(0)
    expect(compareValues(Float32Array.of(1, 3), Float32Array.of(1, 2, 9))).toBeGreaterThan(0)
    expect(compareTuples([1, null], [1, null])).toBe(0)
    expect(compareTuples([false, 'b'], [true, 'a'])).toBeLessThan(0)
  })

  it('orders text as its UTF-8 bytes do', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '\ue000', '\uffee', '🙂', '\u{10ffff}', '中') })
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareValues(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
      }),
    )
  })
})
