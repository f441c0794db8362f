import { describe, expect, it } from 'vitest'
import { seededRandom, systemRandom } from './random.js'

describe.each([
  ['seeded', () => seededRandom(42)],
  ['system', () => systemRandom()],
])('%s randomness', (_, create) => {
  it('is uniform on [0, 1): chi-square over 16 cells of 16,000 draws stays under its 99.99 % quantile', () => {
    const random = create()
    const cells = new Float64Array(16)
    for (let i = 0; i < 16_000; i++) cells[Math.floor(random.next() * 16)]!++
    const chiSquare = cells.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0)
    expect(chiSquare).toBeLessThan(44.26) // scipy.stats.chi2.ppf(0.9999, 15)
  })
})

describe('seededRandom', () => {
  it('repeats for a seed and differs between seeds', () => {
    const draw = (seed: number) => Array.from({ length: 5 }, seededRandom(seed).next)
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
  })
})
