import { describe, expect, it } from 'vitest'
import { testPlatform } from '../../core/index.js'
import { compileFeatures } from '../compile.js'
import type { CompiledView } from '../compiled.js'
import {
  column,
  count,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  defineOnDemandView,
  fileSource,
  lastK,
  pushSource,
  sum,
} from '../index.js'
import type { ValueGap, ValueSource } from '../serve/types.js'
import type { Value } from '../value.js'
import type { ServedVector } from './types.js'
import { verifyServed } from './verify-served.js'

const user = defineEntity('user', { keys: { user_id: 'string' } })
const orders = pushSource('orders', { columns: { user_id: 'string', amount: 'float64', product: 'string' } })
const spend = defineFeatureView('spend', {
  entities: [user],
  stream: orders,
  windowing: 'exact',
  features: {
    total: sum('amount', { over: '1h', default: 0 }),
    orders: count({ over: '1h' }),
    recent: lastK('product', 'string', 3, { over: '1h' }),
  },
})
const profiles = fileSource('profiles', { path: 'profiles.parquet', eventTime: 'at' })
const profile = defineFeatureView('profile', {
  entities: [user],
  source: profiles,
  every: '1h',
  features: { country: column('string'), taste: column('float32[2]'), points: column('int64') },
})
const ratio = defineOnDemandView('ratio', {
  views: [spend],
  request: { amount: 'float64' },
  features: { ratio: { type: 'float64' } },
  transform: ({ request, spend }) => ({ ratio: (request.amount ?? 0) / (spend.total || 1) }),
})
const project = compileFeatures([defineFeatureService('fraud', [spend, profile, ratio])])
const service = project.services.get('fraud')!

const MINUTE_MS = 60_000
const T = Date.UTC(2026, 10, 22, 12)
/** What a user bought, and when it was known. */
const events = [
  { atMs: T - 30 * MINUTE_MS, amount: 10, product: 'a' },
  { atMs: T - 10 * MINUTE_MS, amount: 2.5, product: 'b' },
  { atMs: T - 1000, amount: 7, product: 'c' },
]
const rows = [
  { atMs: T - 90 * MINUTE_MS, values: ['DE', new Float32Array([1, 0]), 1n] },
  { atMs: T - 20 * MINUTE_MS, values: ['FR', new Float32Array([0, 1]), 2n ** 60n] },
] as const

function offlineAt(view: CompiledView, key: string, atMs: number): readonly Value[] | undefined {
  if (key !== 'u1') return undefined
  if (view.kind === 'rows') return rows.filter((row) => row.atMs <= atMs).at(-1)?.values
  const known = events.filter((event) => event.atMs < atMs && event.atMs >= atMs - 60 * MINUTE_MS)
  if (known.length === 0) return undefined
  const total = known.reduce((all, { amount }) => all + amount, 0)
  return [total, known.length, known.map(({ product }) => product).reverse()]
}

const offline = {
  calls: 0,
  async valuesAt(view: CompiledView, moments: readonly { readonly key: string; readonly atMs: number }[]) {
    this.calls++
    return moments.map(({ key, atMs }) => offlineAt(view, key, atMs))
  },
}

const RIGHT: Readonly<Record<string, Value>> = {
  total: 19.5,
  orders: 3,
  recent: ['c', 'b', 'a'],
  country: 'FR',
  taste: new Float32Array([0, 1]),
  points: 2n ** 60n,
  ratio: 39 / 19.5,
}

function served(
  change: {
    values?: Record<string, Value>
    sources?: Record<string, ValueSource>
    gaps?: Record<string, ValueGap>
    agesMs?: Record<string, number>
    keys?: Record<string, Value>
    atMs?: number
    id?: string
  } = {},
): ServedVector {
  return {
    predictionId: change.id ?? 'p1',
    service: 'fraud',
    atMs: change.atMs ?? T,
    keys: change.keys ?? { user_id: 'u1' },
    values: { ...RIGHT, ...change.values },
    sources: {
      ...Object.fromEntries(Object.keys(RIGHT).map((name) => [name, name === 'ratio' ? 'on-demand' : 'online'])),
      ...change.sources,
    } as Record<string, ValueSource>,
    gaps: change.gaps ?? {},
    agesMs: change.agesMs ?? {},
    request: { amount: 39 },
  }
}

async function* from(vectors: readonly ServedVector[]) {
  yield* vectors
}

