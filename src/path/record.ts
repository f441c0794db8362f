// Record: what happened goes to the log and the counters. It runs for every request, answered or not.
import type { Clock } from '../core/index.js'
import type { PredictionLog, PredictionRecord } from '../log/index.js'
import type { PathMetrics } from './metrics.js'
import type { Prediction } from './prediction.js'
import type { Stage } from './stage.js'

export interface RecordOptions {
  readonly clock: Clock
  readonly log: PredictionLog
  readonly metrics: PathMetrics
}

export function recordStage({ clock, log, metrics }: RecordOptions): Stage {
  return {
    name: 'record',
    run(prediction) {
      const totalMs = clock.monotonicMs() - prediction.arrivedMs
      metrics.observe(prediction, totalMs)
      const position = log.append(toRecord(prediction, clock.nowMs() - totalMs))
      const mustWait = prediction.endpoint.ack === 'before-reply' && !prediction.error
      return mustWait ? log.whenDurable(position) : undefined
    },
  }
}

const PINNED: readonly string[] = ['pinned']
const NO_FLAGS: readonly string[] = []

export function flagsOf(prediction: Prediction): readonly string[] {
  return prediction.pinned ? PINNED : NO_FLAGS
}

function toRecord(prediction: Prediction, timeMs: number): PredictionRecord {
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
    flags: flagsOf(prediction),
    stages: {
      admit: prediction.admitMs,
      features: prediction.featuresMs,
      route: prediction.routeMs,
      shape: prediction.shapeMs,
    },
    cost: null,
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
                // The call that answered is the last one that succeeded.
                call: prediction.calls.findLastIndex((call) => call.status === 'ok'),
                tensors: answer,
                ...(prediction.rawOutputs === undefined ? undefined : { raw: prediction.rawOutputs }),
              },
            ],
    },
  }
}
