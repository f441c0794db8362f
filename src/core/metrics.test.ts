import { describe, expect, it } from 'vitest'
import { createMetrics } from './metrics.js'

describe('createMetrics', () => {
  it('exposes counters, gauges and cumulative histograms in the Prometheus text format', async () => {
    const metrics = createMetrics()
    metrics
      .counter({ name: 'c_total', help: 'A counter.', labels: ['code'] })
      .with('X')
      .inc(3)
    metrics.gauge({ name: 'g', help: 'A gauge.' }).with().set(1.5)
    const latency = metrics
      .histogram({ name: 'h_seconds', help: 'A histogram.', labels: ['model'], buckets: [0.1, 1] })
      .with('m')
    for (const value of [0.05, 0.1, 0.5, 7]) latency.observe(value)
    expect((await metrics.expose()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))).toEqual([
      'c_total{code="X"} 3',
      'g 1.5',
      'h_seconds_bucket{le="0.1",model="m"} 2',
      'h_seconds_bucket{le="1",model="m"} 3',
      'h_seconds_bucket{le="+Inf",model="m"} 4',
      'h_seconds_sum{model="m"} 7.65',
      'h_seconds_count{model="m"} 4',
    ])
  })

  it('gives the same series for the same labels and forgets a removed one', async () => {
    const metrics = createMetrics()
    const family = metrics.counter({ name: 'c_total', help: 'A counter.', labels: ['a', 'b'] })
    expect(family.with('1', '2')).toBe(family.with('1', '2'))
    family.with('1', '2').inc()
    family.remove('1', '2')
    expect(await metrics.expose()).not.toContain('a="1"')
  })

  it('adds the process metrics of Node when asked', async () => {
    expect(await createMetrics({ withProcessMetrics: true }).expose()).toContain('nodejs_eventloop_lag_seconds')
  })
})
