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

function record(seq: number, timeMs: number): StoredRecord {
  return {
    seq,
    kind: 'prediction',
    id: String(seq),
    timeMs,
    endpoint: 'fraud',
    tenant: 'default',
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

function setUp(count: number) {
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  const log = fakeLog(count)
  const closers: (() => Promise<void>)[] = []
  const live = openLive({ platform, log, onClose: (close) => closers.push(close) })
  return { clock, log, live, closers }
}

describe('the live service', () => {
  it('reads nothing before somebody asks, then the newest records, and answers when it has read them', async () => {
    const { clock, log, live } = setUp(50_000)
    expect(log.readings).toEqual([])
    const asked = live.overview()
    expect(log.readings.map(({ from }) => from)).toEqual([30_001])
    await log.readings[0]!.give([record(50_000, clock.nowMs())])
    expect(await asked).toMatchObject({ isCatchingUp: false, endpoints: [{ name: 'fraud', requests: 1 }] })
  })

  it('answers with what there is when reading takes longer, and says so', async () => {
    const { clock, log, live } = setUp(10_000)
    const asked = live.overview()
    await log.readings[0]!.give([record(1, clock.nowMs())])
    clock.advance(500)
    expect(await asked).toMatchObject({ isCatchingUp: true, endpoints: [{ requests: 1 }] })
  })

  it('stops when nobody has asked for two minutes, and goes on where it was', async () => {
    const { clock, log, live } = setUp(1)
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
    const { log, live, closers } = setUp(10_000)
    const asked = live.overview()
    for (const close of closers) await close()
    expect(await asked).toMatchObject({ endpoints: [] })
    expect(log.readings[0]!.isStopped).toBe(true)
  })
})
