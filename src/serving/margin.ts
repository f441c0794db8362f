// How much sooner than its limit a call that waits for full runs must be expected to end, learned from those that were let in and
// missed it: runs that neighbours on the machine slow down, and high priorities that come later, are in no forecast.
import { PRIORITIES } from './waiting.js'

/** Share of the calls let in behind full runs that may miss their limit. */
const MISSES = 0.005
/** What one miss adds, as a share of the wait that was forecast; a call in time takes so much of it away that `MISSES` keeps it where it is. */
const STEP = 0.01
/** Beyond it the queue holds next to nothing that would be a forecast's business. */
const MOST = 3

/** Stochastic approximation of a quantile (Robbins and Monro, 1951), for each priority. */
export class Margin {
  readonly #shares = new Float64Array(PRIORITIES)

  /** What a forecast wait is multiplied by, at least 1. */
  factor(lane: number): number {
    return 1 + this.#shares[lane]!
  }

  missed(lane: number): void {
    this.#shares[lane] = Math.min(MOST, this.#shares[lane]! + STEP * (1 - MISSES))
  }

  kept(lane: number): void {
    this.#shares[lane] = Math.max(0, this.#shares[lane]! - STEP * MISSES)
  }
}
