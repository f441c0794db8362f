// Against CPython's math.fsum and fractions, mmh3 and Datadog's ddsketch (test/fixtures/stats/make.py), and by laws.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  compareValues,
  DDSketch,
  ExactSquares,
  ExactSum,
  exp2,
  HyperLogLog,
  murmur3,
  topCounts,
  variance,
} from './index.js'

interface Fixtures {
  readonly sums: readonly {
    readonly kind: string
    readonly xs: string[]
    readonly sum: string
    readonly variance: string
  }[]
  readonly hashes: readonly { readonly bytes: string; readonly high: number; readonly low: number }[]
  readonly distinct: readonly { readonly precision: number; readonly n: number; readonly estimate: number }[]
  readonly sketches: readonly {
    readonly accuracy: number
    readonly xs: string[]
    readonly quantiles: readonly [number, number][]
  }[]
}

const fixtures = JSON.parse(
  readFileSync(new URL('../../test/fixtures/stats/stats.json', import.meta.url), 'utf8'),
) as Fixtures
const double = (hex: string) => Buffer.from(hex, 'hex').readDoubleBE()

function sumOf(xs: readonly number[]): ExactSum {
  const sum = new ExactSum()
  for (const x of xs) sum.add(x)
  return sum
}

function squaresOf(xs: readonly number[]): ExactSquares {
  const squares = new ExactSquares()
  for (const x of xs) squares.add(x)
  return squares
}

describe('ExactSum', () => {
  it('is the true sum rounded once, as fractions have it', () => {
    for (const { kind, xs, sum } of fixtures.sums) expect(sumOf(xs.map(double)).value, kind).toBe(double(sum))
  })

  it('gives the same bits in any order, and when parts are merged', () => {
    const numbers = fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 30 })
    fc.assert(
      fc.property(numbers, fc.nat(), fc.func(fc.nat()), (xs, cut, order) => {
        const whole = sumOf(xs).value
        const shuffled = [...xs].sort((a, b) => order(a) - order(b))
        expect(sumOf(shuffled).value).toBe(whole)
        const at = xs.length === 0 ? 0 : cut % xs.length
        const merged = sumOf(xs.slice(at))
        merged.merge(sumOf(xs.slice(0, at)))
        expect(merged.value).toBe(whole)
        expect(ExactSum.fromParts(merged.parts()).value).toBe(whole)
        for (const x of xs) merged.subtract(x)
        expect(merged.value).toBe(0)
      }),
    )
  })

  it('keeps a sum whose parts overflow and which itself does not', () => {
    expect(sumOf([1e308, 1e308, -1e308, 1]).value).toBe(1e308)
    expect(sumOf([Number.MAX_VALUE, Number.MAX_VALUE]).value).toBe(Number.POSITIVE_INFINITY)
  })

  it('is infinite with an infinity, NaN with both, and forgets those that are taken out again', () => {
    const sum = sumOf([1, Number.POSITIVE_INFINITY])
    expect(sum.value).toBe(Number.POSITIVE_INFINITY)
    sum.add(Number.NEGATIVE_INFINITY)
    expect(sum.value).toBeNaN()
    expect(ExactSum.fromParts(sum.parts()).value).toBeNaN()
    sum.subtract(Number.POSITIVE_INFINITY)
    expect(sum.value).toBe(Number.NEGATIVE_INFINITY)
    sum.subtract(Number.NEGATIVE_INFINITY)
    expect(sum.value).toBe(1)
  })

  it('is never minus zero', () => {
    expect(sumOf([-0]).value).toBe(0)
    expect(sumOf([-1, 1]).value).toBe(0)
  })
})

describe('variance', () => {
  it('is the true variance rounded once, as fractions have it', () => {
    for (const { kind, xs, variance: expected } of fixtures.sums) {
      const numbers = xs.map(double)
      const squares = ExactSquares.fromParts(...squaresOf(numbers).parts())
      expect(variance(numbers.length, sumOf(numbers), squares), kind).toBe(double(expected))
    }
  })
})

