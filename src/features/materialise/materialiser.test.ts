import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type ArrayHistory, arrayOffline, type FlowOptions, openFlow } from '../../../test/support/feature-flow.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { ManualClock, testPlatform } from '../../core/index.js'
import { FeatureErrors } from '../errors.js'
import { column, count, defineEntity, defineFeatureView, fileSource, pushSource, sum } from '../index.js'
import { createMaterialiser } from './materialiser.js'

const HOUR = 3_600_000
const user = defineEntity('user', { keys: { user_id: 'string' } })
const files = fileSource('profiles', { path: 'profiles.parquet', eventTime: 'at', knownTime: 'known' })
const profile = defineFeatureView('profile', {
  entities: [user],
  source: files,
  features: { score: column('float64') },
})
const orders = pushSource('orders', {
  columns: { user_id: 'string', order_id: 'string', amount: 'float64' },
  eventId: 'order_id',
  lateness: '1h',
})
const archive = fileSource('archive', { path: 'orders.parquet', eventTime: 'at', knownTime: 'known' })
const spend = defineFeatureView('spend', {
  entities: [user],
  source: archive,
  stream: orders,
  features: { orders_2d: count({ over: '2d' }), spend_2d: sum('amount', { over: '2d' }) },
})
const live = defineFeatureView('live', { entities: [user], stream: orders, features: { n: count({ over: '2d' }) } })

async function flow(history: Record<string, ArrayHistory>, options: Partial<FlowOptions> = {}) {
  const clock = options.platform ? (options.platform.clock as ManualClock) : new ManualClock()
  const opened = await openFlow({
    folder: tempFolder(),
    definitions: [profile, spend, live],
    offline: arrayOffline(history),
    fillAtStart: false,
    ...options,
    platform: options.platform ?? testPlatform({ clock }),
  })
  let isClosed = false
  const close = async () => {
    if (!isClosed) await opened.close()
    isClosed = true
  }
  onTestFinished(close)
  const push = (user_id: string, order_id: string, amount: number, eventMs = clock.nowMs()) =>
    opened.ingestor.push('orders', [
      { row: { user_id, order_id, amount, event_timestamp: eventMs }, knownMs: clock.nowMs() },
    ])
  return { ...opened, clock, push, close }
}

const T0 = new ManualClock().nowMs()
const row = (key: string, score: number, eventMs = T0 - HOUR, knownMs = eventMs) => ({
  key,
  eventMs,
  knownMs,
  values: [score],
})
const rows = (n: number, score = 1) => Array.from({ length: n }, (_, i) => row(`u${String(i).padStart(3, '0')}`, score))
const order = (key: string, id: string, amount: number, eventMs: number, knownMs = eventMs) => ({
  key,
  id,
  eventMs,
  knownMs,
  values: [amount],
})

