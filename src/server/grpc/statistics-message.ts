// Statistics as the message that perf_analyzer reads.
import type { ModelStatistics as View } from '../../app/index.js'
import type { ModelStatistics } from '../../oip/index.js'

type Duration = View['inference_stats']['success']

export function statisticsMessage(view: View): ModelStatistics {
  const { inference_stats: stats } = view
  return {
    name: view.name,
    version: view.version,
    lastInference: BigInt(view.last_inference),
    inferenceCount: BigInt(view.inference_count),
    executionCount: BigInt(view.execution_count),
    inferenceStats: {
      success: duration(stats.success),
      fail: duration(stats.fail),
      queue: duration(stats.queue),
      computeInput: duration(stats.compute_input),
      computeInfer: duration(stats.compute_infer),
      computeOutput: duration(stats.compute_output),
      cacheHit: duration(stats.cache_hit),
      cacheMiss: duration(stats.cache_miss),
    },
    batchStats: view.batch_stats.map((batch) => ({
      batchSize: BigInt(batch.batch_size),
      computeInput: duration(batch.compute_input),
      computeInfer: duration(batch.compute_infer),
      computeOutput: duration(batch.compute_output),
    })),
    memoryUsage: view.memory_usage.map(({ type, id, byte_size }) => ({
      type,
      id: BigInt(id),
      byteSize: BigInt(byte_size),
    })),
    responseStats: new Map(),
  }
}

function duration({ count, ns }: Duration) {
  return { count: BigInt(count), ns: BigInt(ns) }
}
