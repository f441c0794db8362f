import { describe, expect, it } from 'vitest'
import { HeadraceError, ManualClock, testPlatform } from '../../core/index.js'
import { compileFeatures } from '../compile.js'
import type { CompiledView, FeatureProject } from '../compiled.js'
import {
  column,
  count,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  defineOnDemandView,
  type Entity,
  pushSource,
  selectAs,
} from '../index.js'
import type { OnlineAnswer, OnlineEntry, OnlineRead } from '../online/types.js'
import { createFeatureReader } from './reader.js'
import type { FeatureRequest } from './types.js'

const user = defineEntity('user', { keys: { user_id: 'string' } })
const pair = defineEntity('pair', { keys: { user_id: 'string', item_id: 'int64' } })
const source = pushSource('events', {
  columns: { spend: 'float64', other: 'float64', user_id: 'string', item_id: 'int64', other_id: 'string' },
})
const spend = defineFeatureView('spend', {
  entities: [user],
  stream: source,
  ttl: '1h',
  features: { spend: column('float64', { default: -1 }) },
})
const visits = defineFeatureView('visits', {
  entities: [user],
  stream: source,
  features: { visits: count({ over: '1h' }) },
})
const affinity = defineFeatureView('affinity', {
  entities: [pair],
  stream: source,
  features: { other: column('float64') },
})
const doubled = defineOnDemandView('doubled', {
  views: [spend],
  request: {},
  features: { double: { type: 'float64' } },
  transform: ({ spend: row }) => ({ double: (row.spend ?? 0) * 2 }),
})
const current = compileFeatures([
  defineFeatureService('a', [spend, visits]),
  defineFeatureService('b', [spend, affinity]),
  defineFeatureService('c', [selectAs(affinity, { spend: 'other' })]),
  defineFeatureService('d', [doubled]),
])

const AT_MS = 10_000_000
type Respond = (reads: readonly OnlineRead[]) => OnlineAnswer | Promise<OnlineAnswer>

function setUp(
  respond: Respond = (reads) => reads.map(({ keys }) => keys.map(() => undefined)),
  project: FeatureProject = current,
  live: (view: CompiledView) => CompiledView = (view) => view,
) {
  const clock = new ManualClock()
  const platform = testPlatform({ clock })
  const asked: (readonly OnlineRead[])[] = []
  const reader = createFeatureReader({
    platform,
    project,
    tables: { live: (view) => ({ view: live(view), name: `${view.table}.1` }) },
    store: {
      read(reads) {
        asked.push(reads)
        return respond(reads)
      },
    },
  })
  const read = (services: readonly string[], request: Partial<FeatureRequest> = {}) =>
    reader.read(reader.plan(services), {
      rows: 1,
      keys: new Map([['user_id', ['u1']]]),
      given: new Map(),
      atMs: AT_MS,
      budgetMs: 20,
      ...request,
    })
  return { clock, platform, reader, read, asked }
}

const entry = (values: OnlineEntry['values'], ageMs = 0): OnlineEntry => ({ eventMs: AT_MS - ageMs, values })
const all =
  (found: OnlineEntry | undefined): Respond =>
  (reads) =>
    reads.map(({ keys }) => keys.map(() => found))

describe('a reading of what an earlier definition made', () => {
  const versionOf = (features: Parameters<typeof defineFeatureView>[1]['features'], entity: Entity = user) => {
    const view = defineFeatureView('profile', { entities: [entity], stream: source, features })
    const both = defineOnDemandView('both', {
      views: [view],
      request: {},
      features: { sum: { type: 'float64' } },
      transform: ({ profile }) => {
        const row = profile as Record<string, number | null>
        return { sum: (row['spend'] ?? 0) + (row['other'] ?? 0) }
      },
    })
    return compileFeatures([defineFeatureService('p', [view, both])])
  }
  const before = versionOf({
    dropped: column('float64', { from: 'other' }),
    spend: column('float64'),
    retyped: column('string', { from: 'user_id' }),
  })
  const now = versionOf({
    spend: column('float64', { default: -1 }),
    retyped: column('int64', { from: 'item_id', default: 9 }),
    other: column('float64', { default: -2 }),
  })
  const rowOf = async (answered: ReturnType<ReturnType<typeof setUp>['read']>) => {
    const { plan, values, sources, gaps, hasDefaults } = await answered
    const of = <T>(lists: readonly (readonly T[])[]) =>
      Object.fromEntries(plan.features.map(({ name }, column) => [name, lists[column]![0]]))
    return { values: of(values), sources: of(sources), gaps: of(gaps), hasDefaults }
  }

  it('takes values by the names that the features had; what was not there, or of another type, gets its default', async () => {
    const { read } = setUp(all(entry([5, 6, 'seven'])), now, ({ name }) => before.views.get(name)!)
    expect(await rowOf(read(['p']))).toEqual({
      values: { spend: 6, retyped: 9, other: -2, sum: 4 },
      sources: { spend: 'online', retyped: 'default', other: 'default', sum: 'on-demand' },
      gaps: { spend: 'none', retyped: 'missing', other: 'missing', sum: 'none' },
      hasDefaults: true,
    })
  })

  it('does not look up an entity of other keys', async () => {
    const other = defineEntity('other', { keys: { other_id: 'string' } })
    const old = versionOf({ spend: column('float64') }, other)
    const { read, asked } = setUp(all(entry([5])), now, ({ name }) => old.views.get(name)!)
    expect((await rowOf(read(['p']))).values).toMatchObject({ spend: -1 })
    expect(asked).toEqual([])
  })
})

