import { cpSync } from 'node:fs'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type FlowOptions, openFlow } from '../../../test/support/feature-flow.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { ManualClock, testPlatform } from '../../core/index.js'
import { column, count, defineEntity, defineFeatureView, kafkaSource, lastK, pushSource, sum } from '../index.js'
import type { OnlineStore } from '../online/types.js'

const user = defineEntity('user', { keys: { user_id: 'string' } })
const payments = pushSource('payments', {
  columns: { user_id: 'string', payment_id: 'string', amount: 'float64', merchant: 'string', cents: 'int64' },
  eventId: 'payment_id',
  lateness: '10m',
})
const velocity = defineFeatureView('velocity', {
  entities: [user],
  stream: payments,
  features: {
    payments_1h: count({ over: '1h' }),
    spend_1h: sum('amount', { over: '1h' }),
    merchants: lastK('merchant', 'string', 3, { over: '1h' }),
  },
})
const latest = defineFeatureView('latest', {
  entities: [user],
  stream: payments,
  features: { amount: column('float64'), cents: column('int64') },
})

async function flow(options: Partial<FlowOptions> = {}) {
  const clock = new ManualClock()
  const opened = await openFlow({
    folder: tempFolder(),
    definitions: [velocity, latest],
    platform: testPlatform({ clock }),
    ...options,
  })
  onTestFinished(() => opened.close())
  await opened.openAll()
  await opened.ingestor.start()
  const push = (...rows: Record<string, unknown>[]) =>
    opened.ingestor.push(
      'payments',
      rows.map((row) => ({ row, knownMs: opened.platform.clock.nowMs() })),
    )
  return { ...opened, clock, push }
}

