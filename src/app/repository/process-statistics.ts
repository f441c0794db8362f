// What one process counted, as Triton's clients read it.
import { type Platform, versionKey } from '../../core/index.js'
import type { Pool, Timing, VersionRecord, VersionStatistics } from '../../serving/index.js'
import { byVersion } from './sum-statistics.js'
import type { Duration, ModelStatistics } from './types.js'

/** What this process alone counted, by model and version. */
export function processStatistics({
  pool,
  platform: { clock },
}: {
  readonly pool: Pool
  readonly platform: Platform
}): ModelStatistics[] {
  const elapsedMs = clock.nowMs() - clock.monotonicMs()
  const bytes = new Map(pool.memory().versions.map(({ ref, usedBytes }) => [versionKey(ref), usedBytes]))
  return pool
    .allStatistics()
    .map((record) => view(record, elapsedMs, memoryUsage(bytes.get(versionKey(record.ref)) ?? 0)))
    .sort(byVersion)
}

/** What a version takes of its pool's budget; what it takes on a GPU is not known. */
function memoryUsage(byte_size: number): ModelStatistics['memory_usage'] {
  return byte_size === 0 ? [] : [{ type: 'CPU', id: 0, byte_size }]
}

function view(
  { ref, statistics }: VersionRecord,
  elapsedMs: number,
  memory: ModelStatistics['memory_usage'],
): ModelStatistics {
  const { lastInferenceMs } = statistics
  return {
    name: ref.model,
    version: String(ref.version),
    last_inference: lastInferenceMs === undefined ? 0 : Math.round(lastInferenceMs + elapsedMs),
    inference_count: statistics.rows,
    execution_count: statistics.executions,
    inference_stats: {
      success: duration(statistics.success),
      fail: duration(statistics.fail),
      queue: duration(statistics.queue),
      compute_input: duration(statistics.computeInput),
      compute_infer: duration(statistics.computeInfer),
      compute_output: duration(statistics.computeOutput),
      cache_hit: duration(statistics.cacheHit),
      cache_miss: duration(statistics.cacheMiss),
    },
    batch_stats: batches(statistics),
    memory_usage: memory,
    response_stats: {},
  }
}

function batches({ batches }: VersionStatistics): ModelStatistics['batch_stats'] {
  return [...batches]
    .sort(([a], [b]) => a - b)
    .map(([batch_size, { computeInput, computeInfer, computeOutput }]) => ({
      batch_size,
      compute_input: duration(computeInput),
      compute_infer: duration(computeInfer),
      compute_output: duration(computeOutput),
    }))
}

function duration({ count, ns }: Timing): Duration {
  return { count, ns: Math.round(ns) }
}
