// What of a record becomes an event, what does not, and that the arm of an event is a fair coin when arms are alike.
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../core/index.js'
import type { RecordedCall, StoredOutcome, StoredPrediction, StoredRecord } from '../../log/index.js'
import { armAt, assignmentPoint } from '../../route/index.js'
import { controlWeight } from '../plan.js'
import type { PlanStep } from '../types.js'
import { guardCounts } from './counts.js'
import { judge } from './judge.js'
import { createGuardReader, type GuardReader, type GuardReaderOptions } from './reader.js'
import { guardsSection } from './settings.js'
import type { ArmCount, GuardArm, GuardEvent, GuardThresholds } from './types.js'

const HOUR_MS = 3_600_000
const STARTED_MS = 1_000_000_000_000
const canary = (weight: number): PlanStep => ({ kind: 'canary', weight, length: {} })
const release: GuardReaderOptions['release'] = {
  id: 'r1',
  endpoint: 'fraud',
  model: 'fraud',
  from: 3,
  to: 4,
  startedMs: STARTED_MS,
  plan: { steps: [canary(0.05), canary(0.5), canary(0.8), canary(1)] },
  step: 0,
}
const thresholds: GuardThresholds = {
  limits: { 'latency-p50': 10, 'latency-p95': 50, 'latency-p99': 100, cost: 1 },
  outputs: { kind: 'number', name: 'score', low: 0.1, high: 0.9 },
  failingShare: 0.02,
  calls: 1000,
}
const settings = guardsSection.parse({})
const reader = (options: Partial<GuardReaderOptions> = {}): GuardReader =>
  createGuardReader({ release, settings, thresholds, ...options })

interface Given {
  readonly unit?: string | null
  readonly arm?: GuardArm
  readonly step?: number
  readonly status?: string
  readonly latencyMs?: number
  readonly cached?: RecordedCall['cached']
  readonly flags?: readonly string[]
  readonly version?: number
  readonly atMs?: number
  readonly output?: unknown
  readonly cost?: number
}

let seq = 0
function prediction(given: Given = {}): StoredPrediction {
  const { unit = 'u1', arm = 'candidate', step = 0, status = 'ok', latencyMs = 1, flags = [], atMs = 0 } = given
  const { weight } = release.plan.steps[step] as { weight: number }
  const control = controlWeight(weight)
  const probability = arm === 'candidate' ? weight : arm === 'control' ? control : 1 - weight - control
  seq++
  return {
    seq,
    kind: 'prediction',
    id: `p${seq}`,
    timeMs: STARTED_MS + atMs,
    endpoint: 'fraud',
    tenant: 'default',
    unit,
    rows: 1,
    protocol: 'native',
    route: [{ node: 'release', arm, probability }],
    calls: [
      {
        leaf: 'fraud',
        model: 'fraud',
        version: given.version ?? (arm === 'candidate' ? 4 : 3),
        role: 'primary',
        status,
        latencyMs,
        queueMs: 0,
        batchRows: 1,
        cached: given.cached,
      },
    ],
    flags,
    stages: { admit: 0, features: 0, route: 0, shape: 0 },
    cost: given.cost ?? null,
    traceId: null,
    error: status === 'ok' ? null : status,
    ...('output' in given && {
      payload: {
        weight: 1,
        inputs: [],
        outputs: [
          {
            call: 0,
            tensors: [
              {
                name: 'score',
                datatype: typeof given.output === 'string' && given.output !== 'NaN' ? 'BYTES' : 'FP32',
                shape: [1, 1],
                data: [given.output],
              },
            ],
          },
        ],
      },
    }),
  }
}

const guardsOf = (records: readonly StoredRecord[], of = reader()): string[] =>
  of.read(records).map(({ guard }) => guard)

