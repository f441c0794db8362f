// The log in a folder: appends go into memory, commits to disk, and readers read the files. This file joins the parts.
import type { Logger, Platform, Stop, Timer } from '../core/index.js'
import type { Damage } from './block-reader.js'
import { Committer } from './committer.js'
import { logSection } from './config.js'
import { damageReporter } from './damage.js'
import { Drops } from './drops.js'
import { LogErrors } from './errors.js'
import { type LogFiles, realFiles } from './files.js'
import { Followers } from './followers.js'
import { type LogMetrics, logMetrics } from './log-metrics.js'
import { DEFAULT_POLICY, type LogOptions } from './options.js'
import { RecordEncoder } from './record-encoder.js'
import { recover } from './recovery.js'
import { placeLine } from './relay-batch.js'
import { Retention } from './retention.js'
import { SegmentWriter } from './segment-writer.js'
import type { FileLog, LogBatch, LogPosition, LogRecord, RetentionReport, StoredRecord, TakenBatch } from './types.js'

const DEFAULTS = logSection.parse({})
const FIRST_RETENTION_MS = 60_000
const RETENTION_INTERVAL_MS = 60 * 60_000

/**
 * Opens the log in a folder, which is made when missing, and cuts off what a crash left unfinished.
 * Throws LOG_OPEN_FAILED.
 *
 * ```ts
 * const log = await openLog({ folder: '.headrace/log', platform })
 * const position = log.append(record)
 * await log.whenDurable(position)
 * ```
 */
export async function openLog(options: LogOptions): Promise<FileLog> {
  const { folder, platform, policy = () => DEFAULT_POLICY, files = realFiles } = options
  const { bufferBytes = DEFAULTS.bufferBytes, commitIntervalMs = DEFAULTS.commitIntervalMs } = options
  const { segmentBytes = DEFAULTS.segmentBytes, segmentHours = DEFAULTS.segmentHours } = options
  const { maxPayloadBytes = DEFAULTS.maxPayloadBytes } = options
  const logger = platform.logger.child({ part: 'log' })
  const metrics = logMetrics(platform.metrics)
  const onDamage = damageReporter(logger, metrics)
  const writer = new SegmentWriter(files, folder, { segmentBytes, segmentMs: segmentHours * 60 * 60_000 }, logger)
  try {
    const { newest, lastSeq, trimmedBytes } = await recover(files, folder, onDamage)
    if (trimmedBytes > 0) {
      metrics.trimmedBytes.inc(trimmedBytes)
      logger.warn(
        { segment: newest?.segment.name, trimmedBytes, lastSeq },
        'Cut an unfinished block off the newest log segment',
      )
    }
    if (newest) await writer.resume(newest, platform.clock.nowMs())
    const retention = new Retention({ files, folder, logger, policy, onDamage })
    const encoder = new RecordEncoder(policy, platform.random, maxPayloadBytes)
    const parts = { platform, files, folder, logger, metrics, writer, retention, encoder, onDamage }
    return new FolderLog({ ...parts, bufferBytes, commitIntervalMs }, lastSeq)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw LogErrors.OPEN_FAILED({ folder, reason }, error)
  }
}

interface Parts {
  readonly platform: Platform
  readonly files: LogFiles
  readonly folder: string
  readonly logger: Logger
  readonly metrics: LogMetrics
  readonly writer: SegmentWriter
  readonly retention: Retention
  readonly encoder: RecordEncoder
  readonly bufferBytes: number
  readonly commitIntervalMs: number
  onDamage(damage: Damage): void
}

