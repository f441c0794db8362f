import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { armAt, assignmentPoint } from './assignment.js'

describe('assignmentPoint', () => {
  it('equals what Python hashlib computes for the same salt and unit', () => {
    const rows = JSON.parse(
      readFileSync(new URL('../../test/fixtures/route/assignment.json', import.meta.url), 'utf8'),
    ) as {
      salt: string
      unit: string
      point: number
    }[]
    expect(rows.length).toBeGreaterThan(20)
    for (const row of rows) expect(assignmentPoint(row.salt, row.unit)).toBe(row.point)
  })

  it('spreads units evenly: chi-square over 20 cells of 20,000 units stays under its 99.9 % quantile', () => {
    const cells = new Float64Array(20)
    for (let i = 0; i < 20_000; i++) cells[Math.floor(assignmentPoint('salt', `user-${i}`) * 20)]!++
    const chiSquare = cells.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0)
    expect(chiSquare).toBeLessThan(43.82) // scipy.stats.chi2.ppf(0.999, 19)
  })
})

describe('armAt', () => {
  it('keeps every unit of an arm that grows at the cost of the next one', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.integer({ min: 1, max: 99 }),
        (point, share) => {
          const before = armAt(point, [share, 100 - share])
          const after = armAt(point, [share + 1, 99 - share])
          if (before === 0) expect(after).toBe(0)
        },
      ),
    )
  })

  it('never chooses an arm of weight 0', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (point) => {
        expect(armAt(point, [0, 3, 0, 1, 0])).toSatisfy((arm: number) => arm === 1 || arm === 3)
      }),
    )
  })
})
