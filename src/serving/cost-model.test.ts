import { describe, expect, it } from 'vitest'
import { seededRandom } from '../core/index.js'
import { CostModel, CostModels } from './cost-model.js'

const relativeError = (actual: number, expected: number) => Math.abs(actual - expected) / expected

/** The slow obvious version: least squares over everything, of relative errors because noise is relative. */
function leastSquares(runs: readonly (readonly [rows: number, ms: number])[]): { rowMs: number; fixedMs: number } {
  const sum = (of: (rows: number, ms: number) => number) =>
    runs.reduce((total, [rows, ms]) => total + of(rows, ms) / ms ** 2, 0)
  const [w, x, y] = [sum(() => 1), sum((rows) => rows), sum((_, ms) => ms)]
  const [xx, xy] = [sum((rows) => rows * rows), sum((rows, ms) => rows * ms)]
  const rowMs = (w * xy - x * y) / (w * xx - x * x)
  return { rowMs, fixedMs: (y - rowMs * x) / w }
}

describe('a cost model', () => {
  const generator = seededRandom(7)
  const random = () => generator.next()
  const noisy = (ms: number, spread = 0.1) => ms * (1 + spread * (random() + random() + random() - 1.5))

  it('finds what least squares over all runs finds, from noisy runs of different sizes', () => {
    for (const [rowMs, fixedMs] of [
      [0.5, 2],
      [0.01, 8],
      [3, 0.1],
    ] as const) {
      const model = new CostModel()
      const runs: [number, number][] = []
      for (let i = 0; i < 200; i++) {
        const rows = 1 + Math.floor(random() * 32)
        runs.push([rows, noisy(rowMs * rows + fixedMs)])
        model.observe(...runs[i]!)
      }
      const oracle = leastSquares(runs)
      for (const rows of [1, 8, 16, 32])
        expect(relativeError(model.ms(rows), oracle.rowMs * rows + oracle.fixedMs)).toBeLessThan(
          rows === 1 ? 0.4 : 0.08,
        )
    }
  })

  it('predicts exactly after a few runs of two sizes without noise', () => {
    const model = new CostModel()
    for (let i = 0; i < 12; i++) model.observe(i % 2 === 0 ? 1 : 32, i % 2 === 0 ? 2.5 : 18)
    expect(relativeError(model.ms(16), 10)).toBeLessThan(0.04)
    expect(model.spread).toBeLessThan(0.24)
  })

  it('knows nothing before the first run, and after runs of one size is right there and within a factor of two below', () => {
    const model = new CostModel()
    expect([model.ms(8), model.isTrusted]).toEqual([0, false])
    for (let i = 0; i < 8; i++) model.observe(8, 10)
    expect(model.isTrusted).toBe(true)
    expect(model.ms(8)).toBeCloseTo(10, 6)
    expect(model.ms(1)).toBeGreaterThanOrEqual(5)
    expect(model.ms(1)).toBeLessThanOrEqual(10)
  })

  it('keeps what it knows of other sizes through thousands of runs of one size', () => {
    const model = new CostModel()
    for (let i = 0; i < 40; i++) model.observe(1 + (i % 32), 2 + 0.5 * (1 + (i % 32)))
    for (let i = 0; i < 5000; i++) model.observe(32, noisy(18))
    expect(relativeError(model.ms(1), 2.5)).toBeLessThan(0.5)
    expect(relativeError(model.ms(32), 18)).toBeLessThan(0.1)
  })

  it('is hardly moved by a pause of fifty times a run', () => {
    const model = new CostModel()
    for (let i = 0; i < 60; i++) model.observe(1 + (i % 16), noisy(2 + 0.5 * (1 + (i % 16)), 0.05))
    const before = model.ms(16)
    model.observe(16, 500)
    expect(relativeError(model.ms(16), before)).toBeLessThan(0.15)
  })

  it('forgets a slow first run', () => {
    const model = new CostModel()
    model.observe(1, 200)
    for (let i = 0; i < 12; i++) model.observe(1 + (i % 4), 2 + 0.5 * (1 + (i % 4)))
    expect(relativeError(model.ms(4), 4)).toBeLessThan(0.2)
  })

  it.each([
    ['three times slower', 3],
    ['five times faster', 0.2],
  ])('follows within eight runs when a model becomes %s', (_, factor) => {
    const model = new CostModel()
    for (let i = 0; i < 60; i++) model.observe(1 + (i % 32), noisy(2 + 0.5 * (1 + (i % 32)), 0.05))
    for (let i = 0; i < 8; i++) model.observe(1 + ((i * 4) % 32), factor * (2 + 0.5 * (1 + ((i * 4) % 32))))
    expect(relativeError(model.ms(16), factor * 10)).toBeLessThan(0.25)
  })

  it('never has a negative part, whatever it sees', () => {
    const model = new CostModel()
    for (let i = 0; i < 3000; i++) {
      model.observe(1 + Math.floor(random() * 64), random() < 0.1 ? 0 : random() ** 4 * 1000)
      expect(model.rowMs).toBeGreaterThanOrEqual(0)
      expect(model.fixedMs).toBeGreaterThanOrEqual(0)
      expect(Number.isFinite(model.ms(32))).toBe(true)
    }
  })
})

describe('the cost models of a version', () => {
  it('keep shapes of different sizes apart and lend an unseen one its nearest neighbour', () => {
    const models = new CostModels()
    expect(models.nearest(3)).toBe(undefined)
    models.of(CostModels.bucket(10)).observe(1, 1)
    models.of(CostModels.bucket(1000)).observe(1, 50)
    expect(models.of(CostModels.bucket(15)).ms(1)).toBe(1)
    expect(models.nearest(CostModels.bucket(700))?.ms(1)).toBe(50)
    expect(models.nearest(CostModels.bucket(2))?.ms(1)).toBe(1)
    expect(models.nearest(CostModels.bucket(1e15))?.ms(1)).toBe(50)
  })
})
