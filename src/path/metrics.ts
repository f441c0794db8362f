// The path's metrics, bound once per series and flushed once per request by the record stage.
import { type Counter, type Histogram, LATENCY_BUCKETS, type Metrics } from '../core/index.js'
import type { ServedVersion } from '../serving/index.js'
import type { Prediction } from './prediction.js'

export interface PathMetrics {
  observe(prediction: Prediction, totalMs: number): void
  countError(code: string): void
}

const STAGES = ['admit', 'features', 'route', 'shape'] as const

interface EndpointSeries {
  readonly request: Histogram
  readonly stages: readonly Histogram[]
  /** Answered predictions by the version that answered: looked up by the object, without making a key. */
  readonly answered: WeakMap<ServedVersion, Counter>
}

export function createPathMetrics(metrics: Metrics): PathMetrics {
  const predictions = metrics.counter({
    name: 'ml_predictions_total',
    help: 'Predictions by the version that answered; status is ok or error.',
    labels: ['endpoint', 'model', 'version', 'status'],
  })
  const request = metrics.histogram({
    name: 'ml_request_seconds',
    help: 'Whole request inside the server, from its first byte to the reply being ready.',
    labels: ['endpoint'],
    buckets: LATENCY_BUCKETS,
  })
  const stage = metrics.histogram({
    name: 'ml_stage_seconds',
    help: 'Time in each stage of the request path.',
    labels: ['endpoint', 'stage'],
    buckets: LATENCY_BUCKETS,
  })
  const errors = metrics.counter({
    name: 'ml_errors_total',
    help: 'Errors answered, by code.',
    labels: ['code'],
  })
  const refused = metrics
    .histogram({
      name: 'ml_refusal_seconds',
      help: 'Requests refused for want of room (429): from their first byte to the reply being ready.',
      buckets: LATENCY_BUCKETS,
    })
    .with()
  const byEndpoint = new Map<string, EndpointSeries>()

  function series(endpoint: string): EndpointSeries {
    let found = byEndpoint.get(endpoint)
    if (!found) {
      found = {
        request: request.with(endpoint),
        stages: STAGES.map((name) => stage.with(endpoint, name)),
        answered: new WeakMap(),
      }
      byEndpoint.set(endpoint, found)
    }
    return found
  }

  return {
    countError: (code) => errors.with(code).inc(),
    observe(prediction, totalMs) {
      const { name } = prediction.endpoint
      const bound = series(name)
      bound.request.observe(totalMs / 1000)
      bound.stages[0]!.observe(prediction.admitMs / 1000)
      bound.stages[1]!.observe(prediction.featuresMs / 1000)
      bound.stages[2]!.observe(prediction.routeMs / 1000)
      bound.stages[3]!.observe(prediction.shapeMs / 1000)
      const { error, served } = prediction
      if (error) {
        errors.with(error.code).inc()
        if (error.status === 429) refused.observe(totalMs / 1000)
        // The last call tells which version failed.
        const call = prediction.calls.at(-1)
        predictions.with(name, call?.model ?? '', call ? String(call.version) : '', 'error').inc()
        return
      }
      let counter = bound.answered.get(served!)
      if (!counter) {
        counter = predictions.with(name, served!.ref.model, String(served!.ref.version), 'ok')
        bound.answered.set(served!, counter)
      }
      counter.inc()
    },
  }
}
