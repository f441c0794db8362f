// A prediction's trace in sentences, in the order things happened.
import type { PredictionTrace, RecordedCall, StoredPrediction } from '../../log/index.js'

export function predictionSteps({ prediction, calls, outcomes }: PredictionTrace): string[] {
  return [
    ...(prediction ? requestSteps(prediction) : ['The record of the request is no longer in the log.']),
    ...calls.map(({ call, timeMs }) => `${time(timeMs)}: after the reply, ${callStep(call)}`),
    ...outcomes.map(
      ({ knownMs, name, value, prediction: of }) =>
        `${time(knownMs)}: the outcome "${name}" of ${of.includes('#') ? `row ${of.split('#')[1]}` : 'the prediction'} became known: ${JSON.stringify(value)}.`,
    ),
  ]
}

function requestSteps(prediction: StoredPrediction): string[] {
  const { timeMs, protocol, endpoint, rows, unit, flags, route, calls, stages, error } = prediction
  const totalMs = stages.admit + stages.features + stages.route + stages.shape
  const steps = [
    `${time(timeMs)}: ${rows === 1 ? 'one row' : `${rows} rows`} arrived for endpoint ${endpoint} over ${protocol}${unit === null ? '' : `, for unit "${unit}"`}.`,
  ]
  if (flags.includes('pinned')) steps.push('The call named its version, so the route was not asked.')
  for (const { node, arm, probability } of route)
    steps.push(`Node "${node}" of the route chose arm "${arm}", which it does with probability ${probability}.`)
  if (calls.length === 0) steps.push('No version was called.')
  for (const call of calls) {
    const text = callStep(call)
    steps.push(`${text[0]!.toUpperCase()}${text.slice(1)}`)
  }
  steps.push(
    error === null
      ? `Answered in ${ms(totalMs)}: admit ${ms(stages.admit)}, features ${ms(stages.features)}, route ${ms(stages.route)}, shape ${ms(stages.shape)}.`
      : `Refused with ${error} after ${ms(totalMs)}.`,
  )
  if (prediction.payload === null)
    steps.push(`Its inputs and outputs are not in the log any more (${prediction.payloadDropped}).`)
  else if (prediction.payload === undefined) steps.push('Its inputs and outputs were not sampled into the log.')
  return steps
}

function callStep({ model, version, role, status, latencyMs, queueMs, batchRows }: RecordedCall): string {
  const name = `${role} call of version ${version} of ${model}`
  if (status !== 'ok') return `${name} failed with ${status} after ${ms(latencyMs)}.`
  return `${name} took ${ms(latencyMs)}, of which ${ms(queueMs)} in its queue; its batch had ${batchRows === 1 ? 'one row' : `${batchRows} rows`}.`
}

function time(timeMs: number): string {
  return new Date(timeMs).toISOString()
}

function ms(value: number): string {
  return `${Number(value.toPrecision(3))} ms`
}
