// The cache's metrics.
import type { Counter, Family, Gauge, Histogram, Metrics } from '../../core/index.js'

export interface CacheMetrics {
  /** By endpoint and result: hit, refresh, coalesced, miss, bypass. */
  readonly requests: Family<Counter>
  readonly bytes: Gauge
  readonly lastKnownBytes: Gauge
  readonly evictions: Counter
}

export function createCacheMetrics(metrics: Metrics): CacheMetrics {
  const bytes = metrics.gauge({
    name: 'ml_cache_bytes',
    help: 'Memory held by cached answers (answers) and by the last known ones (last-known); what both hold counts in both.',
    labels: ['kept'],
  })
  return {
    requests: metrics.counter({
      name: 'ml_cache_requests_total',
      help: 'Requests of endpoints with a cache: hit, refresh (a hit that also renews its answer), coalesced (answered by an identical request), miss, bypass (not asked).',
      labels: ['endpoint', 'result'],
    }),
    bytes: bytes.with('answers'),
    lastKnownBytes: bytes.with('last-known'),
    evictions: metrics
      .counter({ name: 'ml_cache_evictions_total', help: 'Answers dropped to make room; not those that expired.' })
      .with(),
  }
}

export interface SharedTierMetrics {
  readonly lookup: Histogram
  readonly store: Histogram
  readonly errors: Counter
  /** 0 closed, 1 half-open, 2 open. */
  readonly breaker: Gauge
}

const BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1]

export function createSharedTierMetrics(metrics: Metrics, tier: string): SharedTierMetrics {
  const seconds = metrics.histogram({
    name: 'ml_cache_shared_seconds',
    help: 'Time of lookups and stores in the shared tier of the cache, those that failed included.',
    labels: ['tier', 'operation'],
    buckets: BUCKETS,
  })
  return {
    lookup: seconds.with(tier, 'lookup'),
    store: seconds.with(tier, 'store'),
    errors: metrics
      .counter({
        name: 'ml_cache_shared_errors_total',
        help: 'Lookups and stores in the shared tier that failed or took too long.',
        labels: ['tier'],
      })
      .with(tier),
    breaker: metrics
      .gauge({
        name: 'ml_cache_shared_breaker',
        help: 'Circuit of the shared tier: 0 closed, 1 half-open, 2 open, which is to say bypassed.',
        labels: ['tier'],
        together: 'max',
      })
      .with(tier),
  }
}
