import { describe, expect, it } from 'vitest'
import type { StoredLateCall, StoredPrediction } from '../../log/index.js'
import { moved, sumDetails, sumEndpoints } from './counts.js'
import { addBins, addSparse, countLatency, latencyBins, latencyQuantile, sparseBins } from './latency-bins.js'
import { BUCKET_MS, LiveWindow, seriesStart, windowStart } from './live-window.js'

const START_MS = Date.UTC(2026, 0, 1)
let seq = 0

function prediction(atMs: number, about: Partial<StoredPrediction> = {}): StoredPrediction {
  return {
    seq: ++seq,
    kind: 'prediction',
    id: String(seq),
    timeMs: atMs,
    endpoint: 'fraud',
    tenant: 'default',
    unit: null,
    rows: 1,
    protocol: 'native',
    route: [],
    calls: [
      {
        leaf: 'fraud/2',
        model: 'fraud',
        version: 2,
        role: 'primary',
        status: 'ok',
        latencyMs: 4,
        queueMs: 1,
        batchRows: 3,
      },
    ],
    flags: [],
    stages: { admit: 1, features: 0, route: 8, shape: 1 },
    cost: null,
    traceId: null,
    error: null,
    ...about,
  }
}

const overview = (nowMs: number, startedMs: number, ...windows: LiveWindow[]) => ({
  sinceMs: windowStart(nowMs, startedMs),
  endpoints: sumEndpoints(windows.map((window) => window.endpoints(nowMs, startedMs))),
  uncounted: windows[0]!.uncounted,
})
const endpoint = (name: string, nowMs: number, startedMs: number, ...windows: LiveWindow[]) =>
  sumDetails(
    name,
    windows.map((window) => window.endpoint(name, nowMs, startedMs)),
    { startMs: seriesStart(nowMs), bucketMs: BUCKET_MS },
  )

describe('latency bins', () => {
  it('give quantiles within a tenth of the exact ones', () => {
    let x = 1
    const values = Array.from({ length: 5000 }, () => {
      x = (x * 48_271) % 2_147_483_647
      return Math.exp((x / 2_147_483_647) * 8 - 2)
    })
    const half = [latencyBins(), latencyBins()] as const
    for (const [i, value] of values.entries()) countLatency(half[i % 2]!, value)
    const bins = latencyBins()
    addBins(bins, half[0])
    addSparse(bins, sparseBins(half[1]))
    const sorted = values.toSorted((a, b) => a - b)
    for (const q of [0.01, 0.5, 0.95, 0.99]) {
      const exact = sorted[Math.ceil(q * sorted.length) - 1]!
      expect(Math.abs(latencyQuantile(bins, q)! / exact - 1)).toBeLessThan(0.1)
    }
    expect(latencyQuantile(latencyBins(), 0.5)).toBeNull()
  })

  it('take what is shorter or longer than all of them', () => {
    const bins = latencyBins()
    countLatency(bins, 0)
    countLatency(bins, 1e9)
    expect(latencyQuantile(bins, 0.25)).toBe(0.05)
    expect(latencyQuantile(bins, 1)).toBeGreaterThan(80_000)
  })
})

