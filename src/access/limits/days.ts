// Which day it is where quotas are reset. Asked for every prediction: the answer is kept until that day ends.
import type { Clock } from '../../core/index.js'

export interface Day {
  /** `2026-11-22` */
  readonly name: string
  /** Wall time. */
  readonly endsMs: number
}

export interface Days {
  today(): Day
}

/** Zones change their offset at full quarters of an hour. */
const STEP_MS = 15 * 60_000

export function createDays(clock: Clock, timeZone: string): Days {
  const format = new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' })
  let startsMs = Number.POSITIVE_INFINITY
  let day: Day = { name: '', endsMs: 0 }
  return {
    today() {
      const nowMs = clock.nowMs()
      // A clock that was set back has another day, too.
      if (nowMs >= day.endsMs || nowMs < startsMs) {
        const name = format.format(nowMs)
        let endsMs = Math.floor(nowMs / STEP_MS) * STEP_MS + STEP_MS
        while (format.format(endsMs) === name) endsMs += STEP_MS
        startsMs = nowMs
        day = { name, endsMs }
      }
      return day
    },
  }
}
