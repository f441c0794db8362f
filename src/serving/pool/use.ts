// How much a version is used: the calls per second that are to be expected of it. Half of it is frequency, so that a pass over versions
// that are called once each does not push out those that are called all the time; the other half is silence, so that what was busy
// yesterday does not stay for ever.

/** Half of what a call counts for is forgotten in this time. */
const HALF_LIFE_MS = 60_000
const HALF_LIVES_PER_SECOND = (Math.LN2 * 1000) / HALF_LIFE_MS

export class Use {
  /** Monotonic time of the last call, or of the moment from which calls could come. */
  lastMs: number
  #fresh = 0
  #weight = 0
  #weighedMs: number

  constructor(nowMs: number) {
    this.lastMs = nowMs
    this.#weighedMs = nowMs
  }

  called(nowMs: number): void {
    this.#fresh++
    this.lastMs = nowMs
  }

  /** The rate of the last minutes, but no more than one call in the time since the last. */
  ratePerSecond(nowMs: number): number {
    if (this.#fresh > 0) {
      this.#weight = this.#weight * fade(this.lastMs - this.#weighedMs) + this.#fresh
      this.#weighedMs = this.lastMs
      this.#fresh = 0
    }
    const recent = this.#weight * fade(nowMs - this.#weighedMs) * HALF_LIVES_PER_SECOND
    return Math.min(recent, 1000 / (nowMs - this.lastMs))
  }
}

function fade(ms: number): number {
  return 2 ** (-ms / HALF_LIFE_MS)
}
