// Virtual time for a simulation: a heap of timers, because ManualClock of core looks at every timer at every step.
import type { Clock, Timer } from '../../src/core/index.js'

interface Entry extends Timer {
  readonly atMs: number
  readonly order: number
  callback: (() => void) | undefined
}

export class VirtualClock implements Clock {
  #now = 0
  #order = 0
  readonly #heap: Entry[] = []

  nowMs(): number {
    return Date.UTC(2026, 0, 1) + this.#now
  }

  monotonicMs(): number {
    return this.#now
  }

  after(delayMs: number, callback: () => void): Timer {
    const entry: Entry = {
      atMs: this.#now + Math.max(0, delayMs),
      order: this.#order++,
      callback,
      cancel() {
        entry.callback = undefined
      },
    }
    this.#push(entry)
    return entry
  }

  /** Moves to the next timer and runs it; false when there is none. */
  step(): boolean {
    for (let entry = this.#pop(); entry !== undefined; entry = this.#pop()) {
      const { callback } = entry
      if (callback === undefined) continue
      this.#now = entry.atMs
      callback()
      return true
    }
    return false
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(entry)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent]!, entry)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = entry
  }

  #pop(): Entry | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === last || last === undefined) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (isBefore(last, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}