describe('the guard reader', () => {
  it('counts a unit once, however often it fails, and once more in each window', () => {
    const events = reader().read([
      prediction({ status: 'SERVING_RUN_FAILED' }),
      prediction({ status: 'SERVING_RUN_FAILED' }),
      prediction({ status: 'SERVING_RUN_TIMEOUT', atMs: HOUR_MS + 1 }),
      prediction({ status: 'SERVING_RUN_FAILED', unit: 'u2', arm: 'baseline', atMs: HOUR_MS + 2 }),
    ])
    expect(events.map(({ guard, arm, step }) => ({ guard, arm, step }))).toEqual([
      { guard: 'errors', arm: 'candidate', step: 0 },
      { guard: 'errors@1', arm: 'candidate', step: 0 },
      { guard: 'errors@2', arm: 'candidate', step: 0 },
      { guard: 'errors', arm: 'baseline', step: 0 },
      { guard: 'errors@2', arm: 'baseline', step: 0 },
    ])
    expect(events[0]!.unit).toBe(events[2]!.unit)
    expect(events[0]!.unit).toMatch(/^[0-9a-f]{16}$/)
  })

  it('names the unit so that its point can be read from it, and shows nothing of it', () => {
    const [event] = reader().read([prediction({ status: 'SERVING_RUN_FAILED', unit: 'alice@example.org' })])
    expect(Number.parseInt(event!.unit.slice(0, 13), 16) / 2 ** 52).toBe(assignmentPoint('r1', 'alice@example.org'))
  })

  it.each([
    ['the caller was wrong (400)', { status: 'SERVING_LENGTHS_DIFFER' }],
    ['a queue was full (429)', { status: 'SERVING_QUEUE_FULL' }],
    ['the caller hung up (499)', { status: 'SERVING_CANCELLED' }],
    ['the circuit was open, so that nothing was called', { status: 'ROUTE_CIRCUIT_OPEN' }],
    ['another call of the same request failed', { status: 'SERVING_RUN_FAILED', cached: 'coalesced' as const }],
    ['the call named its version', { status: 'SERVING_RUN_FAILED', flags: ['pinned'] }],
    [
      'the candidate had no lease',
      { status: 'SERVING_RUN_FAILED', arm: 'baseline' as const, flags: ['lease-expired'] },
    ],
    ['another version failed', { status: 'SERVING_RUN_FAILED', version: 9 }],
  ])('says nothing when %s', (_, given) => {
    expect(guardsOf([prediction(given)])).toEqual([])
  })

  it('counts codes that no table knows, as they are no caller’s fault', () => {
    expect(guardsOf([prediction({ status: 'SOMETHING_ELSE' })])).toEqual(['errors', 'errors@1'])
    // A category that the version was not trained with: declared as the caller's mistake, but another version takes it.
    expect(guardsOf([prediction({ status: 'ONNX_VALUES_REFUSED' })])).toEqual(['errors', 'errors@1'])
  })

  it('counts a version that could not be called at all, but not what another version of the route did', () => {
    const uncalled = { ...prediction(), calls: [], error: 'SERVING_LOAD_FAILED' }
    expect(guardsOf([uncalled])).toEqual(['errors', 'errors@1'])
    const other = { ...prediction().calls[0]!, model: 'meta', status: 'SERVING_RUN_FAILED' }
    const beside = prediction()
    expect(guardsOf([{ ...beside, calls: [...beside.calls, other], error: 'SERVING_RUN_FAILED' }])).toEqual([])
    expect(guardsOf([{ ...prediction(), calls: [], error: 'PATH_OVERLOADED' }])).toEqual([])
  })

  it('takes each request without a unit as a unit of its own', () => {
    const failed = { unit: null, status: 'SERVING_RUN_FAILED' }
    expect(
      new Set(
        reader()
          .read([prediction(failed), prediction(failed)])
          .map(({ unit }) => unit),
      ).size,
    ).toBe(2)
  })

  it('compares latency, cost and outputs with the control only, and a common quantile at first calls only', () => {
    const slow = { latencyMs: 60, cost: 2, output: 0.95 }
    expect(guardsOf([prediction({ ...slow, arm: 'baseline' })])).toEqual([])
    const all = ['latency-p50', 'latency-p50@1', 'latency-p95', 'latency-p95@1', 'cost', 'outputs-high']
    expect(guardsOf([prediction({ ...slow, arm: 'control' })])).toEqual(all)
    expect(guardsOf([prediction({ latencyMs: 1, output: 0.5 }), prediction(slow)])).toEqual([
      'outputs-middle',
      'latency-p95',
      'latency-p95@1',
      'cost',
    ])
    expect(guardsOf([prediction({ output: 0.05 })])).toEqual(['outputs-low'])
    expect(guardsOf([prediction({ output: 'NaN' })])).toEqual(['outputs-invalid'])
    expect(guardsOf([prediction({ output: 'a label' })])).toEqual(['outputs-invalid'])
  })

  it('counts what is no number before it has learned what is usual, and nothing else of an output', () => {
    const of = (given: Given, more = {}) =>
      guardsOf([prediction(given)], createGuardReader({ release, settings, ...more }))
    expect(of({ output: 'NaN' })).toEqual(['outputs-invalid'])
    expect(of({ output: 'NaN', arm: 'control' })).toEqual(['outputs-invalid'])
    expect(of({ output: 'NaN', arm: 'baseline' })).toEqual([])
    expect(of({ output: 1e9 })).toEqual([])
    const silent = guardsSection.parse({ outputs: { enabled: false } })
    expect(of({ output: 'NaN' }, { settings: silent })).toEqual([])
  })

  it('calls a candidate slow or dear only beyond the slack, and never within the floor', () => {
    const of = (arm: GuardArm, latencyMs: number, cost: number, from = reader()) =>
      guardsOf([prediction({ arm, latencyMs, cost })], from)
    expect(of('control', 50.1, 1.01)).toContain('latency-p95')
    expect(of('control', 50.1, 1.01)).toContain('cost')
    expect(of('candidate', 54.9, 1.09)).toEqual(['latency-p50', 'latency-p50@1'])
    expect(of('candidate', 55.1, 1.11)).toContain('latency-p95')
    expect(of('candidate', 55.1, 1.11)).toContain('cost')
    // Of 10 ms a tenth is 1 ms, and the floor is 2.
    expect(of('candidate', 11.9, 0)).toEqual([])
    expect(of('candidate', 12.1, 0)).toEqual(['latency-p50', 'latency-p50@1'])
    const strict = guardsSection.parse({ latency: { floorMs: 0 } })
    expect(of('candidate', 11.1, 0, reader({ settings: strict }))).toEqual(['latency-p50', 'latency-p50@1'])
  })

  it('does not mind a candidate that is slower by less than matters, and does one that is slower by more', () => {
    // One version runs inline, in a third of a millisecond; the other in a thread, half a millisecond away.
    const failedWith = (extraMs: number): string[] => {
      const random = seededRandom(5)
      const events = reader({
        thresholds: {
          limits: { 'latency-p50': 0.3, 'latency-p95': 0.4, 'latency-p99': 0.6 },
          failingShare: 0,
          calls: 500,
        },
      }).read(
        Array.from({ length: 6000 }, (_, i) => {
          const arm = assignmentPoint('r1', `u${i}`) < 0.5 ? 'candidate' : 'control'
          const latencyMs = 0.3 * (1 - random.next()) ** -0.25 + (arm === 'candidate' ? extraMs : 0)
          return prediction({ unit: `u${i}`, arm, step: 1, latencyMs })
        }),
      )
      return judge(guardCounts(countRows(events), release.plan.steps, settings), settings)
        .filter(({ verdict }) => verdict === 'failed')
        .map(({ guard }) => guard)
    }
    expect(failedWith(0)).toEqual([])
    expect(failedWith(0.5)).toEqual([])
    expect(failedWith(1.9)).toEqual([])
    expect(failedWith(3)).toContain('latency-p99')
  })

  it('compares labels by how common they are under the champion', () => {
    const labels = reader({
      thresholds: { ...thresholds, outputs: { kind: 'label', name: 'score', labels: ['ok', 'review'] } },
    })
    const seen = ['ok', 'review', 'never seen'].map((output, i) => prediction({ unit: `u${i}`, output }))
    expect(guardsOf(seen, labels)).toEqual(['outputs-top', 'outputs-rest', 'outputs-unseen'])
  })

  it('gives a record to the step whose share it was routed by, also when it comes late', () => {
    const late = reader({ release: { ...release, step: 1 } })
    const failed = (unit: string, arm: GuardArm, step: number) =>
      prediction({ unit, arm, step, status: 'SERVING_RUN_FAILED' })
    const events = late.read([failed('a', 'candidate', 0), failed('b', 'baseline', 0), failed('c', 'control', 1)])
    expect(events.filter(({ guard }) => guard === 'errors').map(({ step }) => step)).toEqual([0, 0, 1])
    late.enter(2)
    expect(late.read([failed('d', 'control', 2)])[0]!.step).toBe(2)
  })

  it('compares, above a half, only the part of the candidate that mirrors its control', () => {
    const big = reader({ release: { ...release, step: 2 } })
    let candidate = 0
    let control = 0
    for (let i = 0; i < 4000; i++) {
      const unit = `u${i}`
      const arm = armAt(assignmentPoint('r1', unit), [0.8, 0, 0.2]) === 0 ? 'candidate' : 'control'
      for (const { guard } of big.read([prediction({ unit, arm, step: 2, latencyMs: 60 })]))
        if (guard === 'latency-p95') arm === 'candidate' ? candidate++ : control++
    }
    expect(candidate / (candidate + control)).toBeGreaterThan(0.45)
    expect(candidate / (candidate + control)).toBeLessThan(0.55)
    expect(control).toBeGreaterThan(700)
  })

  it('looks, in the last step, at the first call of each unit', () => {
    const alone = reader({ release: { ...release, step: 3 } })
    const events = alone.read([
      prediction({ step: 3, unit: 'a', status: 'SERVING_RUN_FAILED' }),
      prediction({ step: 3, unit: 'a' }),
      prediction({ step: 3, unit: 'b' }),
      prediction({ step: 3, unit: 'b', status: 'SERVING_RUN_FAILED' }),
    ])
    expect(events.map(({ guard, arm }) => `${guard} ${arm}`)).toEqual(['gross@1 candidate', 'gross@1 control'])
  })

  it('joins outcomes to the unit and arm of their prediction', () => {
    const withOutcomes = reader({
      settings: guardsSection.parse({
        outcomes: { chargeback: { worse: 'more' }, score: { worse: 'more', above: 3 } },
      }),
    })
    const one = prediction()
    const outcome = (name: string, value: StoredOutcome['value'], of = one.id): StoredOutcome => ({
      seq: ++seq,
      kind: 'outcome',
      id: `o${seq}`,
      timeMs: STARTED_MS + 10,
      prediction: of,
      endpoint: 'fraud',
      tenant: 'default',
      name,
      value,
      happenedMs: 0,
      knownMs: 0,
    })
    const records = [
      one,
      outcome('chargeback', false),
      outcome('chargeback', true),
      outcome('score', 2),
      outcome('score', 4, `${one.id}#0`),
      outcome('other', true),
      outcome('chargeback', true, 'unknown'),
    ]
    expect(guardsOf(records, withOutcomes)).toEqual(['outcome:chargeback', 'outcome:score'])
  })

  it('learns what is usual from the champion alone, then judges by it', () => {
    const learning = createGuardReader({ release, settings })
    const random = seededRandom(1)
    const records: StoredRecord[] = []
    for (let i = 0; i < 499; i++) {
      records.push(
        prediction({ unit: `u${i}`, arm: 'baseline', latencyMs: 1 + 9 * random.next(), output: random.next() }),
      )
      records.push(prediction({ unit: `c${i}`, latencyMs: 1000, output: 5 }))
    }
    expect(learning.read(records)).toEqual([])
    expect(learning.learned()).toBeUndefined()
    // Who is compared has no part in what is usual, or its threshold would say something of its arm.
    learning.read([prediction({ unit: 'y', arm: 'control', latencyMs: 1000 })])
    expect(learning.learned()).toBeUndefined()
    learning.read([prediction({ unit: 'z', arm: 'baseline', status: 'SERVING_RUN_FAILED' })])
    const learned = learning.learned()!
    expect(learned.limits['latency-p50']).toBeCloseTo(5.5, 0)
    expect(learned.limits['latency-p99']).toBeCloseTo(9.9, 0)
    expect(learned.outputs).toMatchObject({ kind: 'number', name: 'score' })
    expect(learned.failingShare).toBeCloseTo(1 / 500, 6)
    learning.use(learned)
    expect(guardsOf([prediction({ unit: 'y', latencyMs: 1000, output: 5 })], learning)).toContain('latency-p99')
  })

  it('learns how many units fail, not how often one of them asks', () => {
    const learning = createGuardReader({ release, settings })
    for (let i = 0; i < 500; i++)
      learning.read([
        prediction({ unit: 'broken', arm: 'baseline', status: 'SERVING_RUN_FAILED' }),
        prediction({ unit: `u${i}`, arm: 'baseline' }),
      ])
    expect(learning.learned()!.failingShare).toBeCloseTo(1 / 501, 6)
  })

  it('learns from the control where there is no baseline beside it', () => {
    const learning = createGuardReader({ release: { ...release, step: 1 }, settings })
    learning.read(Array.from({ length: 500 }, (_, i) => prediction({ unit: `u${i}`, arm: 'control', step: 1 })))
    expect(learning.learned()).toBeDefined()
  })

  it('rolls a failing candidate back, and neither a broken unit nor a candidate that is alike', () => {
    const run = (rate: (arm: GuardArm) => number): { failed: string[]; events: GuardEvent[] } => {
      const random = seededRandom(7)
      const of = reader()
      const events = of.read(
        Array.from({ length: 20_000 }, () => {
          // One unit is broken and asks a hundred times as often as others.
          const unit = random.next() < 0.1 ? 'broken' : `u${Math.floor(random.next() * 8000)}`
          const point = assignmentPoint('r1', unit)
          const arm = point < 0.05 ? 'candidate' : point >= 0.95 ? 'control' : 'baseline'
          const isFailed = unit === 'broken' || random.next() < rate(arm)
          return prediction({
            unit,
            arm,
            status: isFailed ? 'SERVING_RUN_FAILED' : 'ok',
            latencyMs: 20 * random.next(),
            output: random.next(),
          })
        }),
      )
      const counts = guardCounts(countRows(events), release.plan.steps, settings, thresholds)
      return {
        failed: judge(counts, settings)
          .filter(({ verdict }) => verdict === 'failed')
          .map(({ guard }) => guard),
        events,
      }
    }
    expect(run(() => 0.02).failed).toEqual([])
    expect(run((arm) => (arm === 'candidate' ? 0.2 : 0.02)).failed).toEqual(['errors'])
  })

  it('reads a hundred thousand records in seconds and keeps its memory', () => {
    const random = seededRandom(3)
    const of = reader()
    const records = Array.from({ length: 100_000 }, (_, i) =>
      prediction({
        unit: `user-${i}`,
        arm: i % 10 === 0 ? 'candidate' : i % 10 === 1 ? 'control' : 'baseline',
        latencyMs: 60 * random.next(),
        output: 0.5,
      }),
    )
    const startedMs = performance.now()
    of.read(records)
    // About 0.1 s on a machine at rest; ten times that tells a quadratic mistake from a busy one.
    expect(performance.now() - startedMs).toBeLessThan(30_000)
  })
})

function countRows(events: readonly GuardEvent[]): ArmCount[] {
  const counts = new Map<string, { guard: string; step: number; arm: GuardArm; units: number }>()
  for (const { guard, step, arm } of events) {
    const key = `${guard} ${step} ${arm}`
    const count = counts.get(key) ?? { guard, step, arm, units: 0 }
    count.units++
    counts.set(key, count)
  }
  return [...counts.values()]
}
