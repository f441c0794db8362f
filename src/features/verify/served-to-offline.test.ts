// The whole way: events are pushed, counted by the stream, read for requests, and what was served is derived again by DuckDB and the
// window engine from what the event log kept.
import { describe, expect, it, onTestFinished } from 'vitest'
import { openFlow } from '../../../test/support/feature-flow.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { ManualClock, seededRandom, testPlatform } from '../../core/index.js'
import {
  column,
  count,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  defineOnDemandView,
  distinct,
  lastK,
  mean,
  pushSource,
  quantile,
  sum,
  variance,
} from '../index.js'
import { createOfflineStore } from '../offline/offline-store.js'
import { createFeatureReader } from '../serve/reader.js'
import type { ServedFeatures, ValueGap, ValueSource } from '../serve/types.js'
import type { Value } from '../value.js'
import type { ServedVector } from './types.js'
import { verifyServed } from './verify-served.js'

const user = defineEntity('user', { keys: { user_id: 'string' } })
const orders = pushSource('orders', {
  columns: { user_id: 'string', order_id: 'string', amount: 'float64', product: 'string' },
  eventId: 'order_id',
  lateness: '10m',
})
const spend = defineFeatureView('spend', {
  entities: [user],
  stream: orders,
  features: {
    total: sum('amount', { over: '1h', default: 0 }),
    orders_10m: count({ over: '10m' }),
    typical: mean('amount', { over: '1h' }),
    spread: variance('amount', { over: '1h' }),
    p90: quantile('amount', 0.9, { over: '1h' }),
    products: distinct('product', { over: '1h' }),
    large: count({ over: '1h', where: ({ amount }) => Number(amount) > 50 }),
    recent: lastK('product', 'string', 3, { over: '1h' }),
  },
})
const latest = defineFeatureView('latest', {
  entities: [user],
  stream: orders,
  ttl: '20m',
  features: { product: column('string'), paid: column('float64', { from: 'amount' }) },
})
const ratio = defineOnDemandView('ratio', {
  views: [spend, latest],
  request: { amount: 'float64' },
  features: { ratio: { type: 'float64' }, is_repeat: { type: 'bool' } },
  transform: ({ request, spend, latest }) => ({
    ratio: (request.amount ?? 0) / (spend.typical ?? 1),
    is_repeat: latest.product === null ? null : (spend.recent ?? []).includes(latest.product),
  }),
})

function vectorsOf(served: ServedFeatures, amount: number, id: string): ServedVector {
  const values: Record<string, Value> = {}
  const sources: Record<string, ValueSource> = {}
  const gaps: Record<string, ValueGap> = {}
  const agesMs: Record<string, number> = {}
  served.plan.features.forEach(({ name }, i) => {
    values[name] = served.values[i]![0]!
    sources[name] = served.sources[i]![0]!
    gaps[name] = served.gaps[i]![0]!
    const ageMs = served.agesMs[i]![0]
    if (ageMs !== undefined) agesMs[name] = ageMs
  })
  const userId = served.keys.get('user_id')![0]!
  return {
    predictionId: id,
    service: 'fraud',
    atMs: served.atMs,
    keys: { user_id: userId },
    values,
    sources,
    gaps,
    agesMs,
    request: { amount },
  }
}

describe('what was served', () => {
  it('is what history gives: late, duplicate and out-of-order events, unknown users and all', async () => {
    const folder = tempFolder()
    const clock = new ManualClock()
    const platform = testPlatform({ clock })
    const definitions = [defineFeatureService('fraud', [spend, latest, ratio])]
    const flow = await openFlow({ folder, definitions, platform })
    onTestFinished(() => flow.close())
    await flow.openAll()
    const reader = createFeatureReader({ platform, project: flow.project, store: flow.store, tables: flow.tables })
    const plan = reader.plan(['fraud'])
    const random = seededRandom(7)
    const below = (n: number) => Math.floor(random.next() * n)
    const vectors: ServedVector[] = []
    for (let step = 0; step < 400; step++) {
      clock.advance(1000 + below(60_000))
      const nowMs = clock.nowMs()
      await flow.ingestor.push(
        'orders',
        Array.from({ length: below(4) }, () => ({
          knownMs: nowMs,
          row: {
            user_id: `u${below(5)}`,
            order_id: `o${below(900)}`,
            amount: below(10_000) / 100,
            product: `p${below(6)}`,
            // Some happened long before they arrive: within the lateness, and beyond it.
            event_timestamp: nowMs - (below(4) === 0 ? below(900_000) : below(2000)),
          },
        })),
      )
      // A request comes after the push: what arrives in the same millisecond is known.
      const amount = below(100)
      const served = await reader.read(plan, {
        rows: 1,
        keys: new Map([['user_id', [`u${below(6)}`]]]),
        given: new Map([['amount', [amount]]]),
        atMs: clock.nowMs(),
        budgetMs: 1000,
      })
      vectors.push(vectorsOf(served, amount, `p${step}`))
    }
    await flow.store.flush()
    const offline = createOfflineStore({
      platform,
      root: folder,
      environment: {},
      tempFolder: `${folder}/work`,
      eventFiles: (source) => flow.log.files(source),
    })
    onTestFinished(() => offline.close())
    const verify = (of: readonly ServedVector[]) =>
      verifyServed({
        platform,
        service: flow.project.services.get('fraud')!,
        vectors: (async function* () {
          yield* of
        })(),
        offline,
        graceMs: 0,
        tolerance: 0,
      })
    const report = await verify(vectors)
    expect(report.checked).toBe(400)
    const wrong = report.features.filter(({ compared, matched }) => matched !== compared)
    expect(wrong.map(({ name, examples }) => [name, examples[0]])).toEqual([])
    expect(report.features.every(({ compared }) => compared === 400)).toBe(true)

    // And a skew that somebody builds in does not stay hidden: cents for euros, in one of twenty, or another default.
    const hit = vectors.filter((_, i) => i % 20 === 0).length
    const skewed = vectors.map((vector, i) =>
      i % 20 === 0
        ? { ...vector, values: { ...vector.values, total: Number(vector.values['total'] ?? 0) * 100 + 1 } }
        : vector,
    )
    const total = (await verify(skewed)).features.find(({ name }) => name === 'total')
    expect(hit).toBeGreaterThan(10)
    expect(total).toMatchObject({ matched: 400 - hit, mismatched: hit })
    expect(total?.relativeError?.max).toBeGreaterThan(0.9)
  })
})
