// The statistics of several processes as one server's.
import type { Duration, ModelStatistics } from './types.js'

/** The counts of several processes as one server's. */
export function sumStatistics(processes: readonly (readonly ModelStatistics[])[]): ModelStatistics[] {
  const sums = new Map<string, ModelStatistics>()
  for (const statistics of processes.flat()) {
    const key = `${statistics.name}/${statistics.version}`
    const sum = sums.get(key)
    sums.set(key, sum === undefined ? statistics : add(sum, statistics))
  }
  return [...sums.values()].sort(byVersion)
}

function add(a: ModelStatistics, b: ModelStatistics): ModelStatistics {
  const [x, y] = [a.inference_stats, b.inference_stats]
  return {
    ...a,
    last_inference: Math.max(a.last_inference, b.last_inference),
    inference_count: a.inference_count + b.inference_count,
    execution_count: a.execution_count + b.execution_count,
    inference_stats: {
      success: both(x.success, y.success),
      fail: both(x.fail, y.fail),
      queue: both(x.queue, y.queue),
      compute_input: both(x.compute_input, y.compute_input),
      compute_infer: both(x.compute_infer, y.compute_infer),
      compute_output: both(x.compute_output, y.compute_output),
      cache_hit: both(x.cache_hit, y.cache_hit),
      cache_miss: both(x.cache_miss, y.cache_miss),
    },
    batch_stats: addBatches(a.batch_stats, b.batch_stats),
    memory_usage: addMemory(a.memory_usage, b.memory_usage),
  }
}

function both(a: Duration, b: Duration): Duration {
  return { count: a.count + b.count, ns: a.ns + b.ns }
}

function addBatches(
  a: ModelStatistics['batch_stats'],
  b: ModelStatistics['batch_stats'],
): ModelStatistics['batch_stats'] {
  const sums = new Map(a.map((batch) => [batch.batch_size, batch]))
  for (const batch of b) {
    const sum = sums.get(batch.batch_size)
    if (sum === undefined) sums.set(batch.batch_size, batch)
    else
      sums.set(batch.batch_size, {
        batch_size: batch.batch_size,
        compute_input: both(sum.compute_input, batch.compute_input),
        compute_infer: both(sum.compute_infer, batch.compute_infer),
        compute_output: both(sum.compute_output, batch.compute_output),
      })
  }
  return [...sums.values()].sort((x, y) => x.batch_size - y.batch_size)
}

function addMemory(
  a: ModelStatistics['memory_usage'],
  b: ModelStatistics['memory_usage'],
): ModelStatistics['memory_usage'] {
  const sums = new Map(a.map((usage) => [`${usage.type} ${usage.id}`, usage]))
  for (const usage of b) {
    const key = `${usage.type} ${usage.id}`
    const sum = sums.get(key)
    sums.set(key, sum === undefined ? usage : { ...usage, byte_size: sum.byte_size + usage.byte_size })
  }
  return [...sums.values()]
}

export function byVersion(a: ModelStatistics, b: ModelStatistics): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : Number(a.version) - Number(b.version)
}
