// A clock that a simulation plays to its end: it knows when its next timer is due.
import type { Clock, Timer } from '../../src/core/index.js'

export class VirtualClock implements Clock {
  #nowMs = 0
  #order = 0
  #timers: { readonly atMs: number; readonly order: number; readonly callback: () => void }[] = []

  nowMs(): number {
    return Date.UTC(2026, 0, 1) + this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      },
    }
  }

  get timers(): number {
    return this.#timers.length
  }

  /** Runs the next timer; false when there is none. */
  step(): boolean {
    this.#timers.sort((a, b) => a.atMs - b.atMs || a.order - b.order)
    const next = this.#timers.shift()
    if (!next) return false
    this.#nowMs = Math.max(this.#nowMs, next.atMs)
    next.callback()
    return true
  }
}