describe('a materialiser', () => {
  it('fills a view again while the rows of the last time are still being judged, and closes when they are', async () => {
    const history = { profile: { rows: rows(3), events: [] } }
    const opened = await flow(history)
    let judged = () => {}
    const judging = new Promise<void>((resolve) => {
      judged = resolve
    })
    const materialiser = createMaterialiser({
      ...opened,
      platform: testPlatform({ clock: opened.clock }),
      offline: arrayOffline(history),
      quarantine: { put: async () => {} },
      checks: { before: async () => {}, after: () => judging },
    })
    const first = materialiser.materialise({ view: 'profile' })
    await vi.waitFor(() => expect(opened.tables.live(opened.view('profile'))?.name).toBe('profile@1.1'), 30_000)
    await vi.waitFor(async () => expect((await materialiser.status())[0]?.running).toBeNull(), 30_000)
    const second = materialiser.materialise({ view: 'profile', full: true })
    await vi.waitFor(() => expect(opened.tables.live(opened.view('profile'))?.name).toBe('profile@1.2'), 30_000)
    let isClosed = false
    const closed = materialiser.close().then(() => {
      isClosed = true
    })
    await vi.waitFor(async () => expect((await materialiser.status())[0]?.running).toBeNull(), 30_000)
    expect(isClosed).toBe(false)
    judged()
    await closed
    expect([(await first).mode, (await second).mode]).toEqual(['full', 'full'])
  })

  it('tries a scheduled view whose source cannot be read every half minute, not again and again', async () => {
    let tries = 0
    const offline = {
      ...arrayOffline({}),
      newestKnownMs: async () => {
        tries++
        throw new Error('No file is there.')
      },
    }
    const hourly = defineFeatureView('spend', {
      entities: [user],
      source: archive,
      stream: orders,
      every: '1h',
      features: { orders_2d: count({ over: '2d' }) },
    })
    const { materialiser, clock } = await flow({}, { definitions: [hourly], offline, fillAtStart: true })
    await materialiser.start()
    await vi.waitFor(() => expect(tries).toBe(1), 30_000)
    // Each status asks the database, as a try does.
    for (let turn = 0; turn < 20; turn++) {
      clock.advance(50)
      await materialiser.status()
    }
    expect(tries).toBe(1)
    clock.advance(30_000)
    await vi.waitFor(() => expect(tries).toBe(2), 30_000)
  })

  it('fills a new generation, switches to it by a decision, and undoes that', async () => {
    const { materialiser, read, tables, view, decisions, store } = await flow({ profile: { rows: rows(10) } })
    expect(await read('profile', 'u001')).toBeUndefined()
    expect(await materialiser.materialise({ view: 'profile' })).toMatchObject({
      table: 'profile@1.1',
      mode: 'full',
      keys: 10,
    })
    expect(await read('profile', 'u001')).toEqual([1])
    await materialiser.materialise({ view: 'profile', full: true })
    expect(tables.live(view('profile'))?.name).toBe('profile@1.2')
    // The one before is written to as well until its time of grace is over.
    expect(tables.writing(view('profile')).map(({ name }) => name)).toEqual(['profile@1.1', 'profile@1.2'])
    const [switched] = await decisions.list()
    expect(switched).toMatchObject({
      change: { kind: 'features.switch', subject: 'profile' },
      before: { table: 'profile@1.1' },
    })
    await decisions.undo(switched!.id, { kind: 'person', name: 'ann' })
    await tables.refresh()
    expect(tables.live(view('profile'))?.name).toBe('profile@1.1')
    expect(await store.readMark(tables.live(view('profile'))!)).toMatchObject({ keys: 10, throughKnownMs: T0 })
  })

  it('takes in what became known since the last run, however long ago it happened', async () => {
    const history = { profile: { rows: rows(3) } }
    const { materialiser, read, clock, tables, view } = await flow(history)
    await materialiser.materialise({ view: 'profile' })
    clock.advance(HOUR)
    history.profile.rows.push(row('u001', 5, T0 - HOUR + 1, T0 + 10), row('new', 6, T0 - 90 * 24 * HOUR, T0 + 10))
    history.profile.rows.push(row('u002', 0, T0 - 2 * HOUR, T0 + 10))
    expect(await materialiser.materialise({ view: 'profile' })).toMatchObject({ mode: 'incremental', keys: 3 })
    expect(tables.live(view('profile'))?.name).toBe('profile@1.1')
    expect(await read('profile', 'u001')).toEqual([5])
    expect(await read('profile', 'u002')).toEqual([1])
    expect(await read('profile', 'new')).toEqual([6])
  })

  it('joins the batch source and the stream without gap or overlap', async () => {
    const clock = new ManualClock()
    const platform = testPlatform({ clock })
    const history = { spend: { events: [] as ReturnType<typeof order>[] } }
    const { materialiser, push, read } = await flow(history, { platform })
    // The stream begins; some of what it brings is late, and all of it reaches the archive when it is known.
    let expected = 0
    for (let i = 0; i < 300; i++) {
      clock.advance(10 * 60_000)
      const now = clock.nowMs()
      const eventMs = now - (i % 7) * 9 * 60_000
      if (i === 0) history.spend.events.push(order('ann', 'before', 1000, now - 30 * 24 * HOUR, now))
      await push('ann', `o${i}`, i, eventMs)
      // The archive is written up to some hours ago.
      if (i < 260) history.spend.events.push(order('ann', `o${i}`, i, eventMs, now))
    }
    clock.advance(1)
    const now = clock.nowMs()
    const hop = 3_600_000
    const start = Math.floor((now - 48 * HOUR) / hop) * hop
    let count = 0
    for (let i = 0; i < 300; i++) {
      const eventMs = T0 + (i + 1) * 600_000 - (i % 7) * 9 * 60_000
      if (eventMs >= start && eventMs < now) {
        count++
        expected += i
      }
    }
    const report = await materialiser.materialise({ view: 'spend' })
    expect(report.seamMs).toBeGreaterThan(start)
    expect(await read('spend', 'ann')).toEqual([count, expected])
    await push('ann', 'next', 1)
    clock.advance(1)
    expect(await read('spend', 'ann')).toEqual([count + 1, expected + 1])
  })

  it('fills everything again after a full run that was interrupted, also when the store lost what that had filled', async () => {
    const history = { profile: { rows: rows(3) } }
    const offline = arrayOffline(history)
    let isBroken = false
    const { materialiser, read, store, tables, view } = await flow(history, {
      offline: {
        ...offline,
        newestRows: (...given) => {
          if (isBroken) throw new Error('gone')
          return offline.newestRows(...given)
        },
      },
    })
    await materialiser.materialise({ view: 'profile' })
    // Not known later than what is there: an incremental run would not see it.
    history.profile.rows = rows(3, 2)
    isBroken = true
    await expect(materialiser.materialise({ view: 'profile', full: true })).rejects.toThrow('gone')
    const unfinished = tables.generations(view('profile')).find(({ isLive }) => !isLive)!
    await store.drop(unfinished.table.name)
    isBroken = false
    expect(await materialiser.materialise({ view: 'profile' })).toMatchObject({ mode: 'full', keys: 3 })
    expect(await read('profile', 'u001')).toEqual([2])
    expect(tables.generations(view('profile')).every(({ row: { state } }) => state === 'whole')).toBe(true)
  })

  it('lets one run per view, and cancels it', async () => {
    const { materialiser, tables, view } = await flow({ profile: { rows: rows(50) } })
    const first = materialiser.materialise({ view: 'profile' })
    await expect(materialiser.materialise({ view: 'profile' })).rejects.toMatchObject({
      code: 'FEATURE_MATERIALISE_RUNNING',
    })
    expect(materialiser.cancel('profile')).toBe(true)
    await expect(first).rejects.toMatchObject({ code: 'FEATURE_MATERIALISE_CANCELLED' })
    expect(tables.live(view('profile'))).toBeUndefined()
    const { last } = (await materialiser.status()).find((one) => one.view === 'profile')!
    expect(last).toMatchObject({ state: 'cancelled', problem: null })
    await expect(materialiser.materialise({ view: 'no' })).rejects.toMatchObject({ code: 'FEATURE_VIEW_UNKNOWN' })
  })

  it('reads the old definition until a changed one is filled', async () => {
    const folder = tempFolder()
    const history = { profile: { rows: rows(3) } }
    const before = await flow(history, { folder })
    await before.materialiser.materialise({ view: 'profile' })
    await before.close()
    const changed = defineFeatureView('profile', {
      entities: [user],
      source: files,
      version: 2,
      features: { rank: column('int64'), score: column('float64') },
    })
    const wide = { profile: { rows: history.profile.rows.map((one) => ({ ...one, values: [7, ...one.values] })) } }
    const platform = testPlatform({ clock: new ManualClock(), seed: 2 })
    const after = await flow(wide, { folder, definitions: [changed], platform })
    const old = after.tables.live(after.view('profile'))!
    expect(old).toMatchObject({ name: 'profile@1.1', view: { version: 1, features: [{ name: 'score' }] } })
    expect(await after.read('profile', 'u001')).toEqual([1])
    await after.materialiser.materialise({ view: 'profile' })
    expect(after.tables.live(after.view('profile'))?.name).toBe('profile@2.2')
    expect(await after.read('profile', 'u001')).toEqual([7, 1])
  })

  it('reads windows with filters of the old definition, and goes on writing them while the filters are still there', async () => {
    const folder = tempFolder()
    const large = { where: ({ amount }: Readonly<Record<string, unknown>>) => (amount as number) > 10 }
    const define = (features: Parameters<typeof defineFeatureView>[1]['features']) =>
      defineFeatureView('live', { entities: [user], stream: orders, features })
    const small = count({ over: '2d', where: ({ amount }) => (amount as number) <= 10 })
    const before = await flow(
      {},
      { folder, definitions: [define({ all: count({ over: '2d' }), small, large: count({ over: '2d', ...large }) })] },
    )
    await before.materialiser.materialise({ view: 'live' })
    await before.push('ann', 'o1', 5)
    await before.push('ann', 'o2', 15)
    await before.push('ann', 'o3', 25)
    before.clock.advance(1)
    expect(await before.read('live', 'ann')).toEqual([3, 1, 2])
    await before.close()

    const platform = (seed: number) => testPlatform({ clock: new ManualClock(T0 + 1), seed })
    const grown = [define({ sum: sum('amount', { over: '2d' }), small, large: count({ over: '2d', ...large }) })]
    const after = await flow({}, { folder, definitions: grown, platform: platform(2) })
    expect(await after.read('live', 'ann')).toEqual([3, 1, 2])
    await after.push('ann', 'o4', 35)
    after.clock.advance(1)
    expect(await after.read('live', 'ann')).toEqual([4, 1, 3])
    await after.close()

    // Columns of other types are other columns: what is summed up is no longer the same.
    const texts = pushSource('orders', { columns: { user_id: 'string', order_id: 'string', amount: 'string' } })
    const retyped = defineFeatureView('live', {
      entities: [user],
      stream: texts,
      features: { n: count({ over: '2d', ...large }) },
    })
    const other = await flow({}, { folder, definitions: [retyped], platform: platform(4) })
    expect(other.tables.writing(other.view('live'))).toEqual([])
    await other.close()

    // Without the filter's code nothing more is counted, rather than wrongly.
    const without = await flow({}, { folder, definitions: [define({ small })], platform: platform(3) })
    expect(await without.read('live', 'ann', T0 + 3)).toEqual([4, 1, 3])
    await without.push('ann', 'o5', 5)
    expect(await without.read('live', 'ann', T0 + 3)).toEqual([4, 1, 3])
    await without.materialiser.materialise({ view: 'live' })
    expect(await without.read('live', 'ann', T0 + 3)).toEqual([2])
  })

  it('reads the position again when somebody else moved it while it caught up', async () => {
    let refused = 0
    const wrapStore: NonNullable<FlowOptions['wrapStore']> = (store) =>
      new Proxy(store, {
        get(_, name: keyof typeof store) {
          if (name === 'writeStates' && refused++ === 0)
            return () => Promise.reject(FeatureErrors.POSITION_MOVED({ table: 'live@1.1', stream: 'orders' }))
          const value = store[name]
          return typeof value === 'function' ? value.bind(store) : value
        },
      })
    const { materialiser, push, read, clock } = await flow({}, { wrapStore })
    await push('ann', 'o1', 1)
    clock.advance(1)
    await materialiser.materialise({ view: 'live' })
    expect(refused).toBeGreaterThan(1)
    expect(await read('live', 'ann')).toEqual([1])
  })

  it('knows an id again when events are taken in from the log long after they arrived', async () => {
    const { materialiser, push, read, clock } = await flow({})
    await materialiser.materialise({ view: 'live' })
    // More than are taken in at once lie between the two.
    await push('ann', 'twice', 1)
    for (let i = 0; i < 600; i++) await push('ann', `o${i}`, 1)
    clock.advance(10_000)
    await push('ann', 'twice', 1, T0)
    clock.advance(24 * HOUR)
    expect(await read('live', 'ann')).toEqual([601])
    await materialiser.materialise({ view: 'live', full: true })
    expect(await read('live', 'ann')).toEqual([601])
  })

  it('writes rows by the names of their features into a generation of an earlier definition', async () => {
    const folder = tempFolder()
    const define = (features: Parameters<typeof defineFeatureView>[1]['features']) =>
      defineFeatureView('state', { entities: [user], stream: orders, features })
    const before = await flow(
      {},
      { folder, definitions: [define({ amount: column('float64'), order_id: column('string') })] },
    )
    await before.materialiser.materialise({ view: 'state' })
    await before.close()
    const platform = testPlatform({ clock: new ManualClock(), seed: 2 })
    const changed = define({
      order_id: column('string'),
      other: column('string', { from: 'user_id' }),
      amount: column('float64'),
    })
    const after = await flow({}, { folder, definitions: [changed], platform })
    const state = after.view('state')
    const written = { key: 'ann', eventMs: T0, knownMs: T0, values: ['o1', 'x', 5] }
    expect(await after.ingestor.writeRows(state, [written])).toBe(1)
    expect(await after.read('state', 'ann')).toEqual([5, 'o1'])
  })

  it('fills a stream view from the event log, and again when the store comes back empty', async () => {
    const { materialiser, push, read, store, tables, view, clock, ingestor } = await flow({})
    await push('ann', 'o1', 1)
    await materialiser.start()
    await ingestor.start()
    clock.advance(1)
    await expect.poll(() => read('live', 'ann')).toEqual([1])
    await push('ann', 'o2', 1)
    const first = tables.live(view('live'))!
    await store.drop(first.name)
    clock.advance(2_000)
    await expect.poll(() => read('live', 'ann')).toEqual([2])
    expect(tables.live(view('live'))?.name).not.toBe(first.name)
  })

  it('takes over what another replica filled in a shared store, without filling it again', async () => {
    const events = [order('ann', 'o1', 5, T0 - HOUR)]
    const first = await flow({ spend: { events } })
    await first.materialiser.materialise({ view: 'spend' })
    await first.push('ann', 'o2', 7)
    const platform = testPlatform({ clock: new ManualClock(), seed: 3 })
    const second = await flow({ spend: { events: [] } }, { platform, store: first.store })
    expect(await second.materialiser.materialise({ view: 'spend' })).toMatchObject({ table: 'spend@1.1' })
    expect(await second.read('spend', 'ann', T0 + 1)).toEqual([2, 12])
    expect(await second.materialiser.materialise({ view: 'spend', full: true })).toMatchObject({ table: 'spend@1.2' })
  })

  it('drops what was switched from after its time of grace', async () => {
    const { materialiser, store, clock, tables, view, decisions } = await flow({ profile: { rows: rows(3) } })
    await materialiser.materialise({ view: 'profile' })
    await materialiser.materialise({ view: 'profile', full: true })
    await materialiser.start()
    clock.advance(3_600_000)
    const later = () => {
      clock.advance(60_000)
      return store.tables()
    }
    await expect.poll(later).not.toContain('profile@1.1')
    await expect.poll(() => tables.generations(view('profile')).length).toBe(1)
    const [switched] = await decisions.list({ subject: 'profile' })
    await expect(decisions.undo(switched!.id, { kind: 'person', name: 'ann' })).rejects.toMatchObject({
      code: 'FEATURE_SWITCH_INVALID',
    })
  })
})
