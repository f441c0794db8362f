// A version's leaf for as long as the server knows the version. While it is loaded a call goes straight to its batcher; while it rests,
// the first call wakes it, and the calls that come meanwhile wait for it, each until its own deadline.
import type { Clock, Timer, VersionRef } from '../../core/index.js'
import type { Deadline } from '../../flow/index.js'
import type { LeafInput, LeafResult, PooledLeaf } from '../types.js'
import { VersionErrors } from '../version-errors.js'
import type { Use } from './use.js'

/** What runs the calls of a loaded version. */
export interface Running extends PooledLeaf {
  /** Nothing is queued or running. */
  readonly isIdle: boolean
}

export interface WakingLeafOptions {
  readonly version: VersionRef
  readonly clock: Clock
  readonly use: Use
  /** Rows that may wait for a load; more get SERVING_QUEUE_FULL. */
  readonly maxWaitingRows: number
  /** Loads the version; rejects with what those who wait are to be told. Called once for all who wait. */
  readonly wake: () => Promise<void>
  /** How long that should take; undefined while nobody knows. */
  readonly expectedLoadMs: () => number | undefined
  /** Counts a call that ended here. */
  readonly failed: (code: string, ms: number) => void
}

interface Waiting {
  readonly input: LeafInput
  readonly deadline: Deadline
  readonly sinceMs: number
  readonly timer: Timer | undefined
  resolve(result: LeafResult | Promise<LeafResult>): void
  reject(error: unknown): void
}

export class WakingLeaf implements PooledLeaf {
  readonly version: VersionRef
  readonly #options: WakingLeafOptions
  readonly #clock: Clock
  readonly #use: Use
  readonly #errors: VersionErrors
  readonly #waiting = new Set<Waiting>()
  #waitingRows = 0
  #running: Running | undefined
  #successor: PooledLeaf | undefined
  #isClosed = false

  constructor(options: WakingLeafOptions) {
    this.version = options.version
    this.#options = options
    this.#clock = options.clock
    this.#use = options.use
    this.#errors = new VersionErrors(options.version)
  }

  get isWanted(): boolean {
    return this.#waiting.size > 0
  }

  get isLoading(): boolean {
    return this.#running === undefined
  }

  get isBusy(): boolean {
    return this.#waiting.size > 0 || this.#running?.isIdle === false
  }

  call(input: LeafInput, deadline: Deadline): Promise<LeafResult> {
    this.#use.called(this.#clock.monotonicMs())
    const running = this.#running
    return running === undefined ? this.#wait(input, deadline) : running.call(input, deadline)
  }

  expectedMs(rows: number): number | undefined {
    return this.#running === undefined ? this.#options.expectedLoadMs() : this.#running.expectedMs?.(rows)
  }

  dropCancelled(): void {
    for (const waiting of this.#waiting) if (waiting.input.cancelled) this.#fail(waiting, this.#errors.cancelled())
    this.#running?.dropCancelled()
  }

  /** The version is loaded: those who wait are called. */
  up(running: Running): void {
    this.#running = running
    this.#callAll(running)
  }

  /** The version rests from here on. What is returned still has to be closed. */
  down(): Running | undefined {
    const running = this.#running
    this.#running = undefined
    return running
  }

  /** Another leaf answers what this one is asked after it was closed. */
  succeededBy(successor: PooledLeaf): void {
    this.#successor = successor
    if (this.#running === undefined) this.#callAll(successor)
  }

  /** Resolves when every call has its answer, and refuses all that come after that, unless somebody succeeds it. */
  async close(): Promise<void> {
    await this.#running?.close()
    this.#running = undefined
    this.#isClosed = true
    for (const waiting of this.#waiting) this.#fail(waiting, this.#errors.unready('it has been unloaded'))
  }

  #wait(input: LeafInput, deadline: Deadline): Promise<LeafResult> {
    if (this.#successor !== undefined) return this.#successor.call(input, deadline)
    if (this.#isClosed) return this.#refuse(this.#errors.unready('it has been unloaded'))
    if (deadline.hasPassed()) return this.#refuse(this.#errors.deadlineExceeded(0, 'loading'))
    const { maxWaitingRows, expectedLoadMs, wake } = this.#options
    if (this.#waitingRows + input.rows > maxWaitingRows) {
      const retryAfterMs = Math.ceil(expectedLoadMs() ?? 1000)
      return this.#refuse(this.#errors.queueFull(input.rows, this.#waitingRows, maxWaitingRows, retryAfterMs))
    }
    const isFirst = this.#waiting.size === 0
    const answer = new Promise<LeafResult>((resolve, reject) => {
      const sinceMs = this.#clock.monotonicMs()
      const isLimited = deadline.atMs !== Number.POSITIVE_INFINITY
      const timer = isLimited
        ? this.#clock.after(deadline.atMs - sinceMs, () => {
            this.#fail(waiting, this.#errors.deadlineExceeded(this.#clock.monotonicMs() - sinceMs, 'loading'))
          })
        : undefined
      const waiting: Waiting = { input, deadline, sinceMs, timer, resolve, reject }
      this.#waiting.add(waiting)
      this.#waitingRows += input.rows
    })
    if (isFirst)
      wake().catch((error: unknown) => {
        for (const waiting of this.#waiting) this.#fail(waiting, error)
      })
    return answer
  }

  #callAll(leaf: PooledLeaf): void {
    for (const waiting of this.#waiting) {
      this.#forget(waiting)
      const waitedMs = this.#clock.monotonicMs() - waiting.sinceMs
      waiting.resolve(
        leaf.call(waiting.input, waiting.deadline).then((result) => ({
          ...result,
          queueMs: result.queueMs + waitedMs,
          loadMs: waitedMs,
        })),
      )
    }
  }

  #fail(waiting: Waiting, error: unknown): void {
    this.#forget(waiting)
    this.#options.failed((error as { code: string }).code, this.#clock.monotonicMs() - waiting.sinceMs)
    waiting.reject(error)
  }

  #forget(waiting: Waiting): void {
    waiting.timer?.cancel()
    this.#waiting.delete(waiting)
    this.#waitingRows -= waiting.input.rows
  }

  #refuse(error: unknown): Promise<never> {
    this.#options.failed((error as { code: string }).code, 0)
    return Promise.reject(error)
  }
}
