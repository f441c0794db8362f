import { describe, expect, it } from 'vitest'
import { ManualClock } from './clock.js'

describe('ManualClock', () => {
  it('runs timers in order of time, then of creation, at their own time', () => {
    const clock = new ManualClock()
    const seen: string[] = []
    clock.after(20, () => seen.push(`b@${clock.monotonicMs()}`))
    clock.after(10, () => {
      seen.push(`a@${clock.monotonicMs()}`)
      clock.after(5, () => seen.push(`a2@${clock.monotonicMs()}`))
    })
    clock.after(20, () => seen.push(`c@${clock.monotonicMs()}`))
    clock.after(15, () => seen.push('cancelled')).cancel()
    clock.advance(30)
    expect(seen).toEqual(['a@10', 'a2@15', 'b@20', 'c@20'])
    expect(clock.monotonicMs()).toBe(30)
  })
})
