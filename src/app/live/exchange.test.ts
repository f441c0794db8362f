import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { ManualClock, testPlatform } from '../../core/index.js'
import type { PredictionLog, StoredRecord } from '../../log/index.js'
import { openSql, type Sql, StoreErrors } from '../../store/index.js'
import type { NodeView } from '../nodes/service.js'
import type { LiveTables } from './exchange-table.js'
import { type LiveService, openLive } from './open-live.js'

const patience = { timeout: 30_000 }

function prediction(seq: number, timeMs: number, routeMs: number, tenant = 'default'): StoredRecord {
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
    stages: { admit: 0, features: 0, route: routeMs, shape: 0 },
    cost: null,
    traceId: null,
    error: null,
  }
}

/** Nodes on one store; each has answered ten predictions more than the one before it, and slower ones. */
async function setUp(names: readonly string[]) {
  const sql = await openSql({ file: join(tempFolder(), 'metadata.db'), platform: testPlatform() })
  onTestFinished(() => sql.close())
  const gone = new Set<string>()
  const state = { isAway: false }
  const shared: Sql = {
    ...sql,
    db: () => {
      if (state.isAway) throw StoreErrors.UNAVAILABLE({ file: 'the metadata store', reason: 'gone' })
      return sql.db()
    },
  } as Sql
  const nodes = await Promise.all(
    names.map(async (name, i) => {
      const clock = new ManualClock()
      const records = Array.from({ length: 10 * (i + 1) }, (_, n) =>
        prediction(n + 1, clock.nowMs(), 1 + i * 10, n % 2 === 0 ? 'acme' : 'default'),
      )
      const log = {
        durableThrough: () => records.length,
        subscribe(from: number, batch: Parameters<PredictionLog['subscribe']>[1]) {
          const wanted = records.filter(({ seq }) => seq >= from)
          let isStopped = false
          void Promise.resolve().then(() => (isStopped || wanted.length === 0 ? undefined : batch(wanted)))
          return () => {
            isStopped = true
          }
        },
      }
      const list = async (): Promise<NodeView[]> => {
        if (state.isAway) throw StoreErrors.UNAVAILABLE({ file: 'the metadata store', reason: 'gone' })
        return names.map((id) => ({
          id,
          name: 'host',
          url: `http://${id}`,
          version: '1',
          isSelf: id === name,
          isGone: gone.has(id),
          startedMs: 0,
          reportedAgoMs: gone.has(id) ? 20_000 : 0,
          decision: 0,
          processes: [],
        }))
      }
      const closers: (() => Promise<void>)[] = []
      const live = await openLive({
        platform: testPlatform({ clock }),
        log,
        nodeId: name,
        shared: { sql: shared, nodes: { list } },
        onClose: (close) => closers.push(close),
      })
      const close = async () => {
        for (const closer of closers) await closer()
      }
      onTestFinished(close)
      return { name, clock, live, close }
    }),
  )
  const rows = async () => ({
    asked: await sql.db<LiveTables>().selectFrom('live_asked').selectAll().execute(),
    reports: await sql.db<LiveTables>().selectFrom('live_reports').selectAll().execute(),
  })
  /** Until `look` is as wanted, two seconds at a time: what nodes do then is done when the store has answered. */
  const until = <T>(look: () => Promise<T>, isThere: (value: T) => boolean, standing: readonly string[] = []) =>
    expect
      .poll(async () => {
        for (const { name, clock } of nodes) if (!standing.includes(name)) clock.advance(2_000)
        await new Promise((resolve) => setImmediate(resolve))
        return isThere(await look())
      }, patience)
      .toBe(true)
  return { nodes, gone, state, rows, until }
}

const requests = async (live: LiveService, question = {}) => (await live.overview(question)).endpoints[0]?.requests

