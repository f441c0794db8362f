// The queue by itself: its order against a slow obvious version, shares by weight, and the bound on the longest wait.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock, seededRandom } from '../core/index.js'
import { Deadline } from '../flow/index.js'
import { Member } from './member.js'
import { Waiting, WEIGHTS } from './waiting.js'

const MAX_WAIT_MS = 100
const clock = new ManualClock()
const none = Deadline.none(clock)

function member(rows: number, priority: number, deadlineMs = Number.POSITIVE_INFINITY): Member {
  const deadline = deadlineMs === Number.POSITIVE_INFINITY ? none : Deadline.in(clock, deadlineMs)
  const input = { tensors: new Map(), rows, outputs: undefined }
  return new Member(input, input.tensors, rows, deadline, priority, 0, noop, noop, undefined)
}
const noop = (): void => undefined

/** Takes the next run of at most `maxRows` rows, as the batcher does. */
function takeRun(waiting: Waiting, nowMs: number, maxRows: number): Member[] {
  const group = waiting.next(nowMs)
  if (group === undefined) return []
  const taken: Member[] = []
  let rows = 0
  const count = waiting.order(group, nowMs, maxRows)
  for (let i = 0; i < count; i++) {
    const one = waiting.ordered(i)
    if (rows > 0 && rows + one.rows > maxRows) break
    one.isTaken = true
    taken.push(one)
    rows += one.rows
    waiting.serve(one.priority, one.rows)
  }
  expect(waiting.removeTaken(group)).toBe(rows)
  return taken
}

