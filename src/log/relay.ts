// The log of a process that does not own the log's folder: it encodes records into a buffer of its own and hands them over in
// batches, at most one on its way at a time, to the process that gives positions and writes. Reading goes over the files.
import type { Platform, Stop } from '../core/index.js'
import { damageReporter } from './damage.js'
import { Drops } from './drops.js'
import { LogErrors } from './errors.js'
import { realFiles } from './files.js'
import { Followers } from './followers.js'
import { logMetrics } from './log-metrics.js'
import { RecordEncoder } from './record-encoder.js'
import { Slab } from './slab.js'
import type { LogBatch, LogPolicy, LogPosition, LogRecord, PredictionLog, StoredRecord, TakenBatch } from './types.js'

export interface LogRelayOptions {
  readonly folder: string
  readonly platform: Platform
  readonly policy: (endpoint: string) => LogPolicy
  readonly bufferBytes: number
  readonly maxPayloadBytes: number
  readonly owner: LogOwner
}

/** The process that writes. */
export interface LogOwner {
  /** The batch stays as it is until this settles. Rejects when the owner is gone. */
  take(batch: LogBatch): Promise<TakenBatch>
  whenDurable(position: LogPosition): Promise<void>
  flush(): Promise<void>
}

/**
 * What `append` returns counts this process's own records and is for `whenDurable` alone, asked right after it: later, a record
 * that the owner dropped is not told from others any more.
 */
export interface LogRelay extends PredictionLog {
  readonly folder: string
  /** Resolves when the owner has everything appended so far. */
  handOver(): Promise<void>
  /** Resolves when that is durable; rejects with LOG_WRITE_FAILED. */
  flush(): Promise<void>
  /** The owner says how far it has come. */
  committed(durableThrough: LogPosition): void
  /** Hands over what is buffered and ends subscriptions. Later appends are dropped and counted. */
  close(): Promise<void>
}

export function createLogRelay(options: LogRelayOptions): LogRelay {
  return new Relay(options)
}

interface Waiter {
  readonly receipt: number
  resolve(): void
  reject(error: unknown): void
}

class Relay implements LogRelay {
  readonly folder: string
  readonly #options: LogRelayOptions
  readonly #encoder: RecordEncoder
  readonly #drops: Drops
  readonly #followers: Followers
  #filling: Slab
  #spare: Slab
  /** Two numbers for each record in the filling slab: see LogBatch. */
  #marks = new Uint32Array(512)
  #lastReceipt = 0
  /** The last record that the owner has taken, by its receipt and its position. */
  #takenReceipt = 0
  #takenSeq: LogPosition = 0
  #durable: LogPosition = 0
  #handing: Promise<void> | undefined
  #waiters: Waiter[] = []
  #isClosed = false

  constructor(options: LogRelayOptions) {
    const { folder, platform, policy, bufferBytes, maxPayloadBytes } = options
    const { clock } = platform
    const logger = platform.logger.child({ part: 'log' })
    const metrics = logMetrics(platform.metrics)
    this.folder = folder
    this.#options = options
    this.#filling = new Slab(Math.floor(bufferBytes / 2))
    this.#spare = new Slab(Math.floor(bufferBytes / 2))
    this.#encoder = new RecordEncoder(policy, platform.random, maxPayloadBytes)
    this.#drops = new Drops(clock, logger, metrics)
    this.#followers = new Followers({
      files: realFiles,
      folder,
      clock,
      logger,
      metrics,
      durableThrough: () => this.#durable,
      onDamage: damageReporter(logger, metrics),
    })
  }

  append(record: LogRecord): LogPosition {
    const slab = this.#filling
    const start = slab.used
    try {
      const appended = this.#isClosed ? 'dropped' : this.#encoder.append(slab, 0, record)
      if (appended !== 'whole') this.#drops.count(appended)
      if (appended === 'dropped') return 0
    } catch (error) {
      // A record that breaks its type must not break the request it reports on.
      slab.used = start
      this.#drops.count('dropped', error)
      return 0
    }
    const at = 2 * slab.records++
    if (at === this.#marks.length) this.#growMarks()
    this.#marks[at] = slab.used
    this.#marks[at + 1] = this.#encoder.payloadStart
    // After this turn of the event loop, so that requests answered in the same turn travel together.
    this.#handing ??= new Promise((resolve) => setImmediate(() => resolve(this.#handAllOver())))
    return ++this.#lastReceipt
  }

  durableThrough(): LogPosition {
    return this.#durable
  }

  whenDurable(receipt: LogPosition): Promise<void> {
    if (receipt <= 0) return Promise.reject(LogErrors.DROPPED())
    if (receipt > this.#lastReceipt) return Promise.reject(LogErrors.CLOSED())
    if (receipt <= this.#takenReceipt) return this.#options.owner.whenDurable(this.#takenSeq)
    return new Promise((resolve, reject) => this.#waiters.push({ receipt, resolve, reject }))
  }

  subscribe(from: LogPosition, batch: (records: StoredRecord[]) => Promise<void>): Stop {
    if (this.#isClosed) throw LogErrors.CLOSED()
    return this.#followers.subscribe(from, batch)
  }

  committed(durableThrough: LogPosition): void {
    this.#durable = durableThrough
    this.#followers.wake()
  }

  async handOver(): Promise<void> {
    while (this.#handing) await this.#handing
  }

  async flush(): Promise<void> {
    await this.handOver()
    await this.#options.owner.flush()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.handOver()
    await this.#followers.stop()
  }

  /** Never rejects. */
  async #handAllOver(): Promise<void> {
    while (this.#filling.records > 0) {
      const slab = this.#filling
      this.#filling = this.#spare
      this.#spare = slab
      const marks = this.#marks.slice(0, 2 * slab.records)
      const first = this.#lastReceipt - slab.records + 1
      try {
        const taken = this.#options.owner.take({ lines: slab.bytes.subarray(0, slab.used), marks })
        this.#settle(first, slab.records, await taken)
      } catch (error) {
        for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
        for (let i = 0; i < slab.records; i++) this.#drops.count('dropped')
      }
      slab.clear()
    }
    this.#handing = undefined
  }

  #settle(first: number, count: number, { lastSeq, dropped }: TakenBatch): void {
    this.#takenReceipt = first + count - 1
    if (lastSeq > 0) this.#takenSeq = lastSeq
    if (this.#waiters.length === 0) return
    const lost = new Set(dropped?.map((index) => first + index))
    const waiting: Waiter[] = []
    const later: Waiter[] = []
    for (const waiter of this.#waiters) {
      if (waiter.receipt > this.#takenReceipt) later.push(waiter)
      else if (lost.has(waiter.receipt)) waiter.reject(LogErrors.DROPPED())
      else waiting.push(waiter)
    }
    this.#waiters = later
    if (waiting.length === 0) return
    this.#options.owner.whenDurable(lastSeq).then(
      () => {
        for (const waiter of waiting) waiter.resolve()
      },
      (error: unknown) => {
        for (const waiter of waiting) waiter.reject(error)
      },
    )
  }

  #growMarks(): void {
    const marks = new Uint32Array(this.#marks.length * 2)
    marks.set(this.#marks)
    this.#marks = marks
  }
}
