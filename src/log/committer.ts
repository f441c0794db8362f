// The ring between appends and the disk: two slabs, one filling while the other is written. A group commit starts when the
// first record has waited long enough, when the filling slab is half full, or when somebody waits; then everything gathered
// is written and synced at once. While the disk fails, one slab is retried with growing pauses and the other fills up.
import type { Clock, Timer } from '../core/index.js'
import { LogErrors } from './errors.js'
import type { LogMetrics } from './log-metrics.js'
import { nextTurn } from './next-turn.js'
import type { SegmentWriter } from './segment-writer.js'
import { Slab } from './slab.js'
import type { LogPosition } from './types.js'

const FIRST_RETRY_MS = 100
const LAST_RETRY_MS = 5_000

interface Waiter {
  readonly position: LogPosition
  resolve(): void
  reject(error: unknown): void
}

export interface CommitterParts {
  readonly clock: Clock
  readonly metrics: LogMetrics
  readonly writer: SegmentWriter
  readonly folder: string
  readonly bufferBytes: number
  readonly commitIntervalMs: number
  /** Called on the first failure in a row, and when writing works again (undefined). */
  onHealth(error: unknown): void
  /** Called after each commit. */
  onCommit(): void
}

export class Committer {
  /** The slab that appends go to. */
  filling: Slab
  /** Everything up to here is written and synced. */
  durable: LogPosition
  #spare: Slab
  #lastSeq: LogPosition
  /** The running commits; undefined when idle. */
  #commits: Promise<void> | undefined
  #isUrgent = false
  #isClosing = false
  #timer: Timer | undefined
  #waiters: Waiter[] = []
  #failure: unknown
  #wakeRetry: (() => void) | undefined
  readonly #halfBytes: number

  constructor(
    private readonly parts: CommitterParts,
    lastSeq: LogPosition,
  ) {
    const slabBytes = Math.floor(parts.bufferBytes / 2)
    this.filling = new Slab(slabBytes)
    this.#spare = new Slab(slabBytes)
    this.#halfBytes = Math.floor(slabBytes / 2)
    this.#lastSeq = lastSeq
    this.durable = lastSeq
  }

  /** The position the next record gets. */
  get nextSeq(): LogPosition {
    return this.#lastSeq + 1
  }

  /** Counts the record just written to `filling` and sees to its commit. */
  appended(): LogPosition {
    const seq = ++this.#lastSeq
    const slab = this.filling
    if (slab.records++ === 0) {
      slab.firstSeq = seq
      this.#timer = this.parts.clock.after(this.parts.commitIntervalMs, this.#hurry)
    }
    slab.lastSeq = seq
    if (slab.used > this.#halfBytes) this.#hurry()
    return seq
  }

  whenDurable(position: LogPosition): Promise<void> {
    if (position <= 0) return Promise.reject(LogErrors.DROPPED())
    if (position <= this.durable) return Promise.resolve()
    if (this.#isClosing && position > this.#lastSeq) return Promise.reject(LogErrors.CLOSED())
    if (this.#failure !== undefined) return Promise.reject(this.#writeFailed())
    return new Promise((resolve, reject) => {
      this.#waiters.push({ position, resolve, reject })
      if (position <= this.#lastSeq) this.#hurry()
    })
  }

  /** Resolves when all appended records are durable. */
  async flush(): Promise<void> {
    if (this.#lastSeq > this.durable) await this.whenDurable(this.#lastSeq)
  }

  /** Starts a new segment when the present one is due, although nothing is written; not while a commit runs. */
  async rollIfDue(): Promise<void> {
    const nowMs = this.parts.clock.nowMs()
    if (this.#commits || !this.parts.writer.isDue(nowMs, 0)) return
    this.#commits = this.parts.writer.roll(this.durable + 1, nowMs)
    await this.#commits
    this.#commits = undefined
    if (this.#isUrgent) this.#hurry()
  }

  /** Commits what is left; with a failing disk it tries once more. Returns how many records were lost. */
  async close(): Promise<number> {
    this.#isClosing = true
    this.#wakeRetry?.()
    this.#hurry()
    while (this.#commits) await this.#commits
    for (const waiter of this.#waiters.splice(0)) waiter.reject(LogErrors.CLOSED())
    return this.#lastSeq - this.durable
  }

  readonly #hurry = (): void => {
    this.#isUrgent = true
    // After this turn of the event loop, so that requests answered in the same turn share the commit.
    this.#commits ??= nextTurn().then(() => this.#commitAll())
  }

  /** Never rejects. */
  async #commitAll(): Promise<void> {
    while (this.#isUrgent && this.filling.records > 0) {
      this.#isUrgent = false
      this.#timer?.cancel()
      const slab = this.filling
      this.filling = this.#spare
      this.#spare = slab
      slab.seal(this.parts.clock.nowMs())
      if (!(await this.#persist(slab))) break
      this.durable = slab.lastSeq
      slab.clear()
      this.#settleWaiters()
      this.parts.onCommit()
    }
    this.#isUrgent = false
    this.#commits = undefined
  }

  /** Writes until it works; false when the log was closed before it did. */
  async #persist(slab: Slab): Promise<boolean> {
    const { clock, metrics, writer } = this.parts
    const block = slab.bytes.subarray(0, slab.used)
    for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)) {
      const isLastTry = this.#isClosing
      const startMs = clock.monotonicMs()
      try {
        await writer.write(block, slab.firstSeq, clock.nowMs())
        metrics.commitSeconds.observe((clock.monotonicMs() - startMs) / 1000)
        metrics.committedBytes.inc(block.length)
        if (this.#failure !== undefined) this.parts.onHealth(undefined)
        this.#failure = undefined
        return true
      } catch (error) {
        metrics.writeFailures.inc()
        if (this.#failure === undefined) this.parts.onHealth(error)
        this.#failure = error
        // Nobody should wait for a disk that may stay full for hours.
        for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#writeFailed())
        if (isLastTry) return false
      }
      if (!this.#isClosing) await this.#pause(retryMs)
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.parts.clock.after(ms, resolve)
      this.#wakeRetry = () => {
        timer.cancel()
        resolve()
      }
    })
  }

  #settleWaiters(): void {
    if (this.#waiters.length === 0) return
    const waiting: Waiter[] = []
    for (const waiter of this.#waiters) {
      if (waiter.position <= this.durable) waiter.resolve()
      else waiting.push(waiter)
    }
    this.#waiters = waiting
    if (waiting.some((waiter) => waiter.position <= this.#lastSeq)) this.#isUrgent = true
  }

  #writeFailed(): unknown {
    const reason = this.#failure instanceof Error ? this.#failure.message : String(this.#failure)
    return LogErrors.WRITE_FAILED({ folder: this.parts.folder, reason }, this.#failure)
  }
}
