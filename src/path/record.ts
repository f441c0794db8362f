// Record: what happened goes to the log and the counters. It runs for every request, answered or not.
import type { Clock } from '../core/index.js'
import type { PredictionLog, PredictionRecord } from '../log/index.js'
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

/** What the caller is told about the answer: `pinned`, `cached`, `stale`, `fallback`. */
export function flagsOf(prediction: Prediction): readonly string[] {
  return prediction.flags
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
    payload: {
      inputs: prediction.tensors,
      ...(prediction.rawInputs === undefined ? undefined : { rawInputs: prediction.rawInputs }),
      ...(features === undefined ? undefined : { features }),
      outputs:
        answer === undefined
          ? []
          : [
              {
                call: prediction.answerCall,
                tensors: answer,
                ...(prediction.rawOutputs === undefined ? undefined : { raw: prediction.rawOutputs }),
              },
            ],
    },
  }
}

/** Nearly every answer is that of the last call that was well, which the record need not say. */
function answersLast({ calls, answerCall }: Prediction): boolean {
  return calls.length === 1 ? answerCall === 0 : answerCall === calls.findLastIndex(({ status }) => status === 'ok')
}
