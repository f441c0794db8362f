import { describe, expect, it } from 'vitest'
import type { Random } from '../../core/index.js'
import { HEALTHY_MS, RestartPauses } from './restart-pauses.js'

const always = (value: number) => ({ next: () => value }) as Random
const pauses = (restarts: RestartPauses, count: number) => Array.from({ length: count }, () => restarts.pauseMs(1, 100))

describe('the pause before a worker is started again', () => {
  it('is none after a first end, and doubles from 250 ms to 30 s for one that cannot stay', () => {
    expect(pauses(new RestartPauses(always(1)), 10)).toEqual([
      0, 250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000,
    ])
  })

  it('is at least half of that, by chance', () => {
    expect(pauses(new RestartPauses(always(0)), 4)).toEqual([0, 125, 250, 500])
  })

  it('is none again after a process that lived, and is of its own place only', () => {
    const restarts = new RestartPauses(always(1))
    expect(pauses(restarts, 3)).toEqual([0, 250, 500])
    expect(restarts.pauseMs(2, 100)).toBe(0)
    expect(restarts.pauseMs(1, HEALTHY_MS + 1)).toBe(0)
    expect(pauses(restarts, 2)).toEqual([250, 500])
  })
})
