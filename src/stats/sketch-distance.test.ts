// Distances of sketches against the slow ones on the values themselves, and the confidence sequence against figures of GrowthBook's.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { asymptoticHalfWidth } from './asymptotic-sequence.js'
import { DDSketch } from './dd-sketch.js'
import { kolmogorovDistance, populationStability } from './sketch-distance.js'

const sketchOf = (values: readonly number[]): DDSketch => {
  const sketch = new DDSketch(0.01)
  for (const value of values) sketch.add(value)
  return sketch
}

describe('distances of sketches', () => {
  // Whole numbers from -20 to 20 have a bucket each, so that nothing is rounded.
  const values = fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 1, maxLength: 200 })

  it('give the largest difference of the two distribution functions', () => {
    fc.assert(
      fc.property(values, values, (a, b) => {
        const shareUpTo = (of: number[], x: number) => of.filter((value) => value <= x).length / of.length
        const slow = Math.max(...[...a, ...b].map((x) => Math.abs(shareUpTo(a, x) - shareUpTo(b, x))))
        expect(kolmogorovDistance(sketchOf(a), sketchOf(b))).toBeCloseTo(slow, 10)
      }),
    )
  })

  it('are nothing of the same values and the same both ways', () => {
    fc.assert(
      fc.property(values, values, (a, b) => {
        expect(populationStability(sketchOf(a), sketchOf(a))).toBe(0)
        expect(kolmogorovDistance(sketchOf(a), sketchOf(b))).toBeCloseTo(
          kolmogorovDistance(sketchOf(b), sketchOf(a)),
          12,
        )
        expect(populationStability(sketchOf(a), sketchOf(b))).toBeGreaterThanOrEqual(0)
      }),
    )
  })

  it('give the stability index of shares by decile', () => {
    const a = Array.from({ length: 1000 }, (_, i) => (i % 10) + 1)
    const b = Array.from({ length: 1000 }, (_, i) => (i % 5) + 1)
    // Five deciles have twice their share; five have none, which counts as half an observation.
    const empty = (0.1 - 0.0005) * Math.log(0.1 / 0.0005)
    expect(populationStability(sketchOf(a), sketchOf(b))).toBeCloseTo(5 * 0.1 * Math.log(2) + 5 * empty, 9)
    expect(populationStability(sketchOf([1, 2, 3]), sketchOf([99]))).toBeGreaterThan(0.5)
  })
})

describe('the asymptotic confidence sequence', () => {
  it.each([
    [500, 3.86],
    [5000, 3.04],
    [50_000, 3.24],
  ])('is as wide at %d values as in GrowthBook’s tests: %d standard errors', (n, errors) => {
    expect(asymptoticHalfWidth(n, 1, 0.05, 5000) * Math.sqrt(n)).toBeCloseTo(errors, 2)
  })
})
