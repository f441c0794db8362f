// How long a place stays empty before another process takes it: not at all after a first end, and longer and longer for one that
// cannot stay.
import type { Random } from '../../core/index.js'

/** A process that has lived so long did not end because it cannot start. */
export const HEALTHY_MS = 30_000
const FIRST_PAUSE_MS = 250
const LAST_PAUSE_MS = 30_000

export class RestartPauses {
  /** Early ends in a row, by place. */
  readonly #failures = new Map<number, number>()

  constructor(private readonly random: Random) {}

  /** A process has ended after `livedMs`. Pauses double, half of each by chance, so that places that fail together come back apart. */
  pauseMs(place: number, livedMs: number): number {
    const failures = livedMs > HEALTHY_MS ? 0 : (this.#failures.get(place) ?? 0)
    this.#failures.set(place, failures + 1)
    if (failures === 0) return 0
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LAST_PAUSE_MS)
    return Math.round(pauseMs * (0.5 + this.random.next() / 2))
  }
}
