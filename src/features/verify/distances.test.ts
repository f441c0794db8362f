import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cosineDistance, editDistance, quantileOf, relativeError, vectorError } from './distances.js'

const fixtures = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/feature-quality/feature-quality.json', import.meta.url), 'utf8'),
) as {
  edit: { a: string[]; b: string[]; distance: number }[]
  quantiles: { values: number[]; p50: number; p90: number; p99: number }[]
  cosine: { a: number[]; b: number[]; distance: number }[]
}
const isSame = (a: unknown, b: unknown) => a === b

describe('distances', () => {
  it('of lists are those of the textbook recurrence', () => {
    for (const { a, b, distance } of fixtures.edit) expect(editDistance(a, b, isSame)).toBeCloseTo(distance, 12)
  })

  it('of lists are a metric', () => {
    const list = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 6 })
    fc.assert(
      fc.property(list, list, (a, b) => {
        const distance = editDistance(a, b, isSame)
        expect(distance).toBe(editDistance(b, a, isSame))
        expect(distance === 0).toBe(a.join() === b.join())
        expect(distance).toBeLessThanOrEqual(1)
      }),
    )
  })

  it('of vectors are those of SciPy', () => {
    for (const { a, b, distance } of fixtures.cosine) {
      expect(cosineDistance(Float32Array.from(a), Float32Array.from(b))).toBeCloseTo(distance, 10)
    }
    expect(cosineDistance(new Float32Array(3), new Float32Array(3))).toBe(0)
    expect(vectorError(new Float32Array([1, 2]), new Float32Array([1, 3]))).toBeCloseTo(1 / 3, 12)
    expect(vectorError(new Float32Array(2), new Float32Array(3))).toBe(1)
  })

  it('have the quantiles of NumPy', () => {
    for (const { values, p50, p90, p99 } of fixtures.quantiles) {
      const sorted = Float64Array.from(values).sort()
      expect(quantileOf(sorted, 0.5)).toBeCloseTo(p50, 10)
      expect(quantileOf(sorted, 0.9)).toBeCloseTo(p90, 10)
      expect(quantileOf(sorted, 0.99)).toBeCloseTo(p99, 10)
    }
  })

  it('of numbers are exact beyond 2^53, and 0 of two infinities', () => {
    expect(relativeError(2n ** 60n, 2n ** 60n + 1n)).toBeCloseTo(2 ** -60, 25)
    expect(relativeError(2n ** 60n, 2n ** 60n + 1n)).toBeGreaterThan(0)
    expect(relativeError(Infinity, Infinity)).toBe(0)
    expect(relativeError(Infinity, 1)).toBe(1)
    expect(relativeError(0, -0)).toBe(0)
    expect(relativeError(3, 4)).toBe(0.25)
  })
})
