import { describe, expect, it } from 'vitest'
import type { RecordedCall, StoredPrediction } from '../../log/index.js'
import { predictionSteps } from './prediction-steps.js'

const CALL: RecordedCall = {
  leaf: 'fraud/2',
  model: 'fraud',
  version: 2,
  role: 'primary',
  status: 'ok',
  latencyMs: 1.23456,
  queueMs: 0.5,
  batchRows: 4,
}

const PREDICTION: StoredPrediction = {
  seq: 1,
  kind: 'prediction',
  id: 'p',
  timeMs: Date.UTC(2026, 0, 1),
  endpoint: 'checkout',
  tenant: 'default',
  unit: null,
  rows: 1,
  protocol: 'native',
  route: [],
  calls: [CALL],
  flags: [],
  stages: { admit: 0.1, features: 0, route: 1.3, shape: 0.05 },
  cost: null,
  traceId: null,
  error: null,
  payload: { weight: 1, inputs: [], outputs: [] },
}

const steps = (change: Partial<StoredPrediction>): string[] =>
  predictionSteps({ prediction: { ...PREDICTION, ...change }, calls: [], outcomes: [] })

describe('the steps of a prediction', () => {
  it('go from its arrival over its call to its answer', () => {
    expect(steps({})).toEqual([
      '2026-01-01T00:00:00.000Z: one row arrived for endpoint checkout over native.',
      'Primary call of version 2 of fraud took 1.23 ms, of which 0.5 ms in its queue; its batch had 4 rows.',
      'Answered in 1.45 ms: admit 0.1 ms, features 0 ms, route 1.3 ms, shape 0.05 ms.',
    ])
  })

  it('say who it was for, which arm was chosen, and that a pinned call was not routed', () => {
    const text = steps({
      unit: 'user-7',
      rows: 3,
      route: [{ node: 'canary', arm: 'new', probability: 0.05 }],
      flags: ['pinned'],
    }).join('\n')
    expect(text).toContain('3 rows arrived for endpoint checkout over native, for unit "user-7".')
    expect(text).toContain('Node "canary" of the route chose arm "new", which it does with probability 0.05.')
    expect(text).toContain('The call named its version, so the route was not asked.')
  })

  it('say which version was passed over because its circuit was open', () => {
    const refused = { ...CALL, status: 'ROUTE_CIRCUIT_OPEN', latencyMs: 0 }
    expect(steps({ calls: [refused, { ...CALL, version: 1, role: 'attempt' }] })[1]).toBe(
      'Primary call of version 2 of fraud was not made: the circuit of that version was open.',
    )
  })

  it('say in which order arms were tried, which call answered, what it cost and that it was a fallback', () => {
    const text = steps({
      route: [{ node: 'safe', arm: '1', probability: 1 }],
      calls: [
        { ...CALL, status: 'SERVING_RUN_FAILED' },
        { ...CALL, version: 1, leaf: 'fraud/1', role: 'attempt', cached: 'hit' },
        { ...CALL, leaf: 'constant "approve"', model: '', version: 0, role: 'attempt' },
      ],
      answeredBy: 1,
      flags: ['cached', 'fallback'],
      cost: 3,
    })
    expect(text.slice(1, 7)).toEqual([
      'Node "safe" of the route chose arm "1", which it does with probability 1.',
      'Primary call of version 2 of fraud failed with SERVING_RUN_FAILED after 1.23 ms.',
      'Attempt call of version 1 of fraud was answered from the cache in 1.23 ms. Its answer was given.',
      'Attempt call of constant "approve" was answered at once.',
      'The answer was marked as a fallback: the first choice of the route did not give it.',
      'Answered in 1.45 ms: admit 0.1 ms, features 0 ms, route 1.3 ms, shape 0.05 ms.',
    ])
    expect(text[7]).toBe('Its calls before the reply cost 3.')
  })

  it('say when an answer was combined, and from which arms', () => {
    const text = steps({ route: [{ node: 'both', arm: 'a+b', probability: 1 }], calls: [CALL, CALL], answeredBy: -1 })
    expect(text).toContain('The answer was combined from the calls that were well.')
    expect(text.join('\n')).not.toContain('Its answer was given')
  })

  it('say what failed', () => {
    expect(steps({ calls: [{ ...CALL, status: 'SERVING_RUN_FAILED' }], error: 'SERVING_RUN_FAILED' }).slice(1)).toEqual(
      [
        'Primary call of version 2 of fraud failed with SERVING_RUN_FAILED after 1.23 ms.',
        'Refused with SERVING_RUN_FAILED after 1.45 ms.',
      ],
    )
    expect(steps({ calls: [] })[1]).toBe('No version was called.')
  })

  it('say where its inputs and outputs went', () => {
    expect(steps({ payload: null, payloadDropped: 'retention' }).at(-1)).toContain(
      'not in the log any more (retention)',
    )
    const { payload: _, ...withoutPayload } = PREDICTION
    expect(predictionSteps({ prediction: withoutPayload, calls: [], outcomes: [] }).at(-1)).toContain('not sampled')
  })

  it('go on after the reply, and remain when the record of the request is gone', () => {
    const after = predictionSteps({
      prediction: undefined,
      calls: [
        {
          seq: 2,
          kind: 'call',
          id: 'c',
          timeMs: Date.UTC(2026, 0, 2),
          prediction: 'p',
          endpoint: 'checkout',
          tenant: 'default',
          call: { ...CALL, role: 'shadow', batchRows: 1 },
        },
      ],
      outcomes: [
        {
          seq: 3,
          kind: 'outcome',
          id: 'o',
          timeMs: 0,
          prediction: 'p#2',
          endpoint: 'checkout',
          tenant: 'default',
          name: 'chargeback',
          value: true,
          happenedMs: Date.UTC(2026, 0, 3),
          knownMs: Date.UTC(2026, 1, 3),
        },
      ],
    })
    expect(after).toEqual([
      'The record of the request is no longer in the log.',
      '2026-01-02T00:00:00.000Z: after the reply, shadow call of version 2 of fraud took 1.23 ms, of which 0.5 ms in its queue; its batch had one row.',
      '2026-02-03T00:00:00.000Z: the outcome "chargeback" of row 2 became known: true.',
    ])
  })
})