describe('a reading', () => {
  it('answers at once where the store does, and reads each view of all services once', () => {
    const { read, asked } = setUp(all(entry([5])))
    const keys = new Map<string, (string | number)[]>([
      ['user_id', ['u1']],
      ['item_id', [3]],
    ])
    const served = read(['b', 'a'], { keys })
    expect(served).not.toBeInstanceOf(Promise)
    expect(asked).toHaveLength(1)
    expect(asked[0]!.map(({ table }) => table.view.name).sort()).toEqual(['affinity', 'spend', 'visits'])
    expect(asked[0]!.find(({ table }) => table.view.name === 'affinity')!.keys).toEqual(['u1|3'])
  })

  it('keeps apart what two services mean by one name', async () => {
    const { reader, read } = setUp((reads) =>
      reads.map(({ table, keys }) => keys.map(() => entry([table.view.name === 'spend' ? 1 : 2]))),
    )
    const keys = new Map<string, (string | number)[]>([
      ['user_id', ['u1']],
      ['item_id', [3]],
    ])
    const plan = reader.plan(['a', 'c'])
    const { values } = await read(['a', 'c'], { keys })
    expect(values[plan.columnsOf('a').get('spend')!]).toEqual([1])
    expect(values[plan.columnsOf('c').get('spend')!]).toEqual([2])
  })

  it.each([
    [0, 5, 'online', 'none'],
    [3_600_000, 5, 'online', 'none'],
    [3_600_001, -1, 'default', 'expired'],
  ])('takes a row of age %i ms for %d, by a time to live of an hour', async (ageMs, value, from, gap) => {
    const { read } = setUp(all(entry([5], ageMs)))
    const { values, sources, gaps, agesMs, isDegraded } = await read(['a'])
    expect([values[0]![0], sources[0]![0], gaps[0]![0], agesMs[0]![0]]).toEqual([value, from, gap, ageMs])
    expect(isDegraded).toBe(gap === 'expired')
  })

  it('asks for every distinct key once', async () => {
    const { read, asked } = setUp(all(entry([5])))
    await read(['a'], { rows: 4, keys: new Map([['user_id', ['x', 'y', 'x', undefined]]]) })
    expect(asked[0]!.map(({ keys }) => keys)).toEqual([
      ['x', 'y'],
      ['x', 'y'],
    ])
  })

  it('gives a row without an entity its defaults', async () => {
    const { read } = setUp(all(entry([5])))
    const { values, gaps } = await read(['a'], { rows: 2, keys: new Map([['user_id', ['x', undefined]]]) })
    expect(values[0]).toEqual([5, -1])
    expect(gaps[0]).toEqual(['none', 'no-key'])
  })

  it.each(['at once', 'later'])(
    'of thousands of rows lets others in between, and is what one of them all would be (%s)',
    async (when) => {
      const rowsOf = (reads: readonly OnlineRead[]) =>
        reads.map(({ keys }) => keys.map((key) => (key.endsWith('7') ? undefined : entry([Number(key)], Number(key)))))
      const { read, asked } = setUp((reads) => (when === 'at once' ? rowsOf(reads) : Promise.resolve(rowsOf(reads))))
      const rows = 2600
      const ids = Array.from({ length: rows }, (_, i) => (i % 11 === 0 ? undefined : String(i % 1000)))
      const request = { rows, keys: new Map([['user_id', ids]]), given: new Map([['amount', ids.map(() => 1)]]) }
      const whole = await read(['a'], request)
      expect(asked.length).toBe(11)
      expect(Math.max(...asked.flat().map(({ keys }) => keys.length))).toBeLessThanOrEqual(250)
      const part = (from: number) => ({
        rows: 1000,
        keys: new Map([['user_id', ids.slice(from, from + 1000)]]),
        given: new Map([['amount', ids.slice(from, from + 1000).map(() => 1)]]),
      })
      for (const from of [0, 700, 1600]) {
        const some = await read(['a'], part(from))
        for (const list of ['values', 'sources', 'gaps', 'agesMs'] as const)
          expect(whole[list].map((column) => column.slice(from, from + 1000))).toEqual(some[list])
      }
      expect([whole.rows, whole.isDegraded, whole.keys]).toEqual([rows, true, request.keys])
      // Columns of one view share what is said of their rows.
      expect(new Set(whole.sources).size).toBe(2)
      const wrong = ids.map((_, row) => (row === 1700 ? 'much' : 1))
      await expect(read(['a'], { ...request, given: new Map([['spend', wrong]]) })).rejects.toThrow('of row 1700')
    },
  )

  it('of thousands of rows waits for the store no longer than its budget in all', async () => {
    const { read, asked, clock } = setUp(() => new Promise(() => {}))
    const keys = new Map([['user_id', Array.from({ length: 3000 }, (_, i) => String(i))]])
    const reading = read(['a'], { rows: 3000, keys })
    for (let i = 0; i < 5; i++) {
      await Promise.resolve()
      clock.advance(20)
    }
    const { gaps } = await reading
    expect(asked).toHaveLength(1)
    expect(new Set(gaps[0])).toEqual(new Set(['timeout']))
  })

  it('gives the defaults of a transform that answers later, and outlives how it ends', async () => {
    const late = defineOnDemandView('late', {
      views: [spend],
      request: {},
      features: { twice: { type: 'float64', default: -3 } },
      transform: (async () => {
        throw new Error('nobody hears this')
      }) as never,
    })
    const { read } = setUp(all(entry([5])), compileFeatures([defineFeatureService('late', [late])]))
    const { values, gaps } = await read(['late'])
    expect([values, gaps]).toEqual([[[-3]], [['failed']]])
  })

  it('computes on-demand features from what the request overrides', async () => {
    const { read } = setUp(all(entry([5])))
    expect((await read(['d'])).values).toEqual([[10]])
    const { values } = await read(['a', 'd'], { given: new Map([['spend', [7]]]) })
    expect(values.flat()).toContain(14)
  })

  it('throws for a missing key, or leaves it to whoever assembles', async () => {
    const { read } = setUp(all(entry([5])))
    const code = (work: () => unknown) => {
      try {
        work()
      } catch (error) {
        return error instanceof HeadraceError ? error.code : error
      }
      return undefined
    }
    expect(code(() => read(['a'], { keys: new Map() }))).toBe('FEATURE_KEY_MISSING')
    expect(code(() => read(['a', 'b']))).toBeUndefined()
    const { lacking } = await read(['a', 'b'])
    expect([...lacking].map(([service, error]) => [service, error.code])).toEqual([['b', 'FEATURE_KEY_MISSING']])
    expect(code(() => read(['a'], { keys: new Map(), mayLack: true }))).toBeUndefined()
    expect(code(() => read(['a'], { given: new Map([['spend', ['much']]]) }))).toBe('FEATURE_VALUE_TYPE')
    expect(code(() => read(['nobody']))).toBe('FEATURE_SERVICE_UNKNOWN')
  })
})

