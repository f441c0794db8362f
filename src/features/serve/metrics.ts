// What the feature reader counts.
import { type Counter, type Gauge, type Histogram, LATENCY_BUCKETS, type Metrics } from '../../core/index.js'
import type { ValueGap } from './types.js'

export interface ReaderMetrics {
  readonly reads: Counter
  readonly rows: Counter
  readonly seconds: Histogram
  readonly storeErrors: Counter
  readonly circuit: Gauge
  /** Rows of a view (or an on-demand view) that got a default or a last known value. */
  gap(view: string, reason: ValueGap, rows: number): void
}

export function createReaderMetrics(metrics: Metrics): ReaderMetrics {
  const gaps = metrics.counter({
    name: 'ml_feature_gaps_total',
    help: 'Rows of a view for which the online store (or a transform) gave no value, by reason: a default or the last known value was served.',
    labels: ['view', 'reason'],
  })
  const bound = new Map<string, Counter>()
  return {
    reads: metrics.counter({ name: 'ml_feature_reads_total', help: 'Readings of features, one per request.' }).with(),
    rows: metrics.counter({ name: 'ml_feature_rows_total', help: 'Rows that features were read for.' }).with(),
    seconds: metrics
      .histogram({
        name: 'ml_feature_read_seconds',
        help: 'Time to read, compute and fill in the features of a request.',
        buckets: LATENCY_BUCKETS,
      })
      .with(),
    storeErrors: metrics
      .counter({ name: 'ml_feature_store_errors_total', help: 'Readings that the online store refused.' })
      .with(),
    circuit: metrics
      .gauge({
        name: 'ml_feature_store_circuit',
        help: 'Circuit of the online feature store: 0 closed, 1 half-open, 2 open.',
        together: 'max',
      })
      .with(),
    gap(view, reason, rows) {
      const name = `${view} ${reason}`
      let counter = bound.get(name)
      if (counter === undefined) {
        counter = gaps.with(view, reason)
        bound.set(name, counter)
      }
      counter.inc(rows)
    },
  }
}
