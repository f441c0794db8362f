// Metrics under Triton's names, for dashboards and autoscalers that know those. Computed when somebody asks, so they cost requests nothing.
import type { Metrics } from '../core/index.js'
import type { FailureReason, VersionRecord, VersionStatistics } from './statistics.js'

type Read = (statistics: VersionStatistics) => number | undefined

const us = (ns: number): number => Math.round(ns / 1000)

const COUNTERS: readonly [name: string, help: string, read: Read][] = [
  ['nv_inference_request_success', 'Requests that were answered.', ({ success }) => success.count],
  ['nv_inference_count', 'Rows that ran.', ({ rows }) => rows],
  ['nv_inference_exec_count', 'Runs.', ({ executions }) => executions],
  [
    'nv_inference_request_duration_us',
    'Microseconds that answered requests took, those from the cache among them.',
    ({ success }) => us(success.ns),
  ],
  ['nv_inference_queue_duration_us', 'Microseconds that requests waited.', ({ queue }) => us(queue.ns)],
  [
    'nv_inference_compute_input_duration_us',
    'Microseconds that joining the inputs of requests took.',
    ({ computeInput }) => us(computeInput.ns),
  ],
  [
    'nv_inference_compute_infer_duration_us',
    'Microseconds that the runs of requests took.',
    ({ computeInfer }) => us(computeInfer.ns),
  ],
  [
    'nv_inference_compute_output_duration_us',
    'Microseconds that cutting the outputs of requests took.',
    ({ computeOutput }) => us(computeOutput.ns),
  ],
  ['nv_cache_num_hits_per_model', 'Requests answered without a run of their own.', ({ cacheHit }) => cacheHit.count],
  ['nv_cache_num_misses_per_model', 'Requests looked up in vain.', ({ cacheMiss }) => cacheMiss.count],
  ['nv_cache_hit_duration_per_model', 'Microseconds that hits took.', ({ cacheHit }) => us(cacheHit.ns)],
  ['nv_cache_miss_duration_per_model', 'Microseconds that look-ups in vain took.', ({ cacheMiss }) => us(cacheMiss.ns)],
]

const REASONS: readonly FailureReason[] = ['rejected', 'canceled', 'backend', 'other']
const LABELS = ['model', 'version'] as const

/** Adds Triton's metrics of models. There are none of GPUs: what they do is not known here. */
export function addTritonMetrics(metrics: Metrics, all: () => readonly VersionRecord[]): void {
  const perVersion = (read: Read) => () =>
    all().flatMap(({ ref, statistics }) => {
      const value = read(statistics)
      return value === undefined ? [] : [{ labels: [ref.model, String(ref.version)], value }]
    })
  for (const [name, help, read] of COUNTERS)
    metrics.computed({ name, help, labels: LABELS, type: 'counter' }, perVersion(read))
  metrics.computed(
    {
      name: 'nv_inference_request_failure',
      help: 'Requests that were not answered: REJECTED, CANCELED, BACKEND or OTHER.',
      labels: [...LABELS, 'reason'],
      type: 'counter',
    },
    () =>
      all().flatMap(({ ref, statistics }) =>
        REASONS.map((reason) => ({
          labels: [ref.model, String(ref.version), reason.toUpperCase()],
          value: statistics.failures[reason],
        })),
      ),
  )
  metrics.computed(
    {
      name: 'nv_inference_pending_request_count',
      help: 'Requests that wait for a run.',
      labels: LABELS,
      type: 'gauge',
    },
    perVersion(({ pending }) => pending),
  )
  metrics.computed(
    {
      name: 'nv_model_load_duration_secs',
      help: 'Seconds that the last load took, with its test predictions.',
      labels: LABELS,
      type: 'gauge',
      together: 'max',
    },
    perVersion(({ loadMs }) => (loadMs === undefined ? undefined : loadMs / 1000)),
  )
}
