// Record: what happened goes to the log and the counters. It runs for every request, answered or not.
import type { Clock } from '../core/index.js'
import type { Payload, PredictionLog, PredictionRecord } from '../log/index.js'
import { costOfAll } from './cost.js'
import type { PathMetrics } from './metrics.js'
import type { Prediction } from './prediction.js'
import type { RouteMetrics } from './route-metrics.js'
import type { Stage } from './stage.js'

export interface RecordOptions {
  readonly clock: Clock
  readonly log: PredictionLog
  readonly metrics: PathMetrics
  readonly routes: RouteMetrics
}

export function recordStage({ clock, log, metrics, routes }: RecordOptions): Stage {
  return {
    name: 'record',
    run(prediction) {
      const totalMs = clock.monotonicMs() - prediction.arrivedMs
      metrics.observe(prediction, totalMs)
      const cost = costOfAll(prediction)
      if (cost) routes.cost(prediction.endpoint.name, cost)
      const position = log.append(toRecord(prediction, clock.nowMs() - totalMs, cost))
      prediction.isRecorded = true
      const mustWait = prediction.endpoint.ack === 'before-reply' && !prediction.error
      return mustWait ? log.whenDurable(position) : undefined
    },
  }
}

function toRecord(prediction: Prediction, timeMs: number, cost: number | null): PredictionRecord {
  const { served, answer } = prediction
  const features = (served ?? prediction.pinned)?.manifest.features
  return {
    kind: 'prediction',
    id: prediction.id,
    timeMs: Math.round(timeMs),
    endpoint: prediction.endpoint.name,
    tenant: prediction.tenant,
    unit: prediction.unit ?? null,
    rows: prediction.rows,
    protocol: prediction.protocol,
    route: prediction.choices,
    calls: prediction.calls,
    answeredBy: answer === undefined || answersLast(prediction) ? undefined : prediction.answerCall,
    flags: prediction.flags,
    stages: {
      admit: prediction.admitMs,
      features: prediction.featuresMs,
      route: prediction.routeMs,
      shape: prediction.shapeMs,
    },
    cost,
    traceId: prediction.traceId ?? null,
    error: prediction.error?.code ?? null,
    payload: payloadOf(prediction, features),
  }
}

const NO_OUTPUTS: Payload['outputs'] = []

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** Filled in piece by piece: spreading the members that may be absent costs more than all of the others. */
function payloadOf(prediction: Prediction, features: readonly string[] | undefined): Payload {
  const { answer, rawInputs, rawOutputs } = prediction
  const payload: Mutable<Payload> = { inputs: prediction.tensors, outputs: NO_OUTPUTS }
  if (rawInputs !== undefined) payload.rawInputs = rawInputs
  if (features !== undefined) payload.features = features
  const { servedFeatures, firstRow, rows } = prediction
  if (servedFeatures !== undefined) payload.served = { columns: servedFeatures, first: firstRow, rows }
  if (answer === undefined) return payload
  const output: Mutable<Payload['outputs'][number]> = { call: prediction.answerCall, tensors: answer }
  if (rawOutputs !== undefined) output.raw = rawOutputs
  payload.outputs = [output]
  return payload
}

/** Nearly every answer is that of the last call that was well, which the record need not say. */
function answersLast({ calls, answerCall }: Prediction): boolean {
  return calls.length === 1 ? answerCall === 0 : answerCall === calls.findLastIndex(({ status }) => status === 'ok')
}
