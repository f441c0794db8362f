// The log in a folder: appends go into memory, commits to disk, and readers read the files. This file joins the parts.
import type { Logger, Platform, Stop, Timer } from '../core/index.js'
import type { Damage } from './block-reader.js'
import { Committer } from './committer.js'
import { logSection } from './config.js'
import { LogErrors } from './errors.js'
import { type LogFiles, realFiles } from './files.js'
import { Follower } from './follower.js'
import { type LogMetrics, logMetrics } from './log-metrics.js'
import { DEFAULT_POLICY, type LogOptions } from './options.js'
import { RecordEncoder } from './record-encoder.js'
import { recover } from './recovery.js'
import { Retention } from './retention.js'
import { SegmentWriter } from './segment-writer.js'
import type { FileLog, LogPosition, LogRecord, RetentionReport, StoredRecord } from './types.js'

const DEFAULTS = logSection.parse({})
const FIRST_RETENTION_MS = 60_000
const RETENTION_INTERVAL_MS = 60 * 60_000
const DROP_WARNING_INTERVAL_MS = 10_000

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

/** Every reader that passes damage hears of it; each is reported once. */
function damageReporter(logger: Logger, metrics: LogMetrics): (damage: Damage) => void {
  const reported = new Set<string>()
  return (damage) => {
    const key = `${damage.segment}:${damage.offset}`
    if (reported.has(key)) return
    reported.add(key)
    metrics.damagedBytes.inc(damage.sizeBytes)
    logger.error({ ...damage }, 'A log segment is damaged: these bytes fail their checksum and are left out')
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
  readonly #followers = new Set<Follower>()
  #retentionTimer: Timer
  #retentionPass: Promise<unknown> = Promise.resolve()
  #isClosed = false
  #lastDropWarningMs = Number.NEGATIVE_INFINITY

  constructor(
    private readonly parts: Parts,
    lastSeq: LogPosition,
  ) {
    const { platform, metrics, writer, folder, bufferBytes, commitIntervalMs, logger } = parts
    this.folder = folder
    this.#committer = new Committer(
      {
        clock: platform.clock,
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
          for (const follower of this.#followers) follower.wake()
        },
      },
      lastSeq,
    )
    this.#retentionTimer = platform.clock.after(FIRST_RETENTION_MS, this.#applyRetentionRegularly)
  }

  append(record: LogRecord): LogPosition {
    const committer = this.#committer
    const slab = committer.filling
    const start = slab.used
    try {
      const appended = this.#isClosed ? 'dropped' : this.parts.encoder.append(slab, committer.nextSeq, record)
      if (appended === 'whole') return committer.appended()
      this.#countDrop(appended)
      return appended === 'without-payload' ? committer.appended() : 0
    } catch (error) {
      // A record that breaks its type must not break the request it reports on.
      slab.used = start
      this.#countDrop('dropped', error)
      return 0
    }
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
    const { files, folder, logger, metrics, platform, onDamage } = this.parts
    const durableThrough = (): LogPosition => this.#committer.durable
    const follower = new Follower(
      { files, folder, logger, metrics, clock: platform.clock, durableThrough, onDamage },
      from,
      batch,
    )
    this.#followers.add(follower)
    void follower.ended.then(() => this.#followers.delete(follower))
    return follower.stop
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
    for (const follower of this.#followers) follower.stop()
    await Promise.all([...this.#followers].map((follower) => follower.ended))
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

  #countDrop(appended: 'dropped' | 'without-payload', error?: unknown): void {
    const { metrics, platform, logger } = this.parts
    if (appended === 'dropped') metrics.droppedRecords.inc()
    else metrics.droppedPayloads.inc()
    const nowMs = platform.clock.monotonicMs()
    if (nowMs - this.#lastDropWarningMs < DROP_WARNING_INTERVAL_MS) return
    this.#lastDropWarningMs = nowMs
    const part = appended === 'dropped' ? 'record' : 'payload'
    if (error === undefined) logger.warn({ part }, 'The prediction log is dropping; see ml_log_dropped_total')
    else logger.error({ err: error, part }, 'A record could not be encoded and was dropped; see ml_log_dropped_total')
  }
}
