// What is counted of streams, and how fresh views are.
import type { Platform } from '../../core/index.js'

export type EventResult = 'accepted' | 'late' | 'duplicate' | 'refused'

export interface StreamMetrics {
  count(source: string, result: EventResult, events: number): void
  /** The newest event of a view, by its event time. */
  saw(view: string, eventMs: number): void
  /** Events that a table has not taken in yet. */
  lag(table: string, events: number): void
  forget(table: string): void
  newestEventMs(view: string): number | undefined
}

export function createStreamMetrics({ metrics, clock }: Platform): StreamMetrics {
  const newest = new Map<string, number>()
  const lags = new Map<string, number>()
  const events = metrics.counter({
    name: 'ml_feature_events_total',
    help: 'Events of stream sources that arrived, by what became of them: accepted, late, duplicate, refused.',
    labels: ['source', 'result'],
  })
  metrics.computed(
    {
      name: 'ml_feature_freshness_seconds',
      help: 'Age of the newest event or row that a view has, by event time.',
      labels: ['view'],
      type: 'gauge',
      together: 'min',
    },
    () => [...newest].map(([view, eventMs]) => ({ labels: [view], value: (clock.nowMs() - eventMs) / 1000 })),
  )
  metrics.computed(
    {
      name: 'ml_feature_lag_events',
      help: 'Events of the stream that a generation of a view has not taken in yet.',
      labels: ['table'],
      type: 'gauge',
    },
    () => [...lags].map(([table, value]) => ({ labels: [table], value })),
  )
  return {
    count(source, result, by) {
      if (by > 0) events.with(source, result).inc(by)
    },
    saw(view, eventMs) {
      const before = newest.get(view)
      if (before === undefined || eventMs > before) newest.set(view, eventMs)
    },
    lag: (table, value) => void lags.set(table, value),
    forget: (table) => void lags.delete(table),
    newestEventMs: (view) => newest.get(view),
  }
}
