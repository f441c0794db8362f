import { describe, expect, it } from 'vitest'
import { createMetrics, type ModelName, sumMetrics } from '../core/index.js'
import { createStatisticsBook } from './statistics.js'
import { addTritonMetrics } from './triton-metrics.js'

const ref = { model: 'fraud' as ModelName, version: 2 }

function setUp() {
  const metrics = createMetrics()
  const book = createStatisticsBook()
  addTritonMetrics(metrics, book.list)
  return { metrics, statistics: book.open(ref) }
}

describe("Triton's metrics", () => {
  it('say what the statistics say, in microseconds', async () => {
    const { metrics, statistics } = setUp()
    statistics.succeeded(0.5, 2)
    statistics.ran(3, 1, 0.25, 1, 0.125, 10)
    statistics.hit(0.01)
    statistics.cacheMiss.add(1, 0.02)
    statistics.failed('SERVING_QUEUE_FULL', 1)
    statistics.failed('SERVING_CANCELLED', 1)
    statistics.failed('ONNX_RUN_FAILED', 1)
    statistics.failed('TENSOR_SHAPE_MISMATCH', 1)
    statistics.loadMs = 1500
    statistics.queues.add({ length: 7 })
    const text = await metrics.expose()
    const labels = '{model="fraud",version="2"}'
    for (const line of [
      `nv_inference_request_success${labels} 2`,
      `nv_inference_count${labels} 3`,
      `nv_inference_exec_count${labels} 1`,
      `nv_inference_request_duration_us${labels} 2135`,
      `nv_inference_queue_duration_us${labels} 500`,
      `nv_inference_compute_input_duration_us${labels} 250`,
      `nv_inference_compute_infer_duration_us${labels} 1000`,
      `nv_inference_compute_output_duration_us${labels} 125`,
      `nv_cache_num_hits_per_model${labels} 1`,
      `nv_cache_num_misses_per_model${labels} 1`,
      `nv_cache_hit_duration_per_model${labels} 10`,
      `nv_cache_miss_duration_per_model${labels} 20`,
      `nv_inference_pending_request_count${labels} 7`,
      `nv_model_load_duration_secs${labels} 1.5`,
      ...['REJECTED', 'CANCELED', 'BACKEND', 'OTHER'].map(
        (reason) => `nv_inference_request_failure{model="fraud",version="2",reason="${reason}"} 1`,
      ),
    ])
      expect(text.split('\n')).toContain(line)
  })

  it('of several processes are summed, but for how long the longest load took', async () => {
    const [first, second] = [setUp(), setUp()]
    first.statistics.succeeded(0, 1)
    second.statistics.succeeded(0, 1)
    first.statistics.loadMs = 1000
    second.statistics.loadMs = 3000
    const { text } = await sumMetrics([await first.metrics.snapshot(), await second.metrics.snapshot()])
    expect(text).toContain('nv_inference_request_success{model="fraud",version="2"} 2')
    expect(text).toContain('nv_model_load_duration_secs{model="fraud",version="2"} 3')
  })
})