describe('the live windows of several nodes', () => {
  it('are summed by whichever is asked, and one of them can be asked for', async () => {
    const { nodes, until } = await setUp(['a', 'b', 'c'])
    const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]]
    expect((await a.live.overview()).nodes.missing).toMatchObject([
      { id: 'b', reason: 'it has not said anything yet' },
      { id: 'c' },
    ])
    await until(
      () => requests(a.live),
      (n) => n === 60,
    )
    const { nodes: whose, endpoints } = await a.live.overview()
    expect(whose).toMatchObject({
      counted: [
        { id: 'a', isSelf: true },
        { id: 'b', url: 'http://b', isSelf: false },
        { id: 'c', isSelf: false },
      ],
      missing: [],
      isStoreAway: false,
    })
    // Ten of a millisecond, twenty of eleven and thirty of twenty-one: a mean of medians would be eleven, too, but not the p95.
    expect(endpoints[0]!.p50Ms).toBeGreaterThan(9)
    expect(endpoints[0]!.p50Ms).toBeLessThan(13)
    expect(endpoints[0]!.p95Ms).toBeGreaterThan(18)
    expect(await requests(a.live, { node: 'b' })).toBe(20)
    expect(await requests(a.live, { node: 'a' })).toBe(10)
    await until(
      () => requests(b.live),
      (n) => n === 60,
    )
    await until(
      async () => (await a.live.endpoint('fraud')).series.requests.reduce<number>((sum, n) => sum + (n ?? 0), 0),
      (n) => n === 60,
    )
    await until(
      () => requests(a.live, { tenant: 'acme' }),
      (n) => n === 30,
    )
  })

  it('say which is missing: one that is gone, and one that has stopped saying anything', async () => {
    const { nodes, gone, until } = await setUp(['a', 'b', 'c'])
    const [a] = nodes as [(typeof nodes)[0]]
    await until(
      () => requests(a.live),
      (n) => n === 60,
    )
    gone.add('b')
    await until(
      async () => (await a.live.overview()).nodes.missing,
      (missing) => missing.length === 2,
      ['b', 'c'],
    )
    const { nodes: whose, endpoints } = await a.live.overview()
    expect(whose.missing.map(({ id, reason }) => [id, reason])).toEqual([
      ['b', expect.stringMatching(/^it has not reported for 20 s: .*cut off$/)],
      ['c', expect.stringMatching(/^what it said last is \d+ s old$/)],
    ])
    expect([whose.counted.length, endpoints[0]!.requests]).toEqual([1, 10])
  })

  it('are this node’s alone while the metadata store is away, and say so', async () => {
    const { nodes, state, until } = await setUp(['a', 'b'])
    const [a] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
    await until(
      () => requests(a.live),
      (n) => n === 30,
    )
    state.isAway = true
    a.clock.advance(2_000)
    expect(await a.live.overview()).toMatchObject({
      nodes: { counted: [{ id: 'a' }], isStoreAway: true },
      endpoints: [{ requests: 10 }],
    })
    expect(await a.live.overview({ node: 'b' })).toMatchObject({
      nodes: { counted: [], isStoreAway: true },
      endpoints: [],
    })
    state.isAway = false
    await until(
      () => requests(a.live),
      (n) => n === 30,
    )
  })

  it('are written only while somebody asks, and taken away when nobody does or their node stops', async () => {
    const { nodes, rows, until } = await setUp(['a', 'b'])
    const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
    await until(rows, ({ asked, reports }) => asked.length === 0 && reports.length === 0)
    await until(
      () => requests(a.live),
      (n) => n === 30,
    )
    // Nobody asks b, so a writes nothing.
    expect((await rows()).reports.map(({ node }) => node)).toEqual(['b'])
    await until(rows, ({ reports }) => reports.length === 0)
    await until(
      () => requests(a.live),
      (n) => n === 30,
    )
    await b.close()
    expect((await rows()).reports).toEqual([])
    await a.close()
    expect((await rows()).asked).toEqual([])
  })
})
