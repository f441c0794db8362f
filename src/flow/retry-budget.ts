// How much retrying is allowed: a share of recent first tries and a small reserve, so that retries cannot multiply an overload
// (Finagle's RetryBudget; here with a sliding window that is exact on the safe side instead of a leaky bucket).
import type { Clock } from '../core/index.js'

export interface RetryBudgetOptions {
  readonly clock: Clock
  /** Retries allowed for each first try; default 0.1. */
  readonly share?: number
  /** Retries allowed in a window whatever the traffic, so that a quiet server can retry at all; default 10. */
  readonly reserve?: number
  /** Default 10,000. */
  readonly windowMs?: number
}

const SLICES = 10
/** One more than a window has: the slice that the window has half left still counts against retries. */
const KEPT = SLICES + 1

/** In the `windowMs` before any retry, retries are at most `share` of the first tries plus `reserve`. */
export class RetryBudget {
  readonly #clock: Clock
  readonly #share: number
  readonly #reserve: number
  readonly #sliceMs: number
  readonly #firstTries = new Float64Array(KEPT)
  readonly #retries = new Float64Array(KEPT)
  #slice: number

  constructor(options: RetryBudgetOptions) {
    this.#clock = options.clock
    this.#share = options.share ?? 0.1
    this.#reserve = options.reserve ?? 10
    this.#sliceMs = (options.windowMs ?? 10_000) / SLICES
    this.#slice = Math.floor(this.#clock.monotonicMs() / this.#sliceMs)
  }

  /** A first try went out. */
  deposit(): void {
    this.#turn()
    this.#firstTries[this.#slice % KEPT]!++
  }

  /** Whether a retry may go out; when it says true it counts as gone out. */
  take(): boolean {
    this.#turn()
    let firstTries = 0
    let retries = 0
    for (let i = 0; i < KEPT; i++) {
      firstTries += this.#firstTries[i]!
      retries += this.#retries[i]!
    }
    firstTries -= this.#firstTries[(this.#slice + 1) % KEPT]!
    if (retries + 1 > this.#reserve + this.#share * firstTries) return false
    this.#retries[this.#slice % KEPT]!++
    return true
  }

  /** Empties the slices that time has passed over. */
  #turn(): void {
    const slice = Math.floor(this.#clock.monotonicMs() / this.#sliceMs)
    const passed = Math.min(slice - this.#slice, KEPT)
    for (let i = 0; i < passed; i++) {
      this.#firstTries[(slice - i) % KEPT] = 0
      this.#retries[(slice - i) % KEPT] = 0
    }
    this.#slice = slice
  }
}
