// The online store as a request may use it: it waits for it no longer than its budget, and not at all while it is known to be dead.
import { type HeadraceError, type Platform, toHeadraceError } from '../../core/index.js'
import { Breaker } from '../../flow/index.js'
import type { OnlineAnswer, OnlineRead, OnlineStore } from '../online/types.js'
import type { ReaderMetrics } from './metrics.js'

/** Why there is no answer. */
export type NoAnswer = 'timeout' | 'store-down'

export interface GuardedStoreOptions {
  readonly platform: Platform
  readonly store: Pick<OnlineStore, 'read'>
  readonly metrics: ReaderMetrics
  /** Told of answers that came after all, when nobody waited for them any more. */
  readonly onLate: (reads: readonly OnlineRead[], answer: OnlineAnswer, atMs: number) => void
}

const STATES = { closed: 0, 'half-open': 1, open: 2 } as const

export class GuardedStore {
  readonly #options: GuardedStoreOptions
  readonly #breaker: Breaker
  /** As it did last: nobody waits for it then. */
  #answersAtOnce = true

  constructor(options: GuardedStoreOptions) {
    this.#options = options
    const { clock, random, logger } = options.platform
    this.#breaker = new Breaker({
      clock,
      random,
      onChange: (state) => {
        options.metrics.circuit.set(STATES[state])
        if (state === 'open')
          logger.error(
            { retryAfterMs: this.#breaker.retryAfterMs() },
            'the online feature store does not answer: requests get defaults or last known values until it does',
          )
        else if (state === 'closed') logger.info({}, 'the online feature store answers again')
      },
    })
  }

  /** Never rejects and never throws. */
  read(
    reads: readonly OnlineRead[],
    atMs: number,
    budgetMs: number,
  ): OnlineAnswer | NoAnswer | Promise<OnlineAnswer | NoAnswer> {
    const { store } = this.#options
    if (budgetMs <= 0 && !this.#answersAtOnce) return 'timeout'
    if (!this.#breaker.admits()) return 'store-down'
    const startedMs = this.#options.platform.clock.monotonicMs()
    try {
      const answer = store.read(reads, atMs)
      this.#answersAtOnce = !(answer instanceof Promise)
      if (answer instanceof Promise) return this.#within(reads, atMs, budgetMs, startedMs, answer)
      // A store that answers at once has no health to count, but may have had.
      if (this.#breaker.state !== 'closed') this.#breaker.succeeded(0)
      return answer
    } catch (error) {
      return this.#failed(toHeadraceError(error), 0)
    }
  }

  #within(
    reads: readonly OnlineRead[],
    atMs: number,
    budgetMs: number,
    startedMs: number,
    answering: Promise<OnlineAnswer>,
  ): Promise<OnlineAnswer | NoAnswer> {
    const { clock } = this.#options.platform
    return new Promise((resolve) => {
      let isLate = false
      const timer = clock.after(budgetMs, () => {
        isLate = true
        this.#breaker.failed(clock.monotonicMs() - startedMs)
        resolve('timeout')
      })
      answering.then(
        (answer) => {
          if (isLate) {
            this.#options.onLate(reads, answer, atMs)
            return
          }
          timer.cancel()
          this.#breaker.succeeded(clock.monotonicMs() - startedMs)
          resolve(answer)
        },
        (error: unknown) => {
          // Counted already when it was late.
          if (isLate) return
          timer.cancel()
          resolve(this.#failed(toHeadraceError(error), clock.monotonicMs() - startedMs))
        },
      )
    })
  }

  #failed(error: HeadraceError, latencyMs: number): 'store-down' {
    this.#options.metrics.storeErrors.inc()
    this.#options.platform.logger.debug({ err: error }, 'the online feature store could not be read')
    this.#breaker.failed(latencyMs)
    return 'store-down'
  }
}