const verify = (vectors: readonly ServedVector[], options: { graceMs?: number; maxVectors?: number } = {}) =>
  verifyServed({ platform: testPlatform(), service, vectors: from(vectors), offline, graceMs: 0, ...options })

async function featureOf(name: string, vectors: readonly ServedVector[], options: { graceMs?: number } = {}) {
  return (await verify(vectors, options)).features.find((feature) => feature.name === name)!
}

describe('verifyServed', () => {
  it('compares the default of a key without a value with the one that is defined', async () => {
    const unknown = { keys: { user_id: 'u9' }, gaps: Object.fromEntries(Object.keys(RIGHT).map((n) => [n, 'missing'])) }
    const sources = Object.fromEntries(Object.keys(RIGHT).map((n) => [n, 'default']))
    const fallbacks = Object.fromEntries(service.features.map(({ name, fallback }) => [name, fallback]))
    const vector = (values: Record<string, Value>) =>
      served({ ...unknown, sources, values: { ...fallbacks, ...values } } as Parameters<typeof served>[0])
    expect(await featureOf('total', [vector({})])).toMatchObject({ compared: 1, matched: 1 })
    const wrong = await featureOf('total', [vector({ total: 12 })])
    expect(wrong).toMatchObject({ compared: 1, matched: 0, examples: [{ served: 12, offline: fallbacks['total'] }] })
  })

  it('finds what was served right to match, on-demand features recomputed included', async () => {
    const report = await verify([served(), served({ id: 'p2' }), { ...served(), service: 'other' }])
    expect(report).toMatchObject({
      vectors: 2,
      checked: 2,
      sampleShare: 1,
      matchRate: 1,
      skipped: [],
      fromMs: T,
      toMs: T,
    })
    for (const feature of report.features) expect(feature).toMatchObject({ compared: 2, matched: 2, examples: [] })
    expect(report.features.find(({ name }) => name === 'total')?.relativeError).toEqual({
      p50: 0,
      p90: 0,
      p99: 0,
      max: 0,
    })
    expect(report.features.find(({ name }) => name === 'country')?.relativeError).toBeUndefined()
  })

  it('tells mismatched values with their distance, the worst as examples', async () => {
    const vectors = [served({ values: { total: 20 } }), served({ values: { total: 39 }, id: 'p2' }), served()]
    expect(await featureOf('total', vectors)).toMatchObject({
      compared: 3,
      matched: 1,
      mismatched: 2,
      matchRate: 1 / 3,
      relativeError: { p50: 0.5 / 20, max: 0.5 },
      examples: [
        { predictionId: 'p2', keys: { user_id: 'u1' }, served: 39, offline: 19.5, error: 0.5, kind: 'mismatch' },
        { predictionId: 'p1', served: 20 },
      ],
    })
    expect(await featureOf('recent', [served({ values: { recent: ['c', 'a'] } })])).toMatchObject({
      mismatched: 1,
      editDistance: { max: 1 / 3 },
    })
    expect(await featureOf('taste', [served({ values: { taste: new Float32Array([1, 0]) } })])).toMatchObject({
      mismatched: 1,
      relativeError: { max: 1 },
      cosineDistance: { max: 1 },
    })
    expect(await featureOf('country', [served({ values: { country: 'DE' } })])).toMatchObject({ mismatched: 1 })
  })

  it('takes floats within the tolerance for equal, and integers only when they are', async () => {
    expect(await featureOf('total', [served({ values: { total: 19.5 * (1 + 1e-10) } })])).toMatchObject({ matched: 1 })
    expect(await featureOf('points', [served({ values: { points: 2n ** 60n + 1n } })])).toMatchObject({ mismatched: 1 })
    expect(await featureOf('orders', [served({ values: { orders: 3n } })])).toMatchObject({ matched: 1 })
  })

  it('tells what is missing and what is extra', async () => {
    const missing = served({
      values: { country: null },
      sources: { country: 'default' },
      gaps: { country: 'missing' },
    })
    expect(await featureOf('country', [missing])).toMatchObject({
      missing: 1,
      examples: [{ kind: 'missing', offline: 'FR' }],
    })
    expect(await featureOf('country', [served({ keys: { user_id: 'u2' } })])).toMatchObject({ extra: 1 })
  })

  it('takes a default of an unknown entity for what it is: no value on both sides', async () => {
    const unknown = served({
      keys: { user_id: 'u2' },
      values: { total: 0, ratio: 39 },
      sources: { total: 'default' },
      gaps: { total: 'missing' },
    })
    expect(await featureOf('total', [unknown])).toMatchObject({ compared: 1, matched: 1, degradedShare: 0 })
    expect(await featureOf('ratio', [unknown])).toMatchObject({ compared: 1, matched: 1 })
  })

  it('keeps apart what stood in for the store, and what was computed from it', async () => {
    const report = await verify([
      served({ sources: { total: 'default' }, gaps: { total: 'timeout' }, values: { total: 0, ratio: 39 } }),
      served({ sources: { total: 'last-known' }, gaps: { total: 'store-down' }, values: { total: 5, ratio: 8 } }),
      served({ sources: { total: 'request' }, values: { total: 100, ratio: 0.39 } }),
      served(),
    ])
    const [total] = report.features
    expect(total).toMatchObject({ compared: 1, matched: 1, defaults: 1, lastKnown: 1, given: 1, degradedShare: 0.5 })
    expect(report.features.at(-1)).toMatchObject({ name: 'ratio', compared: 2, matched: 2, defaults: 1, lastKnown: 1 })
  })

  it('reports an event that was on its way as late, within the grace only', async () => {
    const before = served({ values: { total: 12.5, orders: 2, recent: ['b', 'a'], ratio: 39 / 12.5 } })
    const report = await verify([before], { graceMs: 5000 })
    for (const name of ['total', 'orders', 'recent', 'ratio']) {
      expect(report.features.find((feature) => feature.name === name)).toMatchObject({ late: 1, matchRate: 1 })
    }
    expect(await featureOf('total', [before], { graceMs: 500 })).toMatchObject({ late: 0, mismatched: 1 })
    expect(await featureOf('total', [served({ values: { total: 11 } })], { graceMs: 5000 })).toMatchObject({
      mismatched: 1,
    })
  })

  it('gives a view that is materialised by the hour that hour, by the age that was served', async () => {
    const old = served({ values: { country: 'DE' }, agesMs: { country: 90 * MINUTE_MS } })
    expect(await featureOf('country', [old], { graceMs: 5000 })).toMatchObject({ late: 1 })
    const older = served({ values: { country: 'DE' }, atMs: T + 120 * MINUTE_MS, agesMs: { country: 210 * MINUTE_MS } })
    expect(await featureOf('country', [older], { graceMs: 5000 })).toMatchObject({ late: 0, mismatched: 1 })
  })

  it('compares a sample of keys and hours when there are many, and holds no more than that', async () => {
    const vectors = Array.from({ length: 4000 }, (_, i) =>
      served({ keys: { user_id: `u${i % 1000}` }, atMs: T + Math.floor(i / 1000) * 1000, id: `p${i}` }),
    )
    const report = await verify(vectors, { maxVectors: 500 })
    expect(report.vectors).toBe(4000)
    expect(report.checked).toBeLessThanOrEqual(500)
    expect(report.checked).toBeGreaterThan(150)
    // All four vectors of a key's hour or none.
    expect(report.checked % 4).toBe(0)
    expect(report.checked / 4000).toBeCloseTo(report.sampleShare, 1)
  })

  it('passes over vectors whose keys are no keys any more, and says so', async () => {
    const report = await verify([served({ keys: { user_id: 7 } }), served()])
    expect(report).toMatchObject({ vectors: 2, checked: 1 })
    expect(report.skipped).toEqual([{ reason: expect.stringContaining('user_id'), vectors: 1 }])
  })

  it('compares a renamed feature with what was logged under its old name', async () => {
    const renamed = defineFeatureView('spend', {
      ...spend,
      features: { spent: sum('amount', { over: '1h', default: 0 }) },
      renames: { spent: 'total' },
    })
    const of = compileFeatures([defineFeatureService('fraud', [renamed])]).services.get('fraud')!
    const report = await verifyServed({
      platform: testPlatform(),
      service: of,
      vectors: from([served(), served({ values: { total: 3 } })]),
      offline: {
        valuesAt: async (view, moments) =>
          moments.map(({ key, atMs }) => offlineAt(view, key, atMs)?.slice(0, view.features.length)),
      },
      graceMs: 0,
    })
    expect(report.features).toMatchObject([{ name: 'spent', compared: 2, matched: 1, mismatched: 1 }])
  })

  it('asks history once per view when everything matches', async () => {
    offline.calls = 0
    await verify([served(), served({ id: 'p2' })], { graceMs: 5000 })
    expect(offline.calls).toBe(2)
  })
})
