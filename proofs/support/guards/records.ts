// The same traffic as records of the log, read by what is served: what the simulation counted by itself, the reader has to count. Between
// the records are others of the same units that say nothing, and that a reader might count.
import type { Random } from '../../../src/core/index.js'
import type { RecordedCall, StoredOutcome, StoredPrediction, StoredRecord } from '../../../src/log/index.js'
import { createGuardReader } from '../../../src/release/guards/reader.js'
import { controlWeight } from '../../../src/release/plan.js'
import type { PlanStep } from '../../../src/release/types.js'
import { settings } from './settings.js'
import {
  BASELINE,
  CANDIDATE,
  CONTROL,
  DEAR,
  DECILE,
  KINDS,
  SLOW,
  type Traffic,
  type TrafficRequest,
  UNIT,
} from './traffic.js'

const MINUTE_MS = 60_000
/** So long that the slack, not the floor, is what the candidate has. */
const MEDIAN_MS = 100
const USUAL_COST = 0.01
const DISTRACTED_SHARE = 0.2
const ARMS = ['candidate', 'control', 'baseline'] as const
const { slack } = settings.latency

/** Adds a failure where the reader, shown all of the traffic, counts anything else than was simulated. */
export function compareWithReader(
  random: Random,
  traffic: Traffic,
  requests: readonly TrafficRequest[],
  steps: readonly PlanStep[],
  stepAt: (minute: number) => { readonly step: number; readonly weight: number },
  failures: string[],
  where: string,
): void {
  const expected = new Map<string, number>()
  for (let i = 0; i < traffic.kind.length; i++) {
    const kind = traffic.kind[i]!
    if (kind === UNIT) continue
    const guard = KINDS[kind]!
    const arm = traffic.arm[i]!
    const window = traffic.window[i]!
    // What was learned late belongs to the step of its prediction.
    const step = guard.startsWith('outcome:') ? '' : stepAt(traffic.minute[i]!).step
    add(expected, `${guard}${window === 0 ? '' : `@${window}`} ${step} ${ARMS[arm]}`)
  }
  const reader = createGuardReader({
    release: { id: 'r', endpoint: 'e', model: 'm', from: 1, to: 2, startedMs: 0, plan: { steps }, step: 0 },
    settings,
    thresholds: {
      limits: {
        'latency-p50': MEDIAN_MS * Math.exp(SLOW[0]),
        'latency-p95': MEDIAN_MS * Math.exp(SLOW[1]),
        'latency-p99': MEDIAN_MS * Math.exp(SLOW[2]),
        cost: USUAL_COST * Math.exp(DEAR),
      },
      outputs: { kind: 'number', name: 'score', low: -DECILE, high: DECILE },
      failingShare: 0.02,
      calls: 500,
    },
  })
  const counted = new Map<string, number>()
  const seen = new Set<string>()
  let present = 0
  for (const record of recordsOf(random, requests, stepAt)) {
    const { step } = stepAt(record.timeMs / MINUTE_MS)
    if (step !== present) reader.enter(step)
    present = step
    for (const event of reader.read([record])) {
      // What the store's primary key does.
      if (seen.has(`${event.guard} ${event.unit}`)) continue
      seen.add(`${event.guard} ${event.unit}`)
      add(counted, `${event.guard} ${event.guard.startsWith('outcome:') ? '' : event.step} ${event.arm}`)
    }
  }
  for (const key of new Set([...expected.keys(), ...counted.keys()]))
    if (expected.get(key) !== counted.get(key))
      failures.push(
        `${where}: the reader counts ${counted.get(key) ?? 0} of "${key}", and ${expected.get(key) ?? 0} happened.`,
      )
}

