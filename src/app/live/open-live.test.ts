import { describe, expect, it } from 'vitest'
import { ManualClock, testPlatform } from '../../core/index.js'
import type { PredictionLog, StoredRecord } from '../../log/index.js'
import { openLive } from './open-live.js'

type Batch = Parameters<PredictionLog['subscribe']>[1]

/** A log that gives its records when the test says so, and knows who reads it. */
function fakeLog(count: number) {
  const readings: { readonly from: number; readonly give: Batch; isStopped: boolean }[] = []
  return {
    readings,
    count,
    durableThrough() {
      return this.count
    },
    subscribe(from: number, give: Batch) {
      const reading = { from, give, isStopped: false }
      readings.push(reading)
      return () => {
        reading.isStopped = true
      }
    },
  }
}

function record(seq: number, timeMs: number, tenant = 'default'): StoredRecord {
  return {
    seq,
    kind: 'prediction',
    id: String(seq),
    timeMs,
    endpoint: 'fraud',
    tenant,
    unit: null,
    rows: 1,
    protocol: 'native',
    route: [],
    calls: [],
    flags: [],
    stages: { admit: 0, features: 0, route: 1, shape: 0 },
    cost: null,
    traceId: null,
    error: null,
  }
}

async function setUp(count: number) {
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  const log = fakeLog(count)
  const closers: (() => Promise<void>)[] = []
  const live = await openLive({
    platform,
    log,
    nodeId: 'here',
    shared: undefined,
    onClose: (close) => closers.push(close),
  })
  return { clock, log, live, closers }
}

describe('the live service', () => {
  it('reads nothing before somebody asks, then the newest records, and answers when it has read them', async () => {
    const { clock, log, live } = await setUp(50_000)
    expect(log.readings).toEqual([])
    const asked = live.overview()
    expect(log.readings.map(({ from }) => from)).toEqual([30_001])
    await log.readings[0]!.give([record(50_000, clock.nowMs())])
    expect(await asked).toMatchObject({ isCatchingUp: false, endpoints: [{ name: 'fraud', requests: 1 }] })
  })

  it('answers with what there is when reading takes longer, and says so', async () => {
    const { clock, log, live } = await setUp(10_000)
    const asked = live.overview()
    await log.readings[0]!.give([record(1, clock.nowMs())])
    clock.advance(500)
    expect(await asked).toMatchObject({ isCatchingUp: true, endpoints: [{ requests: 1 }] })
  })

  it('stops when nobody has asked for two minutes, and goes on where it was', async () => {
    const { clock, log, live } = await setUp(1)
    const first = live.overview()
    await log.readings[0]!.give([record(1, clock.nowMs())])
    await first
    clock.advance(100_000)
    await live.overview()
    clock.advance(100_000)
    expect(log.readings[0]!.isStopped).toBe(false)
    clock.advance(140_000)
    expect(log.readings[0]!.isStopped).toBe(true)
    log.count = 2
    const again = live.endpoint('fraud')
    expect(log.readings.map(({ from }) => from)).toEqual([1, 2])
    // What the first reading had under way is not counted twice.
    await log.readings[0]!.give([record(2, clock.nowMs())])
    await log.readings[1]!.give([record(2, clock.nowMs())])
    expect((await again).requests).toBe(1)
  })

  it('lets those who wait go when it closes', async () => {
    const { log, live, closers } = await setUp(10_000)
    const asked = live.overview()
    for (const close of closers) await close()
    expect(await asked).toMatchObject({ endpoints: [] })
    expect(log.readings[0]!.isStopped).toBe(true)
  })

  it('counts a tenant apart from its first question on, with what was written before, each record once', async () => {
    const { clock, log, live } = await setUp(4)
    const now = clock.nowMs()
    const all = live.overview()
    await log.readings[0]!.give([record(1, now), record(2, now, 'acme'), record(3, now), record(4, now, 'acme')])
    expect(await all).toMatchObject({ endpoints: [{ requests: 4 }] })
    const asked = live.overview({ tenant: 'acme' })
    expect(log.readings.map(({ from }) => from)).toEqual([1, 1])
    // The reading goes on while the tenant's catches up, and both bring the same record.
    await log.readings[0]!.give([record(5, now, 'acme'), record(6, now, 'globex')])
    await log.readings[1]!.give([
      record(2, now, 'acme'),
      record(3, now),
      record(4, now, 'acme'),
      record(5, now, 'acme'),
    ])
    expect(await asked).toMatchObject({ isCatchingUp: false, endpoints: [{ name: 'fraud', requests: 3 }] })
    expect(log.readings[1]!.isStopped).toBe(true)
    expect((await live.endpoint('fraud', { tenant: 'acme' })).requests).toBe(3)
  })

  it('says of the time before its counting nothing, and of the time before the log nothing happened', async () => {
    const { clock, log, live } = await setUp(1)
    const whole = live.endpoint('fraud')
    await log.readings[0]!.give([record(1, clock.nowMs())])
    expect((await whole).series.requests).toEqual(new Array(89).fill(0))
    expect((await whole).history.at(0)).toBe(0)
    // Nobody looks, and more is written than is read when somebody does again.
    clock.advance(120_000)
    log.count = 30_000
    clock.advance(180_000)
    const later = live.endpoint('fraud')
    await log.readings[1]!.give([record(30_000, clock.nowMs() - 100_000)])
    const { series, history } = await later
    expect(series.requests.filter((count) => count !== null).length).toBeLessThanOrEqual(10)
    expect(series.requests.reduce((sum: number, count) => sum + (count ?? 0), 0)).toBeLessThanOrEqual(1)
    expect(history.slice(0, 20)).toEqual(new Array(20).fill(null))
    expect(history.at(-1)).toBe(0)
  })

  it('counts no more than twenty tenants at once, until others have not been looked at for two minutes', async () => {
    const { clock, log, live } = await setUp(0)
    for (let i = 0; i < 20; i++) await live.overview({ tenant: `t${i}` })
    await expect(live.overview({ tenant: 't20' })).rejects.toMatchObject({ code: 'APP_LIVE_BUSY', status: 503 })
    for (let i = 0; i < 3; i++) {
      clock.advance(60_000)
      await live.overview({ tenant: 't1' })
    }
    expect(await live.overview({ tenant: 't20' })).toMatchObject({ endpoints: [] })
    expect(log.readings).toHaveLength(1)
  })

  it('knows only itself where the metadata store is its own', async () => {
    const { live } = await setUp(0)
    expect((await live.overview()).nodes).toMatchObject({ counted: [{ id: 'here', isSelf: true }], missing: [] })
    expect((await live.overview({ node: 'self' })).nodes.counted).toHaveLength(1)
    await expect(live.endpoint('fraud', { node: 'there' })).rejects.toMatchObject({ code: 'APP_NODE_NOT_FOUND' })
  })
})
