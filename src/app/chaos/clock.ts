// A clock that a fault can put wrong. Time that has been counted cannot be taken back: a jump of the monotonic clock stays when the
// fault is over, as it stays when a machine wakes up; the wall clock is put right again.
import { type Clock, createIds, type Platform, type Timer } from '../../core/index.js'
import type { Faults } from './faults.js'

class SkewedClock implements Clock {
  #wallMs = 0
  #monotonicMs = 0
  readonly #counted = new Set<string>()

  constructor(
    private readonly real: Clock,
    faults: Faults,
  ) {
    faults.watch((active) => {
      let wallMs = 0
      for (const { id, fault } of active) {
        if (fault.kind !== 'clock-skew') continue
        if (fault.clock === 'wall') wallMs += fault.ms
        else if (!this.#counted.has(id)) {
          this.#counted.add(id)
          this.#monotonicMs += Math.max(0, fault.ms)
        }
      }
      this.#wallMs = wallMs
    })
  }

  nowMs(): number {
    return this.real.nowMs() + this.#wallMs
  }

  monotonicMs(): number {
    return this.real.monotonicMs() + this.#monotonicMs
  }

  after(delayMs: number, callback: () => void): Timer {
    return this.real.after(delayMs, callback)
  }
}

/** The platform with a clock that faults can skew; ids carry its time. */
export function skewable(platform: Platform, faults: Faults): Platform {
  const clock = new SkewedClock(platform.clock, faults)
  return { ...platform, clock, ids: createIds(clock, platform.random) }
}
