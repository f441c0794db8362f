// Long work in turns: nothing holds the event loop for more than a few milliseconds.
import type { Clock } from '../../core/index.js'

const TURN_MS = 2
/** A clock is not free either. */
const LOOKS_EVERY = 64

/** Call `next` once per small step, and wait for it when it says so. */
export class Turns {
  #steps = 0
  #startedMs: number

  constructor(private readonly clock: Clock) {
    this.#startedMs = clock.monotonicMs()
  }

  /** A promise when others must be served first. `weight`: how many ordinary steps this one is worth. */
  next(weight = 1): Promise<void> | undefined {
    this.#steps += weight
    if (this.#steps < LOOKS_EVERY) return undefined
    this.#steps = 0
    if (this.clock.monotonicMs() - this.#startedMs < TURN_MS) return undefined
    return this.#pause()
  }

  async #pause(): Promise<void> {
    await nextTurn()
    this.#startedMs = this.clock.monotonicMs()
  }
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
