// Serving's metrics. Families are made once per server; a version's series are bound when it loads and forgotten when it is unloaded.
import {
  type Counter,
  type Gauge,
  type Histogram,
  LATENCY_BUCKETS,
  type Metrics,
  type VersionRef,
} from '../core/index.js'
import { createStatisticsBook, type StatisticsBook, type VersionStatistics } from './statistics.js'

/**
 * Why a run was started when it was. `idle`: a slot was free and nothing more waited. `full`: no more rows fit. `shape`: others waited,
 * but of another shape. `deadline`: a larger run would have made a call late. `delay`: it waited for company as long as that paid.
 * `rerun`: it is part of a batch that failed.
 */
export type DispatchReason = (typeof DISPATCH_REASONS)[number]

const DISPATCH_REASONS = ['idle', 'full', 'shape', 'deadline', 'delay', 'rerun'] as const

export interface VersionMetrics {
  readonly batchRows: Histogram
  readonly queueSeconds: Histogram
  readonly latencySeconds: Histogram
  readonly waitingRows: Gauge
  readonly ready: Gauge
  /** Rows that a run may have at present. */
  readonly rowsLimit: Gauge
  /** What the cost model of the last run's shape says: milliseconds per row and per run, and how far off runs are, relative. */
  readonly costRowMs: Gauge
  readonly costRunMs: Gauge
  readonly costError: Gauge
  /** Why runs were started. */
  readonly dispatched: Readonly<Record<DispatchReason, Counter>>
  /** Calls that ended this way: `ok` or an error code. */
  ended(status: string): Counter
  /** The same after the version was forgotten and bound again. */
  readonly statistics: VersionStatistics
}

export interface ServingMetrics {
  bind(ref: VersionRef): VersionMetrics
  forget(ref: VersionRef): void
  readonly statistics: StatisticsBook
}

const UNCOUNTED: Counter = { inc() {} }
const LABELS = ['model', 'version'] as const
const BATCH_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]

export function createServingMetrics(metrics: Metrics): ServingMetrics {
  const batchRows = metrics.histogram({
    name: 'ml_batch_size',
    help: 'Rows per run.',
    labels: LABELS,
    buckets: BATCH_BUCKETS,
  })
  const queueSeconds = metrics.histogram({
    name: 'ml_queue_seconds',
    help: 'From the arrival of a call at a version to the start of its run.',
    labels: LABELS,
    buckets: LATENCY_BUCKETS,
  })
  const latencySeconds = metrics.histogram({
    name: 'ml_inference_latency_seconds',
    help: 'From the arrival of a call at a version to its answer, whether it succeeded or not: queue and run.',
    labels: LABELS,
    buckets: LATENCY_BUCKETS,
  })
  const waitingRows = metrics.gauge({ name: 'ml_queue_rows', help: 'Rows waiting for a run.', labels: LABELS })
  const ready = metrics.gauge({
    name: 'ml_model_ready',
    help: '1 when a version takes traffic, 0 while it loads, hangs, has failed or is being unloaded.',
    labels: LABELS,
    together: 'min',
  })
  const calls = metrics.counter({
    name: 'ml_inference_calls_total',
    help: 'Calls of a version by how they ended: ok or an error code.',
    labels: [...LABELS, 'status'],
  })
  const dispatches = metrics.counter({
    name: 'ml_batch_dispatch_total',
    help: 'Runs by why they were started: idle, full, shape, deadline, delay or rerun.',
    labels: [...LABELS, 'reason'],
  })
  const rowsLimit = metrics.gauge({
    name: 'ml_batch_rows_limit',
    help: 'Rows that a run may have: maxBatchSize, or more under pressure.',
    labels: LABELS,
    together: 'average',
  })
  const costRowMs = metrics.gauge({
    name: 'ml_cost_model_row_ms',
    help: 'Learned milliseconds per row of a run, for the shape that ran last.',
    labels: LABELS,
    together: 'average',
  })
  const costRunMs = metrics.gauge({
    name: 'ml_cost_model_run_ms',
    help: 'Learned milliseconds per run, whatever its rows, for the shape that ran last.',
    labels: LABELS,
    together: 'average',
  })
  const costError = metrics.gauge({
    name: 'ml_cost_model_error_ratio',
    help: 'Typical distance of a run time from its prediction, relative to it.',
    labels: LABELS,
    together: 'average',
  })
  const families = [
    batchRows,
    queueSeconds,
    latencySeconds,
    waitingRows,
    ready,
    rowsLimit,
    costRowMs,
    costRunMs,
    costError,
  ]
  const statuses = new Map<string, Map<string, Counter>>()
  const statistics = createStatisticsBook()

  return {
    statistics,
    bind({ model, version }) {
      const number = String(version)
      const key = `${model}/${number}`
      const bound = new Map<string, Counter>()
      statuses.set(key, bound)
      return {
        batchRows: batchRows.with(model, number),
        queueSeconds: queueSeconds.with(model, number),
        latencySeconds: latencySeconds.with(model, number),
        waitingRows: waitingRows.with(model, number),
        ready: ready.with(model, number),
        rowsLimit: rowsLimit.with(model, number),
        costRowMs: costRowMs.with(model, number),
        costRunMs: costRunMs.with(model, number),
        costError: costError.with(model, number),
        dispatched: Object.fromEntries(
          DISPATCH_REASONS.map((reason) => [reason, dispatches.with(model, number, reason)]),
        ) as Record<DispatchReason, Counter>,
        ended(status) {
          let counter = bound.get(status)
          if (counter === undefined) {
            // A call that was on its way to a version unloaded meanwhile must not bring its series back.
            if (statuses.get(key) !== bound) return UNCOUNTED
            counter = calls.with(model, number, status)
            bound.set(status, counter)
          }
          return counter
        },
        statistics: statistics.open({ model, version }),
      }
    },
    forget({ model, version }) {
      const number = String(version)
      const key = `${model}/${number}`
      for (const family of families) family.remove(model, number)
      for (const reason of DISPATCH_REASONS) dispatches.remove(model, number, reason)
      for (const status of statuses.get(key)?.keys() ?? []) calls.remove(model, number, status)
      statuses.delete(key)
    },
  }
}
