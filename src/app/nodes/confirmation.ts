// When the metadata store confirmed what this process applies, for a process that hears of it from another. The answer is an age, and
// counts from before the question: whatever the way there and back took, or however long this process stood still, it is never too new.
import type { Platform, Stop } from '../../core/index.js'

const EVERY_MS = 500

export interface Confirmation {
  /** Of this process's monotonic clock; minus infinity before the first. */
  ms(): number
  readonly stop: Stop
}

export function askedConfirmation(askAgeMs: () => Promise<number>, { clock }: Pick<Platform, 'clock'>): Confirmation {
  let confirmedMs = Number.NEGATIVE_INFINITY
  let isStopped = false
  let timer = clock.after(0, ask)
  function ask(): void {
    const askedMs = clock.monotonicMs()
    askAgeMs()
      .then(
        (ageMs) => {
          confirmedMs = Math.max(confirmedMs, askedMs - ageMs)
        },
        // The primary is gone or busy: what is known gets older.
        () => undefined,
      )
      .finally(() => {
        if (!isStopped) timer = clock.after(EVERY_MS, ask)
      })
  }
  return {
    ms: () => confirmedMs,
    stop() {
      isStopped = true
      timer.cancel()
    },
  }
}
