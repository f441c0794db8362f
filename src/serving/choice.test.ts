import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../core/index.js'
import { Deadline } from '../flow/index.js'
import { type ChoiceOptions, chooseMembers, holdMs, isHopeless, safeMs } from './choice.js'
import { CostModel } from './cost-model.js'
import { Member } from './member.js'

const noop = (): void => undefined
const clock = new ManualClock()

/** A model that has learned this. */
function costOf(rowMs: number, fixedMs: number): CostModel {
  const cost = new CostModel()
  for (let i = 0; i < 200; i++) cost.observe(1 + (i % 32), rowMs * (1 + (i % 32)) + fixedMs)
  return cost
}

function member(rows: number, deadlineMs: number): Member {
  const input = { tensors: new Map(), rows, outputs: undefined }
  return new Member(input, input.tensors, rows, Deadline.in(clock, deadlineMs), 1, 0, noop, noop, undefined)
}

function optionsOf(cost: CostModel, parts: Partial<ChoiceOptions> = {}): ChoiceOptions {
  return { nowMs: 0, maxRows: 32, cost, sizeOf: (rows) => rows, slots: 1, rowsPerMs: 0, ...parts }
}

const rowsOf = (members: readonly Member[]) => members.reduce((sum, { rows }) => sum + rows, 0)

describe('the choice of who runs', () => {
  const cost = costOf(1, 5)

  it('takes no more rows than fit, nobody twice, and nobody who would be late', () => {
    const waiting = fc.array(fc.tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 120 })), {
      maxLength: 40,
    })
    fc.assert(
      fc.property(waiting, fc.integer({ min: 8, max: 32 }), fc.constantFrom(0, 5), (list, maxRows, rowsPerMs) => {
        const order = list.map(([rows, ms]) => member(rows, ms)).sort((a, b) => a.deadline.atMs - b.deadline.atMs)
        const options = optionsOf(cost, { maxRows, rowsPerMs })
        const chosen = chooseMembers(order, options)
        expect(new Set(chosen).size).toBe(chosen.length)
        expect(rowsOf(chosen)).toBeLessThanOrEqual(maxRows)
        for (const { deadline } of chosen) expect(deadline.atMs).toBeGreaterThanOrEqual(safeMs(cost, rowsOf(chosen)))
        const someoneCan = order.some(({ rows, deadline }) => deadline.atMs >= safeMs(cost, rows))
        if (someoneCan && rowsPerMs === 0) expect(chosen.length).toBeGreaterThan(0)
      }),
      { numRuns: 300 },
    )
  })

  it('is as good as trying every subset, when there is time for one run only', () => {
    const waiting = fc.array(fc.integer({ min: 4, max: 11 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(waiting, (list) => {
        // A run of one takes 6 ms, so nobody can be in time in a second one.
        const order = list.map((ms) => member(1, ms)).sort((a, b) => a.deadline.atMs - b.deadline.atMs)
        let best = 0
        for (let subset = 0; subset < 1 << order.length; subset++) {
          const members = order.filter((_, i) => (subset >> i) & 1)
          if (members.every(({ deadline }) => deadline.atMs >= safeMs(cost, members.length)))
            best = Math.max(best, members.length)
        }
        expect(chooseMembers(order, optionsOf(cost)).length).toBe(best)
      }),
      { numRuns: 200 },
    )
  })

  it('serves an urgent call first while there is time for the others, and leaves it out when every millisecond counts', () => {
    const order = [member(1, 6.5), ...Array.from({ length: 31 }, () => member(1, 60))]
    expect(chooseMembers(order, optionsOf(cost))).toEqual([order[0]])
    expect(chooseMembers(order, optionsOf(cost, { rowsPerMs: 3 }))).toEqual(order.slice(1))
  })

  it('gives nobody up who may still make it', () => {
    expect(isHopeless(member(1, 6), optionsOf(cost))).toBe(false)
    expect(isHopeless(member(1, 4), optionsOf(cost))).toBe(true)
    expect(isHopeless(member(20, 12), optionsOf(cost))).toBe(true)
  })
})

describe('the wait of a free slot', () => {
  const hold = (cost: CostModel, rowsPerMs: number, leftMs: number, soonestMs = leftMs) =>
    holdMs({ ...optionsOf(cost, { rowsPerMs }), rows: 1, soonestMs, leftMs, maxDelayMs: 10 })

  it('is for models whose fixed cost dominates, when calls keep coming that cannot wait for a whole run', () => {
    const ms = hold(costOf(0.1, 8), 1, 13)
    expect(ms).toBeGreaterThan(1)
    expect(ms).toBeLessThan(13 - 8.1)
  })

  it.each([
    ['calls can wait for the run under way and their own', 0.1, 8, 1, 20, 20],
    ['rows cost much and runs little', 2, 1, 0.5, 5.5, 30],
    ['hardly anybody comes', 0.1, 8, 0.01, 13, 13],
    ['who waits has no time left', 0.1, 8, 1, 13, 8.5],
  ])('is none when %s', (_, rowMs, fixedMs, rowsPerMs, leftMs, soonestMs) => {
    expect(hold(costOf(rowMs, fixedMs), rowsPerMs, leftMs, soonestMs)).toBeLessThanOrEqual(0)
  })
})
