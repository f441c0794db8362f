// Counts what the log drops, and warns of it now and then.
import type { Clock, Logger } from '../core/index.js'
import type { LogMetrics } from './log-metrics.js'

const WARNING_INTERVAL_MS = 10_000

export class Drops {
  #lastWarningMs = Number.NEGATIVE_INFINITY

  constructor(
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly metrics: LogMetrics,
  ) {}

  count(what: 'dropped' | 'without-payload', error?: unknown): void {
    if (what === 'dropped') this.metrics.droppedRecords.inc()
    else this.metrics.droppedPayloads.inc()
    const nowMs = this.clock.monotonicMs()
    if (nowMs - this.#lastWarningMs < WARNING_INTERVAL_MS) return
    this.#lastWarningMs = nowMs
    const part = what === 'dropped' ? 'record' : 'payload'
    if (error === undefined) this.logger.warn({ part }, 'The prediction log is dropping; see ml_log_dropped_total')
    else
      this.logger.error({ err: error, part }, 'A record could not be encoded and was dropped; see ml_log_dropped_total')
  }
}
