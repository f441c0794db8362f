import { describe, expect, it } from 'vitest'
import { createMetrics, sumMetrics } from './metrics.js'

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

describe('sumMetrics', () => {
  it('makes one exposition of several processes: sums, or what a metric asks for, series by series', async () => {
    const snapshots = [1, 2].map((by) => {
      const metrics = createMetrics()
      const calls = metrics.counter({ name: 'c_total', help: 'A counter.', labels: ['code'] })
      calls.with('ok').inc(by)
      if (by === 2) calls.with('late').inc()
      metrics
        .gauge({ name: 'ready', help: 'A gauge.', together: 'min' })
        .with()
        .set(by - 1)
      metrics.gauge({ name: 'waiting', help: 'A gauge.' }).with().set(by)
      metrics
        .histogram({ name: 'h', help: 'A histogram.', buckets: [1] })
        .with()
        .observe(by)
      return metrics.snapshot()
    })
    const { text, snapshot } = await sumMetrics(await Promise.all(snapshots))
    expect(text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))).toEqual([
      'c_total{code="ok"} 3',
      'c_total{code="late"} 1',
      'ready 0',
      'waiting 3',
      'h_bucket{le="1"} 1',
      'h_bucket{le="+Inf"} 2',
      'h_sum 3',
      'h_count 2',
    ])
    // A sum can be added to: that is how the counts of processes that ended are kept.
    expect((await sumMetrics([snapshot, snapshot])).text).toContain('c_total{code="ok"} 6')
  })
})
