// The log's metrics, bound once. A platform has one set, however often a log is opened on it.
import { type Counter, type Histogram, LATENCY_BUCKETS, type Metrics } from '../core/index.js'

export interface LogMetrics {
  readonly droppedRecords: Counter
  readonly droppedPayloads: Counter
  readonly commitSeconds: Histogram
  readonly committedBytes: Counter
  readonly writeFailures: Counter
  readonly trimmedBytes: Counter
  readonly damagedBytes: Counter
  readonly subscriberFailures: Counter
}

const sets = new WeakMap<Metrics, LogMetrics>()

export function logMetrics(metrics: Metrics): LogMetrics {
  let set = sets.get(metrics)
  if (!set) {
    set = createSet(metrics)
    sets.set(metrics, set)
  }
  return set
}

function createSet(metrics: Metrics): LogMetrics {
  const counter = (name: string, help: string): Counter => metrics.counter({ name, help }).with()
  const dropped = metrics.counter({
    name: 'ml_log_dropped_total',
    help: 'Payloads and records the prediction log dropped: the buffer was full, or the payload too large.',
    labels: ['part'],
  })
  return {
    droppedRecords: dropped.with('record'),
    droppedPayloads: dropped.with('payload'),
    commitSeconds: metrics
      .histogram({
        name: 'ml_log_commit_seconds',
        help: 'Time to write and sync one group of log records.',
        buckets: LATENCY_BUCKETS,
      })
      .with(),
    committedBytes: counter('ml_log_committed_bytes_total', 'Bytes written and synced to the prediction log.'),
    writeFailures: counter('ml_log_write_failures_total', 'Attempts to write the prediction log that failed.'),
    trimmedBytes: counter('ml_log_trimmed_bytes_total', 'Bytes of torn blocks cut off when the log was opened.'),
    damagedBytes: counter('ml_log_damaged_bytes_total', 'Bytes of the prediction log that failed their checksum.'),
    subscriberFailures: counter('ml_log_subscriber_failures_total', 'Batches that a reader of the log failed to take.'),
  }
}
