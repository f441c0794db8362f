// One user of a thing at a time, in the order they came.
import type { Clock } from '../core/index.js'
import { StoreErrors } from './errors.js'

/** How long a call waits for one transaction of this process. While they come and go, as in a burst of changes, it waits for its turn. */
const TURN_MS = 10_000
const LONGEST_MS = 60_000

export class Turns {
  readonly #queue: (() => void)[] = []
  #isTaken = false
  #passedMs = Number.NEGATIVE_INFINITY

  constructor(
    /** What is taken, for messages. */
    private readonly file: string,
    private readonly clock: Clock,
  ) {}

  /** Rejects with STORE_BUSY. */
  take(waitMs = TURN_MS): Promise<void> {
    if (!this.#isTaken) {
      this.#isTaken = true
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      const sinceMs = this.clock.monotonicMs()
      let timer: { cancel(): void } | undefined
      const proceed = () => {
        timer?.cancel()
        resolve()
      }
      // Using the database instead of `tx` inside a transaction would otherwise wait for itself for ever.
      const watch = (delayMs: number) => {
        timer = this.clock.after(delayMs, () => {
          const nowMs = this.clock.monotonicMs()
          const idleMs = nowMs - Math.max(this.#passedMs, sinceMs)
          const waitedMs = nowMs - sinceMs
          if (idleMs < waitMs && waitedMs < LONGEST_MS) {
            watch(Math.min(waitMs - idleMs, LONGEST_MS - waitedMs))
            return
          }
          this.#queue.splice(this.#queue.indexOf(proceed), 1)
          reject(StoreErrors.BUSY({ file: this.file, waitedMs: Math.round(waitedMs), holder: 'transaction' }))
        })
      }
      if (waitMs !== Number.POSITIVE_INFINITY) watch(waitMs)
      this.#queue.push(proceed)
    })
  }

  pass(): void {
    this.#passedMs = this.clock.monotonicMs()
    const next = this.#queue.shift()
    if (next) next()
    else this.#isTaken = false
  }
}