describe('a lane', () => {
  it('is in order of deadlines, equals in order of arrival, and counts its rows, whatever comes and goes', () => {
    const step = fc.oneof(
      fc.record({ rows: fc.integer({ min: 1, max: 9 }), deadlineMs: fc.constantFrom(10, 20, 30, 40, Infinity) }),
      fc.constant('run' as const),
      fc.constant('drop' as const),
      fc.constant('last' as const),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const waiting = new Waiting(MAX_WAIT_MS)
        // The slow obvious version: sorted anew each time.
        let model: Member[] = []
        const dueMs = ({ deadline }: Member) => Math.min(deadline.atMs, MAX_WAIT_MS)
        for (const one of steps) {
          model = model
            .map((value, i) => ({ value, i }))
            .sort((a, b) => dueMs(a.value) - dueMs(b.value) || a.i - b.i)
            .map(({ value }) => value)
          if (one === 'run') {
            const taken = takeRun(waiting, 0, 10)
            expect(taken).toEqual(model.splice(0, taken.length))
          } else if (one === 'last') expect(waiting.takeLast(1)).toBe(model.pop())
          else if (one === 'drop') {
            const leaves = ({ rows }: Member) => rows % 2 === 0
            waiting.removeWhere(leaves)
            model = model.filter((value) => !leaves(value))
          } else {
            const added = member(one.rows, 1, one.deadlineMs)
            waiting.push(0, 0, added, 0)
            model.push(added)
          }
          const rows = model.reduce((sum, value) => sum + value.rows, 0)
          expect(waiting.rowsOf(1)).toBe(rows)
          expect(waiting.rowsBefore(1, Infinity, 100)).toBe(rows)
          const early = model.filter((value) => dueMs(value) <= 20).reduce((sum, value) => sum + value.rows, 0)
          expect(waiting.rowsBefore(1, 20, 100)).toBe(early)
          expect(waiting.isEmpty).toBe(model.length === 0)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('leaves members that are much larger out of what counts as before a call', () => {
    const waiting = new Waiting(MAX_WAIT_MS)
    for (const rows of [1, 2, 4, 8, 100, 5000]) waiting.push(0, 0, member(rows, 1), 0)
    expect(waiting.rowsBefore(1, Infinity, 1)).toBe(3)
    expect(waiting.rowsBefore(1, Infinity, 2)).toBe(7)
    expect(waiting.rowsBefore(1, Infinity, 5000)).toBe(5115)
    waiting.push(0, 0, member(1, 1, 10), 0)
    waiting.push(0, 0, member(50, 1, 10), 0)
    expect(waiting.rowsBefore(1, clock.monotonicMs() + 10, 1)).toBe(1)
  })
})

describe('priorities', () => {
  it('share rows by weight while all of them wait', () => {
    const waiting = new Waiting(1e9)
    const served = [0, 0, 0]
    for (let run = 0; run < 2000; run++) {
      for (let i = 0; i < 3; i++) while (waiting.rowsOf(i) < 64) waiting.push(0, 0, member(1, i), 0)
      for (const { priority, rows } of takeRun(waiting, 0, 32)) served[priority]! += rows
    }
    const total = served[0]! + served[1]! + served[2]!
    served.forEach((rows, i) => {
      expect(rows / total).toBeCloseTo(WEIGHTS[i]! / 21, 2)
    })
  })

  it('share across shapes too', () => {
    const waiting = new Waiting(1e9)
    const served = [0, 0, 0]
    for (let run = 0; run < 4000; run++) {
      for (let i = 0; i < 3; i++) while (waiting.rowsOf(i) < 64) waiting.push(`shape of ${i}`, 0, member(1, i), 0)
      for (const { priority, rows } of takeRun(waiting, 0, 4)) served[priority]! += rows
    }
    expect(served[0]! / served[1]!).toBeCloseTo(4, 0)
    expect(served[1]! / served[2]!).toBeCloseTo(4, 0)
  })

  it('save nothing up while nobody of them waits', () => {
    const waiting = new Waiting(1e9)
    for (let run = 0; run < 100; run++) {
      for (let i = 0; i < 32; i++) waiting.push(0, 0, member(1, 1), 0)
      takeRun(waiting, 0, 32)
    }
    for (let i = 0; i < 40; i++) for (const priority of [1, 2]) waiting.push(0, 0, member(1, priority), 0)
    const first = takeRun(waiting, 0, 20).filter(({ priority }) => priority === 2)
    expect(first.length).toBeLessThanOrEqual(5)
  })
})

describe('the longest wait', () => {
  it('is maxWaitMs, and then two runs for each member that was there before, whatever the others send', () => {
    // An adversary: an endless stream of higher priority, tighter deadlines and commoner shapes, and calls that could starve.
    const random = seededRandom(11)
    for (let round = 0; round < 20; round++) {
      const waiting = new Waiting(MAX_WAIT_MS)
      const queued = new Map<Member, { atMs: number; agedBehind: number | undefined; runsSinceAged: number }>()
      const push = (one: Member, shape: number, nowMs: number) => {
        waiting.push(shape, 0, one, nowMs)
        queued.set(one, { atMs: nowMs, agedBehind: undefined, runsSinceAged: 0 })
      }
      let longestRuns = 0
      for (let step = 0; step < 600; step++) {
        clock.advance(5)
        const nowMs = clock.monotonicMs()
        for (let i = 0; i < 3; i++) push(member(4, 0, 20 * random.next()), 0, nowMs)
        if (random.next() < 0.6)
          push(
            member(1 + Math.floor(random.next() * 4), 1 + Math.floor(random.next() * 2)),
            1 + Math.floor(random.next() * 3),
            nowMs,
          )
        // Whatever its deadline says, the queue has it until somebody takes it: this is the worst case for those behind it.
        const taken = takeRun(waiting, nowMs, 8)
        for (const [one, state] of queued) {
          if (nowMs < state.atMs + MAX_WAIT_MS) continue
          state.agedBehind ??= [...queued.keys()].filter((other) => other !== one && other.dueMs <= one.dueMs).length
          state.runsSinceAged++
          expect(state.runsSinceAged).toBeLessThanOrEqual(2 * (state.agedBehind + 1))
          longestRuns = Math.max(longestRuns, state.runsSinceAged)
        }
        for (const one of taken) queued.delete(one)
        // Late ones leave, as in the batcher.
        waiting.removeWhere((one) => {
          const leaves = one.deadline.atMs < clock.monotonicMs()
          if (leaves) queued.delete(one)
          return leaves
        })
      }
      expect(longestRuns).toBeGreaterThan(0)
    }
  })
})
