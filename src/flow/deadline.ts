// A deadline is a point on the monotonic clock; it is passed down unchanged, so time spent above counts.
import type { Clock } from '../core/index.js'

export class Deadline {
  private constructor(
    private readonly clock: Clock,
    /** Monotonic milliseconds; Infinity when there is none. */
    readonly atMs: number,
  ) {}

  static in(clock: Clock, ms: number): Deadline {
    return new Deadline(clock, clock.monotonicMs() + ms)
  }

  /** `atMs` is a time of the clock's `monotonicMs`. */
  static at(clock: Clock, atMs: number): Deadline {
    return new Deadline(clock, atMs)
  }

  static none(clock: Clock): Deadline {
    return new Deadline(clock, Number.POSITIVE_INFINITY)
  }

  remainingMs(): number {
    return this.atMs - this.clock.monotonicMs()
  }

  hasPassed(): boolean {
    return this.remainingMs() <= 0
  }

  /** This deadline or one `ms` from now, whichever comes first. */
  atMost(ms: number): Deadline {
    const atMs = this.clock.monotonicMs() + ms
    return atMs < this.atMs ? new Deadline(this.clock, atMs) : this
  }
}
