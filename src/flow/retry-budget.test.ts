import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../core/index.js'
import { RetryBudget } from './retry-budget.js'

describe('the retry budget', () => {
  it('allows the reserve without any traffic, and it comes back when the window has passed', () => {
    const clock = new ManualClock()
    const budget = new RetryBudget({ clock })
    const takeAll = () => Array.from({ length: 50 }, () => budget.take()).filter(Boolean).length
    expect(takeAll()).toBe(10)
    clock.advance(9_999)
    expect(takeAll()).toBe(0)
    clock.advance(2_000)
    expect(takeAll()).toBe(10)
  })

  it('allows a tenth of the first tries above the reserve', () => {
    const budget = new RetryBudget({ clock: new ManualClock() })
    for (let i = 0; i < 1000; i++) budget.deposit()
    let taken = 0
    while (budget.take()) taken++
    expect(taken).toBe(110)
  })

  it('keeps adding a tenth under steady load in which everything is retried', () => {
    const clock = new ManualClock()
    const budget = new RetryBudget({ clock, reserve: 0 })
    let taken = 0
    for (let i = 0; i < 60_000; i++) {
      clock.advance(1)
      budget.deposit()
      if (budget.take()) taken++
    }
    expect(taken / 60_000).toBeLessThanOrEqual(0.1)
    expect(taken / 60_000).toBeGreaterThan(0.08)
  })

  it('never allows more than its share of the first tries of the window before a retry, plus the reserve', () => {
    const step = fc.record({
      ms: fc.integer({ min: 0, max: 300 }),
      firstTries: fc.integer({ min: 0, max: 30 }),
      retries: fc.integer({ min: 0, max: 10 }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const clock = new ManualClock()
        const budget = new RetryBudget({ clock, share: 0.2, reserve: 3, windowMs: 1000 })
        const firstTries: number[] = []
        const retries: number[] = []
        for (const step of steps) {
          clock.advance(step.ms)
          const nowMs = clock.monotonicMs()
          for (let i = 0; i < step.firstTries; i++) {
            budget.deposit()
            firstTries.push(nowMs)
          }
          for (let i = 0; i < step.retries; i++) if (budget.take()) retries.push(nowMs)
          const inWindow = (times: number[]) => times.filter((atMs) => atMs > nowMs - 1000).length
          if (retries.at(-1) === nowMs) expect(inWindow(retries)).toBeLessThanOrEqual(3 + 0.2 * inWindow(firstTries))
        }
      }),
    )
  })
})
