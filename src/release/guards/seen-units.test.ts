// Against a Set, and beyond its capacity.
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../core/index.js'
import { SeenUnits } from './seen-units.js'

describe('units that were seen', () => {
  it('are told from new ones as a Set does, while the table grows', () => {
    const random = seededRandom(1)
    const seen = new SeenUnits(2 ** 14)
    const slow = new Set<string>()
    const mistakes: string[] = []
    for (let i = 0; i < 30_000; i++) {
      const unit = `unit ${Math.floor(random.next() * 12_000)} é`
      if (seen.add(unit) === slow.has(unit)) mistakes.push(unit)
      slow.add(unit)
    }
    expect(mistakes).toEqual([])
  })

  it('are forgotten all together when there are too many', () => {
    const seen = new SeenUnits(2 ** 10)
    let again = 0
    for (let round = 0; round < 2; round++) for (let i = 0; i < 5000; i++) if (!seen.add(`u${i}`)) again++
    expect(again).toBeLessThan(10)
    expect(seen.add('x'.repeat(5000))).toBe(true)
    expect(seen.add('x'.repeat(5000))).toBe(false)
    seen.clear()
    expect(seen.add('x'.repeat(5000))).toBe(true)
  })
})