class FolderLog implements FileLog {
  readonly folder: string
  readonly #committer: Committer
  readonly #followers: Followers
  readonly #drops: Drops
  readonly #commitWatchers = new Set<() => void>()
  #retentionTimer: Timer
  #retentionPass: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(
    private readonly parts: Parts,
    lastSeq: LogPosition,
  ) {
    const { platform, metrics, writer, folder, bufferBytes, commitIntervalMs, logger, files, onDamage } = parts
    const { clock } = platform
    this.folder = folder
    this.#drops = new Drops(clock, logger, metrics)
    const durableThrough = (): LogPosition => this.#committer.durable
    this.#followers = new Followers({ files, folder, logger, metrics, clock, durableThrough, onDamage })
    this.#committer = new Committer(
      {
        clock,
        metrics,
        writer,
        folder,
        bufferBytes,
        commitIntervalMs,
        onHealth: (error) => {
          if (error === undefined) logger.info({ folder }, 'The prediction log is written again')
          else
            logger.error({ err: error, folder }, 'The prediction log cannot be written; it is retried until it works')
        },
        onCommit: () => {
          this.#followers.wake()
          for (const watcher of this.#commitWatchers) watcher()
        },
      },
      lastSeq,
    )
    this.#retentionTimer = clock.after(FIRST_RETENTION_MS, this.#applyRetentionRegularly)
  }

  append(record: LogRecord): LogPosition {
    const committer = this.#committer
    const slab = committer.filling
    const start = slab.used
    try {
      const appended = this.#isClosed ? 'dropped' : this.parts.encoder.append(slab, committer.nextSeq, record)
      if (appended === 'whole') return committer.appended()
      this.#drops.count(appended)
      return appended === 'without-payload' ? committer.appended() : 0
    } catch (error) {
      // A record that breaks its type must not break the request it reports on.
      slab.used = start
      this.#drops.count('dropped', error)
      return 0
    }
  }

  take(batch: LogBatch): TakenBatch {
    const committer = this.#committer
    let dropped: number[] | undefined
    let lastSeq = 0
    for (let i = 0; i < batch.marks.length / 2; i++) {
      const placed = this.#isClosed ? 'dropped' : placeLine(committer.filling, committer.nextSeq, batch, i)
      if (placed === 'dropped') {
        dropped ??= []
        dropped.push(i)
      } else lastSeq = committer.appended()
      if (placed !== 'whole') this.#drops.count(placed)
    }
    return { lastSeq, dropped }
  }

  onCommit(watcher: () => void): Stop {
    this.#commitWatchers.add(watcher)
    return () => this.#commitWatchers.delete(watcher)
  }

  durableThrough(): LogPosition {
    return this.#committer.durable
  }

  whenDurable(position: LogPosition): Promise<void> {
    return this.#committer.whenDurable(position)
  }

  flush(): Promise<void> {
    return this.#committer.flush()
  }

  subscribe(from: LogPosition, batch: (records: StoredRecord[]) => Promise<void>): Stop {
    if (this.#isClosed) throw LogErrors.CLOSED()
    return this.#followers.subscribe(from, batch)
  }

  applyRetention(): Promise<RetentionReport> {
    const pass = this.#retentionPass.then(async () => {
      // A segment without new records would otherwise stay the newest, which is never rewritten.
      await this.#committer.rollIfDue()
      return this.parts.retention.run(this.parts.platform.clock.nowMs())
    })
    this.#retentionPass = pass.catch(() => undefined)
    return pass
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#retentionTimer.cancel()
    this.parts.retention.stop()
    await this.#retentionPass
    const lost = await this.#committer.close()
    if (lost > 0) {
      this.parts.metrics.droppedRecords.inc(lost)
      this.parts.logger.error(
        { lost, folder: this.folder },
        'Records were lost: the prediction log could not be written',
      )
    }
    await this.#followers.stop()
    await this.parts.writer.seal()
  }

  readonly #applyRetentionRegularly = (): void => {
    void this.applyRetention()
      .catch((error: unknown) => this.parts.logger.error({ err: error }, "Applying the log's retention failed"))
      .then(() => {
        if (this.#isClosed) return
        this.#retentionTimer = this.parts.platform.clock.after(RETENTION_INTERVAL_MS, this.#applyRetentionRegularly)
      })
  }
}
