// Every metric by name.
import { CLASS_METRICS } from './class-metrics.js'
import type { Metric, MetricName } from './types.js'
import { VALUE_METRICS } from './value-metrics.js'

const BY_NAME = new Map<MetricName, Metric>([...CLASS_METRICS, ...VALUE_METRICS].map((metric) => [metric.name, metric]))

export function metricNamed(name: MetricName): Metric {
  return BY_NAME.get(name)!
}
