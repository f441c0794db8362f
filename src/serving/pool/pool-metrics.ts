// What the pool as a whole does with its memory.
import type { Metrics } from '../../core/index.js'
import { LOAD_REASONS, type LoadReason } from './loads.js'

/**
 * `idle`: nobody called it for `idleMs`. `pressure`: another version needed its place. `surplus`: versions turned out larger than was
 * thought. `memory`: the process itself took more than the budget.
 */
export type EvictionReason = (typeof EVICTION_REASONS)[number]

const EVICTION_REASONS = ['idle', 'pressure', 'surplus', 'memory'] as const

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

export type PoolMetrics = ReturnType<typeof createPoolMetrics>

export function createPoolMetrics(metrics: Metrics) {
  const loads = metrics.counter({
    name: 'ml_pool_loads_total',
    help: 'Loads of versions by why: preload, call, new, asked or restart.',
    labels: ['reason'],
  })
  const evictions = metrics.counter({
    name: 'ml_pool_evictions_total',
    help: 'Versions that were unloaded until somebody asks for them, by why: idle, pressure, surplus or memory.',
    labels: ['reason'],
  })
  return {
    budgetBytes: metrics
      .gauge({ name: 'ml_pool_budget_bytes', help: 'Memory that loaded versions may use together.' })
      .with(),
    usedBytes: metrics
      .gauge({ name: 'ml_pool_used_bytes', help: 'Memory that loaded versions use, as measured or estimated.' })
      .with(),
    loadSeconds: metrics
      .histogram({
        name: 'ml_pool_load_seconds',
        help: 'Time that a version took to load and to answer its test predictions.',
        buckets: SECONDS,
      })
      .with(),
    waitSeconds: metrics
      .histogram({
        name: 'ml_pool_wait_seconds',
        help: 'Time that a load waited for room and for its turn before it began.',
        buckets: SECONDS,
      })
      .with(),
    loads: bound(LOAD_REASONS, (reason: LoadReason) => loads.with(reason)),
    evictions: bound(EVICTION_REASONS, (reason: EvictionReason) => evictions.with(reason)),
  }
}

function bound<K extends string, H>(keys: readonly K[], bind: (key: K) => H): Readonly<Record<K, H>> {
  return Object.fromEntries(keys.map((key) => [key, bind(key)])) as Record<K, H>
}
