import { expect, it } from 'vitest'
import { ManualClock } from '../core/index.js'
import { Alarm, isDue } from './alarm.js'

it('makes one timer for any number of times that come in order', () => {
  const clock = new ManualClock()
  let timers = 0
  const counting = { ...clock, monotonicMs: () => clock.monotonicMs(), nowMs: () => 0 }
  const alarm = new Alarm(
    {
      ...counting,
      after: (ms, callback) => {
        timers++
        return clock.after(ms, callback)
      },
    },
    () => undefined,
  )
  for (let i = 0; i < 100; i++) {
    alarm.by(clock.monotonicMs() + 1000)
    clock.advance(1)
  }
  expect(timers).toBe(1)
})

it('rings at the earliest time asked for, once, and again only when asked again', () => {
  const clock = new ManualClock()
  const rings: number[] = []
  const alarm = new Alarm(clock, (nowMs) => rings.push(nowMs))
  alarm.by(50)
  alarm.by(20)
  alarm.by(70)
  alarm.by(Number.POSITIVE_INFINITY)
  clock.advance(100)
  expect(rings).toEqual([20])
  alarm.by(130)
  clock.advance(100)
  expect(rings).toEqual([20, 130])
})

it('rings early, rather than at once, for a time beyond what a timer takes', () => {
  const clock = new ManualClock()
  const rings: number[] = []
  const alarm = new Alarm(clock, (nowMs) => rings.push(nowMs))
  alarm.by(10 * 86_400_000)
  clock.advance(86_399_999)
  expect(rings).toEqual([])
  clock.advance(1)
  expect(rings).toEqual([86_400_000])
})

it('counts as due what floating-point error makes early', () => {
  expect(isDue(0.1 + 0.2, 0.3)).toBe(true)
  expect(isDue(1, 0.99)).toBe(false)
})
