// One subscription: reads what is durable from the files, hands it over batch by batch, then waits for commits.
import type { Clock, Logger, Stop } from '../core/index.js'
import type { Damage } from './block-reader.js'
import { LogCursor } from './cursor.js'
import type { LogFiles } from './files.js'
import type { LogMetrics } from './log-metrics.js'
import { nextTurn } from './next-turn.js'
import { lineSeq } from './segment.js'
import { parseRecord } from './stored-record.js'
import type { LogPosition, StoredRecord } from './types.js'

const MAX_BATCH_RECORDS = 256
// Parsing runs on the event loop at some 200 MB/s: this is about a millisecond. One larger record is a batch of its own.
const MAX_BATCH_BYTES = 256 * 1024
const FIRST_RETRY_MS = 100
const LAST_RETRY_MS = 30_000
const NEWLINE = 10

export interface FollowerParts {
  readonly files: LogFiles
  readonly folder: string
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: LogMetrics
  durableThrough(): LogPosition
  onDamage(damage: Damage): void
}

export class Follower {
  /** Resolves when the subscription has ended and its last batch is done. */
  readonly ended: Promise<void>
  #position: LogPosition
  #isStopped = false
  #wake: (() => void) | undefined
  #batch: StoredRecord[] = []
  #batchBytes = 0

  constructor(
    private readonly parts: FollowerParts,
    from: LogPosition,
    private readonly deliver: (records: StoredRecord[]) => Promise<void>,
  ) {
    this.#position = from
    this.ended = this.#run()
  }

  /** Tells it that there may be more. */
  readonly wake: () => void = () => {
    this.#wake?.()
  }

  readonly stop: Stop = () => {
    this.#isStopped = true
    this.#wake?.()
  }

  async #run(): Promise<void> {
    for (let retryMs = FIRST_RETRY_MS; !this.#isStopped; retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)) {
      const cursor = new LogCursor(this.parts.files, this.parts.folder, this.#position, this.parts.onDamage)
      try {
        await this.#follow(cursor)
      } catch (error) {
        // Reading failed, not `deliver`: begin again at the same position.
        this.parts.logger.error({ err: error, position: this.#position }, 'Reading the prediction log failed')
        await this.#pause(retryMs)
      } finally {
        await cursor.close().catch(() => undefined)
      }
    }
  }

  async #follow(cursor: LogCursor): Promise<void> {
    while (!this.#isStopped) {
      const durable = this.parts.durableThrough()
      const block = durable < this.#position ? undefined : await cursor.next()
      if (!block) {
        await this.#handOver()
        await this.#waitFor(() => this.parts.durableThrough() > durable)
        continue
      }
      if (this.parts.durableThrough() < block.lastSeq) {
        // Written but not synced yet: its records do not exist before they are durable.
        await this.#handOver()
        await this.#waitFor(() => this.parts.durableThrough() >= block.lastSeq)
      }
      await this.#take(block.lines)
    }
  }

  async #take(lines: Buffer): Promise<void> {
    for (let start = 0, end = 0; start < lines.length && !this.#isStopped; start = end + 1) {
      end = lines.indexOf(NEWLINE, start)
      const seq = lineSeq(lines, start)
      // Positions before the start, and the repetition of a block whose first writing failed.
      if (seq < this.#position) continue
      this.#position = seq + 1
      const record = parseRecord(lines, start, end)
      if (record) this.#batch.push(record)
      this.#batchBytes += end - start
      if (this.#batch.length >= MAX_BATCH_RECORDS || this.#batchBytes >= MAX_BATCH_BYTES) await this.#handOver()
    }
  }

  /** Delivers what was gathered, again and again until it is taken. */
  async #handOver(): Promise<void> {
    const batch = this.#batch
    this.#batch = []
    this.#batchBytes = 0
    if (batch.length === 0) return
    for (let retryMs = FIRST_RETRY_MS; !this.#isStopped; retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)) {
      try {
        await this.deliver(batch)
        await nextTurn()
        return
      } catch (error) {
        this.parts.metrics.subscriberFailures.inc()
        const position = batch[0]!.seq
        this.parts.logger.warn({ err: error, position }, 'A reader of the prediction log failed; the batch comes again')
        await this.#pause(retryMs)
      }
    }
  }

  /** Returns when `isReady`, which is asked at each commit, or when stopped. */
  async #waitFor(isReady: () => boolean): Promise<void> {
    while (!this.#isStopped && !isReady()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async #pause(ms: number): Promise<void> {
    let isOver = false
    const timer = this.parts.clock.after(ms, () => {
      isOver = true
      this.wake()
    })
    await this.#waitFor(() => isOver)
    timer.cancel()
  }
}