describe('exp2', () => {
  it('is within 2 units in the last place of 2^x', () => {
    fc.assert(
      fc.property(fc.double({ min: -1000, max: 1000, noNaN: true }), (x) => {
        expect(Math.abs(exp2(x) / 2 ** x - 1)).toBeLessThan(2 ** -51 + Math.abs(x) * 2 ** -53)
      }),
    )
    for (let x = -1074; x < 1024; x++) expect(exp2(x)).toBe(2 ** x)
    expect(exp2(-2000)).toBe(0)
    expect(exp2(2000)).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('murmur3', () => {
  it('is what mmh3 says', () => {
    const into = { high: 0, low: 0 }
    for (const { bytes, high, low } of fixtures.hashes) {
      murmur3(Buffer.from(bytes, 'hex'), bytes.length / 2, into)
      expect(into).toEqual({ high, low })
    }
  })
})

describe('HyperLogLog', () => {
  const filled = (precision: number, from: number, to: number) => {
    const sketch = new HyperLogLog(precision)
    for (let i = from; i < to; i++) sketch.add(`item-${i}`)
    return sketch
  }

  it('estimates as an independent implementation does, within its error', () => {
    for (const { precision, n, estimate } of fixtures.distinct) {
      const own = filled(precision, 0, n).estimate()
      expect(Math.abs(own - estimate)).toBeLessThanOrEqual(0.5 + estimate * 1e-12)
      // Five standard errors: never, by chance alone.
      expect(Math.abs(own - n)).toBeLessThanOrEqual(0.5 + (5 * 1.04 * n) / Math.sqrt(2 ** precision))
    }
  })

  it('is the same merged as fed in one go, sparse or dense, and after a round trip', () => {
    for (const [cut, to] of [
      [10, 20],
      [10, 3000],
      [2900, 3000],
      [1500, 3000],
    ] as const) {
      const merged = filled(12, 0, cut)
      merged.merge(filled(12, cut - 5, to))
      const whole = filled(12, 0, to)
      expect(merged.estimate()).toBe(whole.estimate())
      expect(HyperLogLog.decode(merged.encode(), 12)?.encode()).toEqual(whole.encode())
    }
  })

  it('tells numbers from texts, and takes a bigint for the number of its size', () => {
    const sketch = new HyperLogLog(12)
    for (const value of [1, 1n, '1', true, 2n ** 60n, -(2n ** 60n) + 1n, 0, -0]) sketch.add(value)
    expect(sketch.estimate()).toBe(6)
  })

  it('decodes nothing that is damaged', () => {
    const bytes = filled(6, 0, 1000).encode()
    expect(HyperLogLog.decode(bytes, 7)).toBeUndefined()
    expect(HyperLogLog.decode(bytes.slice(1), 6)).toBeUndefined()
    expect(HyperLogLog.decode(bytes.fill(255, 10, 11), 6)).toBeUndefined()
    expect(HyperLogLog.decode(Uint8Array.of(1, 12, 0, 0, 255, 0, 3), 12)).toBeUndefined()
  })
})

describe('DDSketch', () => {
  const filled = (accuracy: number, xs: readonly number[]) => {
    const sketch = new DDSketch(accuracy)
    for (const x of xs) sketch.add(x)
    return sketch
  }

  it("gives ddsketch's quantiles, within the accuracy of the exact ones", () => {
    for (const { accuracy, xs, quantiles } of fixtures.sketches) {
      const numbers = xs.map(double)
      const sketch = filled(accuracy, numbers)
      const sorted = numbers.sort((a, b) => a - b)
      for (const [q, expected] of quantiles) {
        const own = sketch.quantile(q)!
        expect(Math.abs(own - expected)).toBeLessThanOrEqual(1e-9 * Math.abs(expected))
        const exact = sorted[Math.floor(q * (sorted.length - 1))]!
        expect(Math.abs(own - exact)).toBeLessThanOrEqual(accuracy * Math.abs(exact) * (1 + 1e-9))
      }
    }
  })

  it('is the same merged as fed in one go, infinities included, and after a round trip', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true })), fc.array(fc.double({ noNaN: true })), (left, right) => {
        const merged = filled(0.01, left)
        merged.merge(filled(0.01, right))
        const whole = filled(0.01, [...right, ...left])
        const again = DDSketch.fromCounts(0.01, merged.counts())!
        for (const q of [0, 0.3, 0.5, 1]) {
          expect(merged.quantile(q)).toBe(whole.quantile(q))
          expect(again.quantile(q)).toBe(whole.quantile(q))
        }
      }),
    )
    expect(new DDSketch(0.01).quantile(0.5)).toBeUndefined()
    expect(DDSketch.fromCounts(0.01, [1, 0, 0])).toBeUndefined()
    expect(DDSketch.fromCounts(0.01, [1, 0, 0, 9])).toBeUndefined()
  })
})

describe('topCounts', () => {
  it('puts the most frequent first and equals in the order of their values', () => {
    const counts = new Map<string, number>([
      ['b', 2],
      ['a', 2],
      ['c', 3],
      ['d', 1],
    ])
    expect(topCounts(counts, 3)).toEqual(['c', 'a', 'b'])
    expect([3n, 1, 2n ** 60n, -1].sort(compareValues)).toEqual([-1, 1, 3n, 2n ** 60n])
  })
})
