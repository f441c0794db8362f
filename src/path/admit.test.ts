import { describe, expect, it } from 'vitest'
import { type HeadraceError, ManualClock } from '../core/index.js'
import type { Priority } from '../serving/index.js'
import { admitStage } from './admit.js'
import type { Prediction } from './prediction.js'

/** What the stage says to a prediction of this priority when so many, with this one, are in flight. */
function admit(inFlight: number, maxInFlight: number, priority: { own?: Priority; endpoint?: Priority } = {}) {
  const signature = { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 1] }], outputs: [], batchAxis: 0 }
  const prediction = {
    endpoint: { name: 'e', deadlineMs: 1000, priority: priority.endpoint },
    pinned: { signature },
    tensors: new Map([['x', { name: 'x', datatype: 'FP32', shape: [1, 1], data: new Float32Array(1) }]]),
    outputs: undefined,
    arrivedMs: 0,
    ...(priority.own === undefined ? undefined : { priority: priority.own }),
  } as unknown as Prediction
  const stage = admitStage({
    clock: new ManualClock(),
    versions: {
      resolve: () => ({ signature }) as never,
      there: () => ({ signature }) as never,
      lastSeen: () => undefined,
      wake: () => undefined,
    },
    isDraining: () => false,
    inFlight: () => inFlight,
    maxInFlight,
  })
  try {
    stage.run(prediction)
    return 'admitted'
  } catch (error) {
    return error as HeadraceError
  }
}

describe('admission', () => {
  it('takes predictions up to the limit and answers 429 with a time to come back beyond it', () => {
    expect(admit(100, 100, { own: 'high' })).toBe('admitted')
    expect(admit(101, 100, { own: 'high' })).toMatchObject({
      code: 'PATH_OVERLOADED',
      status: 429,
      params: { inFlight: 100, limit: 100, retryAfterMs: 1000 },
    })
  })

  it('refuses low priority first and keeps the last tenth for high', () => {
    const admitted = (inFlight: number) =>
      (['low', 'normal', 'high'] as const).filter((own) => admit(inFlight, 100, { own }) === 'admitted')
    expect(admitted(75)).toEqual(['low', 'normal', 'high'])
    expect(admitted(76)).toEqual(['normal', 'high'])
    expect(admitted(90)).toEqual(['normal', 'high'])
    expect(admitted(91)).toEqual(['high'])
    expect(admitted(101)).toEqual([])
  })

  it("takes the endpoint's priority when a request names none, and normal when neither does", () => {
    expect(admit(100, 100, { endpoint: 'high' })).toBe('admitted')
    expect(admit(80, 100, { endpoint: 'low' })).toMatchObject({ code: 'PATH_OVERLOADED' })
    expect(admit(80, 100)).toBe('admitted')
    expect(admit(91, 100)).toMatchObject({ params: { priority: 'normal', limit: 90 } })
    expect(admit(91, 100, { own: 'high', endpoint: 'low' })).toBe('admitted')
  })

  it('takes one of any priority when the limit is 1', () => {
    expect(admit(1, 1, { own: 'low' })).toBe('admitted')
    expect(admit(2, 1, { own: 'high' })).toMatchObject({ status: 429 })
  })
})
