// Time is passed in, never read from the system, so that timing behaviour is tested without sleeping.

export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Wall time, milliseconds since the Unix epoch. */
  nowMs(): number
  /** Monotonic time in milliseconds, with microsecond resolution; only differences mean something. */
  monotonicMs(): number
  /** Calls `callback` once after `delayMs`; a pending timer does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Virtual time for tests and simulations: nothing happens until `advance`. */
export class ManualClock implements Clock {
  #now = 0
  #timers: { at: number; order: number; callback: () => void }[] = []
  #order = 0

  constructor(private readonly epochMs = Date.UTC(2026, 0, 1)) {}

  nowMs(): number {
    return this.epochMs + this.#now
  }

  monotonicMs(): number {
    return this.#now
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { at: this.#now + Math.max(0, delayMs), order: this.#order++, callback }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      },
    }
  }

  /** Moves time forward, running the timers that fall due in order of time, then of creation. */
  advance(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const due = this.#timers.filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at || a.order - b.order)[0]
      if (!due) break
      this.#timers = this.#timers.filter((other) => other !== due)
      this.#now = due.at
      due.callback()
    }
    this.#now = until
  }
}