describe('the live window', () => {
  it('counts the last minute and forgets the last quarter of an hour', () => {
    const window = new LiveWindow()
    const nowMs = START_MS + 1_000_000
    window.take([prediction(nowMs - 1_000_000), prediction(nowMs - 600_000), prediction(nowMs - 30_000)], nowMs)
    const [fraud, ...others] = overview(nowMs, START_MS, window).endpoints
    expect(others).toEqual([])
    expect(fraud).toMatchObject({ name: 'fraud', requests: 1, rows: 1, errors: 0, batchRows: 3 })
    expect(fraud!.p50Ms).toBeGreaterThan(9)
    expect(fraud!.p50Ms).toBeLessThan(11)
    expect(fraud!.history.reduce<number>((sum, n) => sum + (n ?? 0), 0)).toBe(2)
    expect(overview(nowMs + 890_000, START_MS, window).endpoints).toEqual([])
  })

  it('says the rate of the time that was counted, which may be less than a minute', () => {
    const window = new LiveWindow()
    const nowMs = START_MS + 5000
    window.take(
      Array.from({ length: 50 }, (_, i) => prediction(START_MS + i * 100)),
      nowMs,
    )
    expect(overview(nowMs, START_MS, window)).toMatchObject({
      sinceMs: START_MS,
      endpoints: [{ rate: 10 }],
    })
  })

  it('tells arms, versions, copies, errors and cached answers apart', () => {
    const window = new LiveWindow()
    const call = prediction(0).calls[0]!
    const route = [{ node: 'release', arm: 'candidate', probability: 0.05 }]
    const late: StoredLateCall = {
      seq: 1,
      kind: 'call',
      id: 'late',
      timeMs: START_MS,
      prediction: '1',
      endpoint: 'fraud',
      tenant: 'default',
      call: { ...call, leaf: 'fraud/3', version: 3, role: 'shadow', status: 'SERVING_RUN_FAILED' },
    }
    window.take(
      [
        prediction(START_MS, { route }),
        prediction(START_MS, { route, error: 'PATH_DEADLINE', calls: [{ ...call, status: 'PATH_DEADLINE' }] }),
        prediction(START_MS, { flags: ['cached'], calls: [{ ...call, cached: 'hit', batchRows: 0 }] }),
        late,
      ],
      START_MS,
    )
    const live = endpoint('fraud', START_MS + 1000, START_MS, window)
    expect(live).toMatchObject({
      requests: 3,
      errors: 1,
      cache: { hits: 1, coalesced: 0, stale: 0 },
      errorCodes: [{ code: 'PATH_DEADLINE', count: 1 }],
      flags: [{ flag: 'cached', count: 1 }],
      arms: [{ node: 'release', arm: 'candidate', requests: 2, errors: 1 }],
      versions: [
        { leaf: 'fraud/2', isShadow: false, calls: 3, errors: 1 },
        { leaf: 'fraud/3', isShadow: true, calls: 1, errors: 1 },
      ],
    })
  })

  it('has series of whole buckets that end before the one that is not over', () => {
    const window = new LiveWindow()
    window.take([prediction(START_MS + 5000), prediction(START_MS + 15_000)], START_MS + 19_000)
    const { series } = endpoint('fraud', START_MS + 19_000, START_MS, window)
    expect(series.requests).toHaveLength(89)
    expect(series.requests.at(-1)).toBe(1)
    expect(series.startMs + series.bucketMs * 89).toBe(START_MS + 10_000)
    expect(series.p50Ms.filter((value) => value !== null)).toHaveLength(1)
  })

  it('counts two thousand endpoints, says how many it left out, and takes them when others are forgotten', () => {
    const window = new LiveWindow()
    const records = Array.from({ length: 2003 }, (_, i) => prediction(START_MS, { endpoint: `e${i}` }))
    window.take(records, START_MS)
    const { endpoints, uncounted } = overview(START_MS, START_MS, window)
    expect([endpoints.length, uncounted]).toEqual([2000, 3])
    const laterMs = START_MS + 3_600_000
    expect(overview(laterMs, START_MS, window)).toMatchObject({ endpoints: [], uncounted: 0 })
    window.take([prediction(laterMs, { endpoint: 'e2002' })], laterMs)
    expect(overview(laterMs, START_MS, window).endpoints.map(({ name }) => name)).toEqual(['e2002'])
  })

  it('has zeros for an endpoint that nobody called', () => {
    const live = endpoint('nobody', START_MS, START_MS, new LiveWindow())
    expect(live).toMatchObject({ requests: 0, rate: 0, p50Ms: null, batchRows: null, arms: [], versions: [] })
  })

  it('of several nodes adds up to exactly what one would have counted', () => {
    const nowMs = START_MS + 900_000
    const nodes = [new LiveWindow(), new LiveWindow(), new LiveWindow()]
    const one = new LiveWindow()
    for (let i = 0; i < 3000; i++) {
      const record = prediction(nowMs - ((i * 7919) % 890_000), {
        endpoint: i % 5 === 0 ? 'churn' : 'fraud',
        error: i % 11 === 0 ? `CODE_${i % 3}` : null,
        flags: i % 7 === 0 ? ['cached'] : [],
        route: [{ node: 'ramp', arm: i % 2 === 0 ? 'candidate' : 'baseline', probability: 0.5 }],
        stages: { admit: 0, features: 0, route: (i * 31) % 977, shape: 0 },
      })
      one.take([record], nowMs)
      nodes[i % 3]!.take([record], nowMs)
    }
    const exactly = (value: unknown) => JSON.parse(JSON.stringify(value))
    expect(overview(nowMs, START_MS, ...nodes)).toEqual(overview(nowMs, START_MS, one))
    const sum = exactly(endpoint('fraud', nowMs, START_MS, ...nodes))
    const byArm = (a: { arm: string }, b: { arm: string }) => (a.arm < b.arm ? -1 : 1)
    const byCode = (a: { code: string }, b: { code: string }) => (a.code < b.code ? -1 : 1)
    const whole = exactly(endpoint('fraud', nowMs, START_MS, one))
    for (const figures of [sum, whole]) {
      figures.arms.sort(byArm)
      figures.errorCodes.sort(byCode)
    }
    expect(sum).toEqual(whole)
    expect(whole.requests).toBeGreaterThan(100)
  })

  it('of a while ago is moved to where it belongs', () => {
    expect(moved([1, 2, 3], 0, 0)).toEqual([1, 2, 3])
    expect(moved([1, 2, 3], 2, 0)).toEqual([3, 0, 0])
    expect(moved([1, 2, 3], 9, 0)).toEqual([0, 0, 0])
  })
})