describe('an ingestor', () => {
  it('takes pushed events into windows and rows of every view that they feed', async () => {
    const { push, read, clock } = await flow()
    const report = await push(
      { user_id: 'ann', payment_id: 'p1', amount: 5, merchant: 'm1', cents: '9007199254740993' },
      { user_id: 'ann', payment_id: 'p2', amount: 7, merchant: 'm2', event_timestamp: clock.nowMs() - 1000 },
      { user_id: 'bob', payment_id: 'p3', amount: 1, merchant: 'm1', cents: 3 },
    )
    expect(report).toEqual({ accepted: 3, late: 0, duplicates: 0, refused: 0, problems: [] })
    clock.advance(1)
    expect(await read('velocity', 'ann')).toEqual([2, 12, ['m1', 'm2']])
    expect(await read('latest', 'ann')).toEqual([5, 9007199254740993n])
    expect(await read('latest', 'bob')).toEqual([1, 3])
  })

  it("reads a number for an event's moment in seconds, as a file's", async () => {
    const { push, read, clock } = await flow()
    clock.advance(1)
    await push({ user_id: 'ann', payment_id: 'p1', amount: 5, event_timestamp: Math.floor(clock.nowMs() / 1000) - 60 })
    expect(await read('velocity', 'ann')).toEqual([1, 5, []])
  })

  it('counts an event id once, keeps a late event without counting it, and refuses what comes from the future', async () => {
    const { push, read, clock, quarantined, log } = await flow()
    const now = clock.nowMs()
    const report = await push(
      { user_id: 'ann', payment_id: 'p1', amount: 5, merchant: 'm1' },
      { user_id: 'ann', payment_id: 'p1', amount: 5, merchant: 'm1' },
      { user_id: 'ann', payment_id: 'p2', amount: 100, event_timestamp: now - 600_001 },
      { user_id: 'ann', payment_id: 'p3', amount: 1, event_timestamp: now - 600_000 },
      { user_id: 'ann', payment_id: 'p4', amount: 1, event_timestamp: now + 60_001 },
      { user_id: 'ann', payment_id: 'p5', amount: 'much' },
      { payment_id: 'p6', amount: 2 },
    )
    expect(report).toMatchObject({ accepted: 2, late: 1, duplicates: 1, refused: 3 })
    expect(report.problems.map(({ index, code }) => [index, code])).toEqual([
      [4, 'FEATURE_EVENT_FUTURE'],
      [5, 'FEATURE_VALUE_TYPE'],
      [6, 'FEATURE_EVENT_KEY_MISSING'],
    ])
    expect(quarantined.map(({ of, reason }) => [of, reason])).toEqual([
      ['payments', 'FEATURE_EVENT_FUTURE'],
      ['payments', 'FEATURE_VALUE_TYPE'],
      ['payments', 'FEATURE_EVENT_KEY_MISSING'],
    ])
    clock.advance(1)
    expect(await read('velocity', 'ann')).toEqual([2, 6, ['m1']])
    expect(Object.values(await log.head('payments'))).toEqual([4])
  })

  it('gives a new generation everything that was kept, and goes on feeding both', async () => {
    const { push, store, tables, view, ingestor, clock } = await flow()
    for (let i = 0; i < 1200; i++) await push({ user_id: `u${i % 7}`, payment_id: `p${i}`, amount: 1, merchant: 'm' })
    const velocityView = view('velocity')
    const { table } = await tables.begin(velocityView, null)
    await store.writeMark(table, { fingerprint: '', throughKnownMs: null, seamMs: null, keys: 0, writtenMs: 0 })
    await tables.join(table.name)
    const pushing = Promise.all(
      Array.from({ length: 50 }, (_, i) => push({ user_id: 'u0', payment_id: `q${i}`, amount: 1, merchant: 'm' })),
    )
    await ingestor.catchUp(table.name)
    await pushing
    await push({ user_id: 'u0', payment_id: 'last', amount: 1, merchant: 'm' })
    clock.advance(1)
    const reads = [tables.live(velocityView)!, table].map((one) => ({ table: one, keys: ['u0', 'u6'] }))
    const [old, next] = await store.read(reads, clock.nowMs())
    expect(next!.map((entry) => entry!.values)).toEqual(old!.map((entry) => entry!.values))
    expect(next![0]!.values[0]).toBe(Math.ceil(1200 / 7) + 51)
  })

  it('takes from its own log, after a kill before the first checkpoint, the records of a topic that it had', async () => {
    const clicks = kafkaSource('clicks', { topic: 'clicks', columns: { user_id: 'string' } })
    const activity = defineFeatureView('activity', {
      entities: [user],
      stream: clicks,
      features: { clicks: count({ over: '1h' }) },
    })
    const folder = tempFolder()
    const before = await flow({ folder, definitions: [activity] })
    const records = (...offsets: number[]) =>
      offsets.map((offset) => ({ row: { user_id: 'ann' }, knownMs: before.clock.nowMs(), offset }))
    await before.store.flush()
    await before.ingestor.take('clicks', '3', records(70, 71, 72), 73)
    const killed = tempFolder()
    cpSync(folder, killed, { recursive: true })
    const { ingestor, read, clock } = await flow({ folder: killed, definitions: [activity] })
    expect(await ingestor.position('clicks', '3')).toBe(73)
    await ingestor.take('clicks', '3', records(71, 72, 73), 74)
    clock.advance(1)
    expect(await read('activity', 'ann')).toEqual([4])
  })

  it('acknowledges while the store is down and catches up once it is back', async () => {
    let isDown = false
    const wrapStore = (store: OnlineStore): OnlineStore =>
      new Proxy(store, {
        get(target, name: keyof OnlineStore) {
          const value = target[name]
          if (typeof value !== 'function') return value
          return (...args: never[]) => {
            if (isDown && name.startsWith('write')) return Promise.reject(new Error('down'))
            return (value as (...args: never[]) => unknown).apply(target, args)
          }
        },
      })
    const { push, read, clock, ingestor, tables, view } = await flow({ wrapStore })
    isDown = true
    expect(await push({ user_id: 'ann', payment_id: 'p1', amount: 5, merchant: 'm1' })).toMatchObject({ accepted: 1 })
    expect(await push({ user_id: 'ann', payment_id: 'p2', amount: 5, merchant: 'm1' })).toMatchObject({ accepted: 1 })
    isDown = false
    for (const name of ['velocity', 'latest']) {
      const table = tables.live(view(name))!.name
      // One that began while it was down fails.
      await ingestor.catchUp(table).catch(() => ingestor.catchUp(table))
    }
    clock.advance(1)
    expect(await read('velocity', 'ann')).toEqual([2, 10, ['m1', 'm1']])
  })

  it('refuses more than may wait, saying when to come again', async () => {
    const { ingestor, clock } = await flow({ maxWaiting: 10 })
    const event = { row: { user_id: 'ann', payment_id: 'p', amount: 1 }, knownMs: clock.nowMs() }
    const first = ingestor.push('payments', Array(8).fill(event))
    await expect(ingestor.push('payments', Array(8).fill(event))).rejects.toMatchObject({
      code: 'FEATURE_INGEST_OVERLOADED',
      params: { retryAfterMs: 1000 },
    })
    await first
    await expect(ingestor.push('clicks', [event])).rejects.toMatchObject({ code: 'FEATURE_SOURCE_UNKNOWN' })
  })

  it('writes nothing more to a table that the store lost, and tells', async () => {
    const lost: string[] = []
    const { push, read, store, tables, view, clock } = await flow({ onLost: ({ name }) => lost.push(name) })
    await push({ user_id: 'ann', payment_id: 'p1', amount: 5, merchant: 'm1' })
    await store.drop(tables.live(view('velocity'))!.name)
    await push({ user_id: 'ann', payment_id: 'p2', amount: 5, merchant: 'm1' })
    clock.advance(1)
    expect(lost).toEqual(['velocity'])
    expect(await read('velocity', 'ann')).toBeUndefined()
    expect(await read('latest', 'ann')).toEqual([5, null])
  })
})