describe('a store that does not answer', () => {
  it('is waited for as long as the budget says', async () => {
    const { clock, read } = setUp(() => new Promise(() => {}))
    const reading = Promise.resolve(read(['a']))
    let isDone = false
    void reading.then(() => {
      isDone = true
    })
    clock.advance(19)
    await Promise.resolve()
    expect(isDone).toBe(false)
    clock.advance(1)
    const { values, gaps, hasDefaults } = await reading
    expect([values[0], gaps[0], hasDefaults]).toEqual([[-1], ['timeout'], true])
  })

  it('is stood in for by what was read last, if that is young enough', async () => {
    let isDead = false
    const { read } = setUp(async (reads) => {
      if (isDead) throw new Error('gone')
      return all(entry([5], 1000))(reads)
    })
    await read(['a'])
    isDead = true
    const later = { atMs: AT_MS + 1000 }
    const known = await read(['a'], later)
    expect([known.values[0], known.sources[0], known.gaps[0], known.agesMs[0]]).toEqual([
      [5],
      ['last-known'],
      ['store-down'],
      [2000],
    ])
    expect([known.hasLastKnown, known.hasDefaults]).toEqual([true, false])
    expect((await read(['a'], { ...later, lastKnownMs: 999 })).values[0]).toEqual([-1])
    // Its own time to live holds all the same.
    expect((await read(['a'], { atMs: AT_MS + 3_600_000, lastKnownMs: 1e9 })).values[0]).toEqual([-1])
  })

  it('is not asked again until its circuit lets a probe go', async () => {
    const { clock, read, asked } = setUp(async () => {
      throw new Error('gone')
    })
    for (let i = 0; i < 8; i++) await read(['a'])
    const { length } = asked
    expect(length).toBeLessThan(8)
    clock.advance(60_000)
    await read(['a'])
    expect(asked).toHaveLength(length + 1)
  })

  it('that fails at once costs no request', () => {
    const { read } = setUp(() => {
      throw new Error('gone')
    })
    expect(read(['a'])).toMatchObject({ isDegraded: true, gaps: [['store-down'], ['store-down']] })
  })
})
