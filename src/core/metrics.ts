// Metric handles for the hot path. prom-client's own histogram costs over a microsecond an observation because it hashes
// labels each time; these handles bind their labels once and prom-client only collects and prints them.
import { AggregatorRegistry, collectDefaultMetrics, Registry as PromRegistry } from 'prom-client'

export interface Counter {
  inc(by?: number): void
}
export interface Gauge {
  set(value: number): void
}
export interface Histogram {
  observe(value: number): void
}

/** A metric with label names; `with` binds values once, outside the hot path. Labels must have few distinct values. */
export interface Family<H> {
  with(...labelValues: string[]): H
  /** Forgets a bound series, for example when a version is unloaded. */
  remove(...labelValues: string[]): void
}

export interface MetricOptions {
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[]
  /** What one server says of several processes; default their sum. */
  readonly together?: 'sum' | 'min' | 'max' | 'average'
}

export interface ComputedSample {
  /** Values in the order of the metric's labels. */
  readonly labels: readonly string[]
  readonly value: number
}

/** Every series of one process as plain data, for `sumMetrics`. */
export type MetricsSnapshot = readonly { readonly name: string; readonly type: string }[]

export interface Metrics {
  counter(options: MetricOptions): Family<Counter>
  gauge(options: MetricOptions): Family<Gauge>
  /** `buckets` are upper bounds in the unit of the name, ascending. */
  histogram(options: MetricOptions & { readonly buckets: readonly number[] }): Family<Histogram>
  /** A metric that costs nothing until it is asked for: `read` gives its series then. */
  computed(options: MetricOptions & { readonly type: 'counter' | 'gauge' }, read: () => readonly ComputedSample[]): void
  /** The Prometheus text exposition, format 0.0.4. */
  expose(): Promise<string>
  snapshot(): Promise<MetricsSnapshot>
  readonly contentType: string
}

/** Seconds from 50 µs to 10 s. */
export const LATENCY_BUCKETS: readonly number[] = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]

interface Sample {
  value: number
  labels: Record<string, string | number>
  metricName?: string
}

class Series {
  value = 0
  inc(by = 1): void {
    this.value += by
  }
  set(value: number): void {
    this.value = value
  }
}

class HistogramSeries implements Histogram {
  readonly counts: Float64Array
  sum = 0
  constructor(readonly buckets: readonly number[]) {
    this.counts = new Float64Array(buckets.length + 1)
  }
  observe(value: number): void {
    const { buckets } = this
    let i = 0
    while (i < buckets.length && value > buckets[i]!) i++
    this.counts[i]!++
    this.sum += value
  }
}

/** One metrics registry per server; `withProcessMetrics` adds Node's own (event loop, memory, CPU, file descriptors). */
export function createMetrics(options: { withProcessMetrics?: boolean } = {}): Metrics {
  const registry = new PromRegistry()
  if (options.withProcessMetrics) collectDefaultMetrics({ register: registry })

  // prom-client prints anything with `get`; its types only name its own classes.
  const register = (collector: object) =>
    registry.registerMetric(collector as Parameters<typeof registry.registerMetric>[0])

  function family<H>(
    metric: MetricOptions,
    type: 'counter' | 'gauge' | 'histogram',
    create: () => H,
    samples: (series: H, labels: Record<string, string>) => Sample[],
  ): Family<H> {
    const { labels: names = [], together = 'sum' } = metric
    const bound = new Map<string, { labels: Record<string, string>; series: H }>()
    const collector = {
      name: metric.name,
      help: metric.help,
      type,
      aggregator: together,
      reset: () => bound.clear(),
      get: async () => ({
        name: metric.name,
        help: metric.help,
        type,
        aggregator: together,
        values: [...bound.values()].flatMap(({ labels, series }) => samples(series, labels)),
      }),
    }
    register(collector)
    return {
      with(...values) {
        const key = values.join('\u0000')
        let entry = bound.get(key)
        if (!entry) {
          const labels = labelled(names, values)
          entry = { labels, series: create() }
          bound.set(key, entry)
        }
        return entry.series
      },
      remove: (...values) => {
        bound.delete(values.join('\u0000'))
      },
    }
  }

  const scalar = (series: Series, labels: Record<string, string>): Sample[] => [{ value: series.value, labels }]
  return {
    contentType: registry.contentType,
    expose: () => registry.metrics(),
    snapshot: async () => (await registry.getMetricsAsJSON()) as unknown as MetricsSnapshot,
    counter: (metric) => family(metric, 'counter', () => new Series(), scalar),
    gauge: (metric) => family(metric, 'gauge', () => new Series(), scalar),
    computed({ name, help, labels: names = [], type, together = 'sum' }, read) {
      register({
        name,
        help,
        type,
        aggregator: together,
        reset: () => undefined,
        get: async () => ({
          name,
          help,
          type,
          aggregator: together,
          values: read().map(({ labels, value }) => ({ value, labels: labelled(names, labels) })),
        }),
      })
    },
    histogram: (metric) =>
      family(
        metric,
        'histogram',
        () => new HistogramSeries(metric.buckets),
        (series, labels) => {
          let cumulative = 0
          const rows: Sample[] = []
          for (let i = 0; i <= metric.buckets.length; i++) {
            cumulative += series.counts[i]!
            const le = i === metric.buckets.length ? '+Inf' : metric.buckets[i]!
            rows.push({ metricName: `${metric.name}_bucket`, value: cumulative, labels: { le, ...labels } })
          }
          rows.push({ metricName: `${metric.name}_sum`, value: series.sum, labels })
          rows.push({ metricName: `${metric.name}_count`, value: cumulative, labels })
          return rows
        },
      ),
  }
}

function labelled(names: readonly string[], values: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name, i) => [name, values[i] ?? '']))
}

/** The snapshots of several processes as one server's exposition, and as a snapshot again. */
export async function sumMetrics(
  snapshots: readonly MetricsSnapshot[],
): Promise<{ readonly text: string; readonly snapshot: MetricsSnapshot }> {
  const sum = AggregatorRegistry.aggregate(snapshots as unknown as object[])
  return { text: await sum.metrics(), snapshot: (await sum.getMetricsAsJSON()) as unknown as MetricsSnapshot }
}