function recordsOf(
  random: Random,
  requests: readonly TrafficRequest[],
  stepAt: (minute: number) => { readonly weight: number },
): StoredRecord[] {
  const records: StoredRecord[] = []
  requests.forEach((request, i) => {
    const { weight } = stepAt(request.minute)
    const record = prediction(request, `p${i}`, weight)
    if (random.next() < DISTRACTED_SHARE) records.push(...distractions(random, record, weight))
    records.push(record)
    if (request.convertedMinute !== undefined) records.push(outcome(record, request.convertedMinute))
  })
  return records.sort((a, b) => a.timeMs - b.timeMs)
}

function prediction(request: TrafficRequest, id: string, weight: number): StoredPrediction {
  const { arm, isFailed, latency, cost, output, unit, minute } = request
  const isCandidate = arm === CANDIDATE
  const more = isCandidate ? slack : 1
  const call: RecordedCall = {
    leaf: 'e',
    model: 'm',
    version: isCandidate ? 2 : 1,
    role: 'primary',
    status: isFailed ? 'SERVING_RUN_FAILED' : 'ok',
    latencyMs: latency === 0 ? 0 : MEDIAN_MS * Math.exp(latency) * more,
    queueMs: 0,
    batchRows: 1,
    cached: undefined,
  }
  const control = controlWeight(weight)
  const probability = isCandidate ? weight : arm === CONTROL ? control : 1 - weight - control
  const hasOutput = !isFailed && latency !== 0
  return {
    seq: 0,
    kind: 'prediction',
    id,
    timeMs: minute * MINUTE_MS,
    endpoint: 'e',
    tenant: 'default',
    unit: `u${unit}`,
    rows: 1,
    protocol: 'native',
    route: [{ node: 'release', arm: ARMS[arm]!, probability }],
    calls: [call],
    flags: [],
    stages: { admit: 0, features: 0, route: 0, shape: 0 },
    cost: hasOutput ? USUAL_COST * Math.exp(cost) * (isCandidate ? settings.cost.slack : 1) : null,
    traceId: null,
    error: isFailed ? call.status : null,
    ...(hasOutput && {
      payload: {
        weight: 1,
        inputs: [],
        outputs: [{ call: 0, tensors: [{ name: 'score', datatype: 'FP32', shape: [1, 1], data: [output] }] }],
      },
    }),
  }
}

/** Of the same unit and time, and no guard's business. */
function distractions(random: Random, of: StoredPrediction, weight: number): StoredPrediction[] {
  const call = of.calls[0]!
  const ended = (
    status: string,
    more: Partial<StoredPrediction> = {},
    also: Partial<RecordedCall> = {},
  ): StoredPrediction => {
    const { payload: _, ...rest } = of
    const calls = [{ ...call, status, latencyMs: 1e6, ...also }]
    return { ...rest, id: `${of.id}-${status}`, calls, cost: null, error: status === 'ok' ? null : status, ...more }
  }
  const failed = 'SERVING_RUN_FAILED'
  const all = [
    ended('SERVING_QUEUE_FULL'),
    ended('SERVING_CANCELLED'),
    ended('ROUTE_CIRCUIT_OPEN'),
    ended(failed, { flags: ['pinned'] }),
    ended(failed, { endpoint: 'another' }),
    ended('ok', { cost: 1e6 }, { cached: 'hit' }),
    ended(failed, {}, { cached: 'coalesced' }),
    ended('PATH_OVERLOADED', { calls: [] }),
    ended(failed, { route: [] }),
    ended(failed, { error: null }, { role: 'shadow' }),
    ended(failed, {
      flags: ['lease-expired'],
      route: [{ node: 'release', arm: ARMS[BASELINE], probability: 1 - weight - controlWeight(weight) }],
    }),
  ]
  return [all[random.uint32() % all.length]!]
}

function outcome(of: StoredPrediction, minute: number): StoredOutcome {
  return {
    seq: 0,
    kind: 'outcome',
    id: `${of.id}-outcome`,
    timeMs: minute * MINUTE_MS,
    prediction: of.id,
    endpoint: 'e',
    tenant: 'default',
    name: 'converted',
    value: true,
    happenedMs: 0,
    knownMs: 0,
  }
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
