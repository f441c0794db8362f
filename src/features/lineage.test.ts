import { describe, expect, it } from 'vitest'
import { catalogueOf } from './catalogue.js'
import { compileFeatures } from './compile.js'
import {
  count,
  decayedCount,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  defineOnDemandView,
  lastK,
  pushSource,
  select,
  sum,
} from './index.js'
import { lineageOf } from './lineage.js'

const user = defineEntity('user', { keys: { user_id: 'string' }, owner: 'risk' })
const orders = pushSource('orders', { columns: { user_id: 'string', amount: 'float64', product: 'string' } })
const clicks = pushSource('clicks', { columns: { user_id: 'string', product: 'string' } })
const spend = defineFeatureView('spend', {
  entities: [user],
  stream: orders,
  owner: 'payments',
  features: { spend_30d: sum('amount', { over: '30d', where: () => true }), orders_30d: count({ over: '90m' }) },
})
const seen = defineFeatureView('seen', {
  entities: [user],
  stream: clicks,
  features: {
    recent: lastK('product', 'string', 5, { over: '1d', default: ['none'] }),
    heat: decayedCount({ over: '1d', halfLife: '2h' }),
  },
})
const ratio = defineOnDemandView('ratio', {
  views: [spend],
  request: { amount: 'float64' },
  features: { ratio: { type: 'float64' } },
  transform: () => ({ ratio: 1 }),
})
const project = compileFeatures([
  defineFeatureService('fraud', [select(spend, 'spend_30d'), ratio]),
  defineFeatureService('intent', [seen]),
])
const consumers = {
  versions: [
    { model: 'fraud', version: 2, service: 'fraud' },
    { model: 'intent', version: 1, service: 'intent' },
    { model: 'old', version: 1, service: 'gone' },
  ],
  endpoints: [
    { name: 'checkout', versions: [{ model: 'fraud', version: 2 }] },
    { name: 'plain', versions: [{ model: 'none', version: 1 }] },
  ],
}
const names = (name?: string) =>
  lineageOf(project, consumers, name)
    .nodes.map(({ id }) => id)
    .sort()

describe('lineageOf', () => {
  it('goes from source to endpoint', () => {
    const { edges } = lineageOf(project, consumers)
    const fedBy = (id: string) => edges.filter(({ from }) => from === id).map(({ to }) => to)
    expect(fedBy('source:orders')).toEqual(['view:spend'])
    expect(fedBy('view:spend')).toEqual(['feature:spend.spend_30d', 'feature:spend.orders_30d', 'on-demand:ratio'])
    expect(fedBy('feature:ratio.ratio')).toEqual(['service:fraud'])
    expect(fedBy('service:fraud')).toEqual(['version:fraud/2'])
    expect(fedBy('version:fraud/2')).toEqual(['endpoint:checkout'])
  })

  it('of one name is what feeds it and what it feeds', () => {
    expect(names('seen')).toEqual([
      'feature:seen.heat',
      'feature:seen.recent',
      'service:intent',
      'source:clicks',
      'version:intent/1',
      'view:seen',
    ])
    expect(names('orders_30d')).toEqual(['feature:spend.orders_30d', 'source:orders', 'view:spend'])
    expect(names('checkout')).toContain('source:orders')
    expect(names('checkout')).not.toContain('view:seen')
  })

  it('says what was probably meant by a name that nothing has', () => {
    expect(() => names('spend_3d')).toThrow(
      expect.objectContaining({ code: 'FEATURE_NAME_UNKNOWN', message: expect.stringContaining('"spend_30d"') }),
    )
    expect(() => names('__proto__')).toThrow(expect.objectContaining({ code: 'FEATURE_NAME_UNKNOWN' }))
  })
})

describe('catalogueOf', () => {
  it('says of each feature what it means', () => {
    const { views, services, entities } = catalogueOf(project)
    const meanings = Object.fromEntries(views.flatMap(({ features }) => features.map((one) => [one.name, one.meaning])))
    expect(meanings).toEqual({
      spend_30d: 'sum(amount) over 30d, filtered',
      orders_30d: 'count() over 90m',
      recent: 'lastK(product, 5) over 1d',
      heat: 'decayedCount(2h) over 1d',
      ratio: 'computed at request time',
    })
    expect(services[0]!.features.map(({ name, view, feature }) => [name, view, feature])).toEqual([
      ['spend_30d', 'spend', 'spend_30d'],
      ['ratio', 'ratio', 'ratio'],
    ])
    expect(entities).toEqual([
      { name: 'user', keys: [{ name: 'user_id', type: 'string' }], owner: 'risk', description: '', tags: [] },
    ])
    expect(structuredClone(views)).toEqual(views)
  })
})
