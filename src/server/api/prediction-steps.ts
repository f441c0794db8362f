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
  const { timeMs, protocol, endpoint, rows, unit, flags, route, calls, stages, error, cost } = prediction
  const totalMs = stages.admit + stages.features + stages.route + stages.shape
  const steps = [
    `${time(timeMs)}: ${rows === 1 ? 'one row' : `${rows} rows`} arrived for endpoint ${endpoint} over ${protocol}${unit === null ? '' : `, for unit "${unit}"`}.`,
  ]
  if (flags.includes('pinned')) steps.push('The call named its version, so the route was not asked.')
  for (const { node, arm, probability } of route)
    steps.push(
      `Node "${node}" of the route chose arm "${arm}", which it does with probability ${Number(probability.toPrecision(6))}.`,
    )
  if (calls.length === 0) steps.push('No version was called.')
  const answering = answeringCall(prediction)
  for (const [i, call] of calls.entries()) {
    const text = callStep(call)
    const answered = i === answering && calls.length > 1 ? ' Its answer was given.' : ''
    steps.push(`${text[0]!.toUpperCase()}${text.slice(1)}${answered}`)
  }
  if (prediction.answeredBy === -1) steps.push('The answer was combined from the calls that were well.')
  steps.push(...flags.flatMap((flag) => FLAG_STEPS[flag] ?? []))
  steps.push(
    error === null
      ? `Answered in ${ms(totalMs)}: admit ${ms(stages.admit)}, features ${ms(stages.features)}, route ${ms(stages.route)}, shape ${ms(stages.shape)}.`
      : `Refused with ${error} after ${ms(totalMs)}.`,
  )
  if (cost !== null) steps.push(`Its calls before the reply cost ${Number(cost.toPrecision(6))}.`)
  if (prediction.payload === null)
    steps.push(`Its inputs and outputs are not in the log any more (${prediction.payloadDropped}).`)
  else if (prediction.payload === undefined) steps.push('Its inputs and outputs were not sampled into the log.')
  return steps
}

const FLAG_STEPS: Readonly<Record<string, string>> = {
  fallback: 'The answer was marked as a fallback: the first choice of the route did not give it.',
  stale: 'The answer was marked as stale: it is the last one known for the same request.',
}

/** Index of the call whose answer the caller got; -1 when there is none or it was combined. */
function answeringCall({ answeredBy, calls, error }: StoredPrediction): number {
  if (error !== null) return -1
  return answeredBy ?? calls.findLastIndex(({ status, role }) => status === 'ok' && role !== 'shadow')
}

function callStep({ leaf, model, version, role, status, latencyMs, queueMs, batchRows, cached }: RecordedCall): string {
  const name =
    model === '' || version === 0 ? `${role} call of ${leaf}` : `${role} call of version ${version} of ${model}`
  if (status === 'ROUTE_CIRCUIT_OPEN') return `${name} was not made: the circuit of that version was open.`
  if (status !== 'ok') return `${name} failed with ${status} after ${ms(latencyMs)}.`
  if (cached !== undefined) return `${name} was answered ${CACHED_STEPS[cached]} in ${ms(latencyMs)}.`
  if (model === '') return `${name} was answered at once.`
  return `${name} took ${ms(latencyMs)}, of which ${ms(queueMs)} in its queue; its batch had ${batchRows === 1 ? 'one row' : `${batchRows} rows`}.`
}

const CACHED_STEPS: Readonly<Record<NonNullable<RecordedCall['cached']>, string>> = {
  hit: 'from the cache',
  coalesced: 'by the run of an identical call',
  stale: 'with the last answer known',
}

function time(timeMs: number): string {
  return new Date(timeMs).toISOString()
}

function ms(value: number): string {
  return `${Number(value.toPrecision(3))} ms`
}
