// Runs under way in a version's backend, when a slot will be free, and how fast runs have drained the queue lately.
import type { CostModel } from './cost-model.js'
import type { Member } from './member.js'
import type { Backend, RunContext } from './types.js'
import { retryAfter } from './version-errors.js'

/** One batch in the backend. */
export interface Run {
  readonly members: readonly Member[]
  readonly rows: number
  /** Rows that the backend was given, with those that only fill it up. */
  readonly size: number
  /** What inputs of different lengths were made as long as; 0 where none are. */
  readonly length: number
  readonly cost: CostModel
  /** What the cost model said when it started. */
  readonly expectedMs: number
  /** What the backend was asked for; undefined means everything. */
  readonly outputs: readonly string[] | undefined
  /** As the backend was given it. */
  readonly context: RunContext
  readonly startedMs: number
  /** How long its inputs took to join. */
  inputMs: number
  /** It began to wait for a backend that was not there: its time says nothing of what a run costs. */
  readonly isHeldUp: boolean
  /** It took longer than `timeoutMs`: its members have been answered, and its slot is lost until it returns. */
  isAbandoned: boolean
}

export class Runs {
  readonly underWay: Run[] = []
  #hung = 0
  /** Rows and milliseconds of recent runs, older ones fading. */
  #drainedRows = 0
  #drainedMs = 0

  constructor(private readonly backend: Backend) {}

  get slots(): number {
    return Math.max(1, this.backend.concurrency)
  }

  get hasFreeSlot(): boolean {
    return this.underWay.length < this.backend.concurrency
  }

  /** One run more leaves no slot free. */
  get isLastSlot(): boolean {
    return this.underWay.length + 1 >= this.backend.concurrency
  }

  get isNoneUnderWay(): boolean {
    return this.underWay.length === 0
  }

  /** Every slot has a run that will not come back in time. */
  get allHang(): boolean {
    return this.#hung >= this.backend.concurrency
  }

  /** Nothing runs that anybody waits for. */
  get isQuiet(): boolean {
    return this.underWay.length === this.#hung
  }

  start(run: Run): void {
    this.underWay.push(run)
  }

  abandon(run: Run): void {
    run.isAbandoned = true
    this.#hung++
  }

  /** It has come back. */
  release(run: Run): void {
    const { underWay } = this
    // Nearly always it is the only one.
    if (underWay[underWay.length - 1] === run) underWay.pop()
    else underWay.splice(underWay.indexOf(run), 1)
    if (run.isAbandoned) this.#hung--
  }

  took({ rows }: Run, ms: number): void {
    this.#drainedRows = this.#drainedRows * 0.8 + rows
    this.#drainedMs = this.#drainedMs * 0.8 + ms
  }

  /** When a caller may come back who found so much before it. */
  retryAfterMs(waitingRows: number): number {
    if (this.#drainedRows === 0) return retryAfter(undefined)
    return retryAfter((waitingRows * this.#drainedMs) / (this.#drainedRows * this.slots))
  }

  untilFreeMs(nowMs: number): number {
    if (this.hasFreeSlot) return 0
    const runs = this.underWay
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < runs.length; i++) {
      const { startedMs, expectedMs, isAbandoned } = runs[i]!
      if (isAbandoned) continue
      const left = startedMs + expectedMs - nowMs
      // A run that should have ended takes the longer the longer it is late.
      least = Math.min(least, left >= 0 ? left : -left / 2)
    }
    return least === Number.POSITIVE_INFINITY ? 0 : least
  }
}
