// One timer for any number of deadlines. It is set for the earliest and left alone when that one is met, so that with equal
// time limits a timer is made once per time limit and not once per call.
import type { Clock, Timer } from '../core/index.js'

/** Timers fire on time to within floating-point error; what is due by less than a microsecond is due. */
const SLACK_MS = 0.001
/** Node's timers take at most 2^31 - 1 ms; an alarm that goes off early is set again by whoever still waits. */
const LONGEST_DELAY_MS = 86_400_000

export class Alarm {
  #timer: Timer | undefined = undefined
  #atMs = Number.POSITIVE_INFINITY

  /** `ring` looks for what is due and calls `by` for the rest. */
  constructor(
    private readonly clock: Clock,
    private readonly ring: (nowMs: number) => void,
  ) {}

  /** Sees to it that the alarm rings at this monotonic time or earlier. */
  by(atMs: number): void {
    if (atMs >= this.#atMs) return
    this.#timer?.cancel()
    this.#atMs = atMs
    this.#timer = this.clock.after(Math.min(atMs - this.clock.monotonicMs(), LONGEST_DELAY_MS), this.#onTimer)
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined
    this.#atMs = Number.POSITIVE_INFINITY
    this.ring(this.clock.monotonicMs())
  }
}

export function isDue(atMs: number, nowMs: number): boolean {
  return atMs <= nowMs + SLACK_MS
}
