// A shadow step's pairs and its report: what is found different, what is not, and how sure that is.
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../core/index.js'
import type { RecordedCall, StoredRecord } from '../../log/index.js'
import { compareShadow } from './compare-shadow.js'
import { guardsSection } from './settings.js'
import { createShadowReader } from './shadow-reader.js'

const settings = guardsSection.parse({})
const release = {
  id: 'r1',
  endpoint: 'fraud',
  model: 'fraud',
  from: 3,
  to: 4,
  startedMs: 0,
  plan: { steps: [{ kind: 'shadow', sample: 1, length: {} }] },
  step: 0,
} as const
const reader = () => createShadowReader({ release, settings })

interface Answer {
  readonly status?: string
  readonly latencyMs?: number
  readonly value?: unknown
}

/** A prediction and the call of its copy, as the path writes them. */
function pair(unit: string, champion: Answer, candidate: Answer): StoredRecord[] {
  const call = (
    version: number,
    role: RecordedCall['role'],
    { status = 'ok', latencyMs = 5 }: Answer,
  ): RecordedCall => ({
    leaf: 'fraud',
    model: 'fraud',
    version,
    role,
    status,
    latencyMs,
    queueMs: 1,
    batchRows: 1,
  })
  const payload = ({ status = 'ok', value = 0.5 }: Answer) =>
    status === 'ok'
      ? {
          payload: {
            weight: 1,
            inputs: [],
            outputs: [
              {
                call: 0,
                tensors: [
                  {
                    name: 'out',
                    datatype: typeof value === 'number' || value === 'NaN' ? 'FP32' : 'BYTES',
                    shape: [1, 1],
                    data: [value],
                  },
                ],
              },
            ],
          },
        }
      : undefined
  const shared = { seq: 1, timeMs: 0, endpoint: 'fraud', tenant: 'default' }
  return [
    {
      ...shared,
      kind: 'prediction',
      id: `p-${unit}`,
      unit,
      rows: 1,
      protocol: 'native',
      route: [{ node: 'release', arm: 'shadow', probability: 1 }],
      calls: [call(3, 'primary', champion)],
      flags: [],
      stages: { admit: 0, features: 0, route: 0, shape: 0 },
      cost: null,
      traceId: null,
      error: null,
      ...payload(champion),
    },
    {
      ...shared,
      kind: 'call',
      id: `c-${unit}`,
      prediction: `p-${unit}`,
      call: call(4, 'shadow', candidate),
      ...payload(candidate),
    },
  ]
}

function run(pairs: number, answers: (i: number, random: () => number) => [Answer, Answer]) {
  const random = seededRandom(5)
  const of = reader()
  for (let i = 0; i < pairs; i++) of.read(pair(`u${i}`, ...answers(i, () => random.next())))
  return compareShadow([of.state()], settings)
}

describe('the shadow report', () => {
  it('is inconclusive of nothing, and of little', () => {
    expect(compareShadow([], settings)).toMatchObject({ verdict: 'inconclusive', pairs: 0 })
    expect(run(20, () => [{}, {}])).toMatchObject({ verdict: 'inconclusive', pairs: 20 })
  })

  it('finds two versions indistinguishable that differ by rounding, once enough units were seen', () => {
    const report = run(3000, (_, random) => {
      const value = random()
      return [{ value }, { value: value * (1 + 1e-6) }]
    })
    expect(report.verdict).toBe('indistinguishable')
    expect(report.answers.differing!.high).toBeLessThan(0.01)
    expect(report.answers.ks!.estimate).toBeLessThan(0.01)
    expect(report.answers.psi!).toBeLessThan(0.01)
  })

  it('finds answers that differ in a twentieth of units, and by how much', () => {
    const report = run(2000, (i, random) => {
      const value = random()
      return [{ value }, { value: i % 20 === 0 ? value + 0.25 : value }]
    })
    expect(report).toMatchObject({ verdict: 'differs', errors: { verdict: 'indistinguishable' } })
    expect(report.answers.differing!.estimate).toBeCloseTo(0.05, 6)
    expect(report.answers.maxAbsolute).toBeCloseTo(0.25, 6)
    expect(report.summary).toContain('5 % of 2000 answers differ')
  })

  it('finds a candidate that alone fails, and does not mind failures that both share', () => {
    const failed = { status: 'SERVING_RUN_FAILED' }
    const report = run(1500, (i) => [i % 50 === 0 ? failed : {}, i % 50 === 0 || i % 33 === 0 ? failed : {}])
    expect(report.errors).toMatchObject({ verdict: 'differs', both: 30, champion: 0 })
    expect(run(1500, (i) => (i % 50 === 0 ? [failed, failed] : [{}, {}])).errors.verdict).toBe('indistinguishable')
  })

  it('compares labels, and sees a distribution that has moved', () => {
    const labels = run(1000, (i) => [{ value: 'ok' }, { value: i % 4 === 0 ? 'review' : 'ok' }])
    expect(labels.answers.labelAgreement).toBeCloseTo(0.75, 6)
    const moved = run(2000, (_, random) => [{ value: random() }, { value: 0.5 + random() }])
    expect(moved.answers.ks!.estimate).toBeCloseTo(0.5, 1)
    expect(moved.answers.ks!.low).toBeGreaterThan(0.2)
    expect(moved.answers.psi!).toBeGreaterThan(1)
    expect(run(500, () => [{ value: 0.5 }, { value: 'NaN' }]).answers).toMatchObject({
      verdict: 'differs',
      invalid: 500,
    })
  })

  it('tells how much slower the candidate is, with an interval that holds the truth', () => {
    const { latency } = run(800, (_, random) => {
      const base = 5 + 10 * random()
      return [{ latencyMs: base }, { latencyMs: base * 2 * (0.9 + 0.2 * random()) }]
    })
    expect(latency.ratio!.low).toBeLessThan(2)
    expect(latency.ratio!.high).toBeGreaterThan(1.98)
    expect(latency.ratio!.estimate).toBeCloseTo(2, 1)
    expect(latency.candidateMs!.p50).toBeGreaterThan(latency.championMs!.p50 * 1.8)
  })

  it('counts a unit’s first pair only, passes over refused copies, and adds up nodes', () => {
    const one = reader()
    one.read([...pair('a', {}, {}), ...pair('a', {}, { value: 9 }), ...pair('b', {}, { status: 'SERVING_QUEUE_FULL' })])
    expect(one.state()).toMatchObject({ pairs: 1, answers: { compared: 1, differing: 0 } })
    const other = reader()
    other.read(pair('c', {}, { value: 9 }))
    const states = JSON.parse(JSON.stringify([one.state(), other.state()]))
    expect(compareShadow(states, settings)).toMatchObject({ pairs: 2, answers: { compared: 2, maxAbsolute: 8.5 } })
  })
})
