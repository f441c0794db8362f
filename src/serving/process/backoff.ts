// How long to wait before something that ended is started again: longer and longer while it cannot stay.
import type { Random } from '../../core/index.js'

const FIRST_MS = 100
const LONGEST_MS = 30_000
/** What has lived so long did not end because it cannot start. */
const STABLE_MS = 30_000

export class Backoff {
  #failures = 0

  constructor(private readonly random: Random) {}

  /** It ended after `livedMs`, 0 when it could not be started. Pauses double, half of each by chance. */
  nextMs(livedMs: number): number {
    if (livedMs >= STABLE_MS) this.#failures = 0
    const ms = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.#failures)
    this.#failures++
    return Math.round(ms * (0.5 + this.random.next() / 2))
  }
}
