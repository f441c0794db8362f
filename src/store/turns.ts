// One user of a thing at a time, in the order they came.
import type { Clock } from '../core/index.js'
import { StoreErrors } from './errors.js'

/** How long a call waits for a transaction of this process. */
const TURN_MS = 10_000

export class Turns {
  readonly #queue: (() => void)[] = []
  #isTaken = false

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
      const proceed = () => {
        timer?.cancel()
        resolve()
      }
      // Using the database instead of `tx` inside a transaction would otherwise wait for itself for ever.
      const timer =
        waitMs === Number.POSITIVE_INFINITY
          ? undefined
          : this.clock.after(waitMs, () => {
              this.#queue.splice(this.#queue.indexOf(proceed), 1)
              reject(StoreErrors.BUSY({ file: this.file, waitedMs: waitMs, holder: 'transaction' }))
            })
      this.#queue.push(proceed)
    })
  }

  pass(): void {
    const next = this.#queue.shift()
    if (next) next()
    else this.#isTaken = false
  }
}
