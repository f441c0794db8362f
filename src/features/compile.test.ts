import { describe, expect, it } from 'vitest'
import type { HeadraceError } from '../core/index.js'
import { compileFeatures } from './compile.js'
import type { DefinitionProblem } from './errors.js'
import {
  column,
  count,
  currentItems,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  defineOnDemandView,
  fileSource,
  histogram,
  lastK,
  pushSource,
  quantile,
  select,
  selectAs,
  sum,
} from './index.js'

const user = defineEntity('user', { keys: { user_id: 'string' } })
const merchant = defineEntity('merchant', { keys: { merchant_id: 'int64' } })
const orders = pushSource('orders', {
  columns: { user_id: 'string', merchant_id: 'int64', amount: 'float64', product: 'string', paid: 'bool' },
  eventId: 'order_id',
})
const profiles = fileSource('profiles', { path: 'data/profiles.parquet', eventTime: 'changed' })
const spend = defineFeatureView('spend', {
  entities: [user],
  stream: orders,
  features: {
    spend_30d: sum('amount', { over: '30d', default: 0 }),
    paid_10m: count({ over: '10m', where: (row) => row['paid'] === true }),
  },
})
const profile = defineFeatureView('profile', {
  entities: [user],
  source: profiles,
  ttl: '7d',
  features: { country: column('string', { default: '??' }), born: column('timestamp', { from: 'birthday' }) },
})
const ratio = defineOnDemandView('ratio', {
  views: [spend],
  request: { amount: 'float64' },
  features: { ratio: { type: 'float64', default: 1 } },
  transform: ({ request, spend }) => ({ ratio: (request.amount ?? 0) / (spend.spend_30d ?? 1) }),
})
const fraud = defineFeatureService('fraud', [
  select(profile, 'country'),
  selectAs(spend, { spent: 'spend_30d' }),
  ratio,
])

function problems(...definitions: unknown[]): readonly DefinitionProblem[] {
  try {
    compileFeatures(definitions)
  } catch (error) {
    expect((error as HeadraceError).code).toBe('FEATURE_DEFINITION_INVALID')
    return (error as HeadraceError).params['problems'] as readonly DefinitionProblem[]
  }
  return []
}
const told = (...definitions: unknown[]) =>
  problems(...definitions).map(({ path, problem, remedy }) => `${path}: ${problem} ${remedy}`)

describe('compileFeatures', () => {
  it('finds everything that a service reaches', () => {
    const project = compileFeatures([fraud])
    expect([...project.entities.keys()]).toEqual(['user'])
    expect([...project.sources.keys()].sort()).toEqual(['orders', 'profiles'])
    expect([...project.views.keys()].sort()).toEqual(['profile', 'spend'])
    expect([...project.onDemand.keys()]).toEqual(['ratio'])
  })

  it('links a service to the features it gives, their defaults, keys and inputs', () => {
    const service = compileFeatures([fraud]).services.get('fraud')!
    expect(service.features.map(({ name, fallback, from }) => [name, fallback, from.view.name, from.index])).toEqual([
      ['country', '??', 'profile', 0],
      ['spent', 0, 'spend', 0],
      ['ratio', 1, 'ratio', 0],
    ])
    expect(service.views.map(({ name }) => name)).toEqual(['profile', 'spend'])
    expect(service.keys).toEqual([{ name: 'user_id', type: 'string' }])
    expect(service.request).toEqual([{ name: 'amount', type: 'float64' }])
  })

  it('fills in hops: by the longest window, at most a twelfth of the shortest, always a part of a day', () => {
    const hop = (...windows: string[]) => {
      const features = Object.fromEntries(windows.map((over, i) => [`f${i}`, count({ over: over as '1d' })]))
      const view = compileFeatures([defineFeatureView('v', { entities: [user], stream: orders, features })]).views.get(
        'v',
      )!
      return view.kind === 'windows' ? view.hopMs : undefined
    }
    expect(hop('30d')).toBe(86_400_000)
    expect(hop('7d')).toBe(3_600_000)
    expect(hop('1h')).toBe(300_000)
    expect(hop('30d', '1d')).toBe(7_200_000)
    expect(hop('10m')).toBe(50_000)
    expect(hop('1m', '10m', '24h')).toBe(5_000)
    expect(hop('7m')).toBe(86_400_000 / 2500)
    expect(hop('5ms')).toBe(1)
  })

  it('reads every declared column where a filter may look at any, and only those aggregated otherwise', () => {
    const plain = defineFeatureView('v', {
      entities: [user],
      stream: orders,
      features: { cart: currentItems('product', { over: '1d', quantity: 'amount' }) },
    })
    expect(compileFeatures([plain]).views.get('v')!.columns).toEqual(['product', 'amount'])
    expect(compileFeatures([spend]).views.get('spend')!.columns).toEqual([
      'amount',
      'user_id',
      'merchant_id',
      'product',
      'paid',
    ])
  })

  it('takes two equal definitions of one name for one, as modules that are loaded twice make them', () => {
    const again = defineEntity('user', { keys: { user_id: 'string' } })
    expect(told(user, again)).toEqual([])
    expect(told(user, defineEntity('user', { keys: { user_id: 'int64' } }))).toEqual([
      'entity user: Two definitions have this name. Give each its own.',
    ])
  })

  it('changes a fingerprint with the meaning only', () => {
    const of = (options: object) => compileFeatures([{ ...spend, ...options }]).views.get('spend')!.fingerprint
    const first = of({})
    expect(of({ description: 'x', owner: 'y', tags: ['z'] })).toBe(first)
    expect(of({ features: { ...spend.features, spend_30d: sum('amount', { over: '30d', default: 5 }) } })).toBe(first)
    expect(of({ features: { ...spend.features, spend_30d: sum('amount', { over: '31d' }) } })).not.toBe(first)
    expect(
      of({ features: { ...spend.features, paid_10m: count({ over: '10m', where: (row) => row['paid'] === false }) } }),
    ).not.toBe(first)
    expect(of({ windowing: 'exact' })).not.toBe(first)
    expect(of({ stream: { ...orders, lateness: '2h' } })).not.toBe(first)
    expect(of({ stream: { ...orders, description: 'x' } })).toBe(first)
    expect(first).toMatch(/^[0-9a-f]{64}$/)
  })

  it('tells all mistakes at once', () => {
    const view = defineFeatureView('bad view', {
      entities: [],
      features: { 'a b': column('string'), n: column('number' as 'string'), w: count({ over: '1x' as '1d' }) },
    })
    const other = defineFeatureView('other', {
      entities: [user],
      stream: orders,
      ttl: '1 day' as '1d',
      version: 0,
      features: { amuont: column('float64'), x: column('float64', { from: 'amount', default: 'none' as never }) },
    })
    const messages = told(view, other)
    expect(messages.join('\n')).toContain('view "bad view": "bad view" is no name.')
    expect(messages.join('\n')).toContain(
      'view other › features.amuont: source "orders" has no column "amuont". Did you mean "amount"?',
    )
    expect(messages.join('\n')).toContain('view other › features.x.default: The default is to be float64')
    expect(messages.join('\n')).toContain('view other › version')
    expect(messages.join('\n')).toContain('view other › ttl: It: "1 day" is no length of time.')
  })

  it.each<[string, object, string]>([
    ['no source and no stream', { stream: undefined }, 'It has neither source nor stream.'],
    ['no entity', { entities: [] }, 'It has no entity.'],
    ['no features', { features: {} }, '› features: It has none.'],
    [
      'columns and aggregations',
      { features: { amount: column('float64'), n: count({ over: '1d' }) } },
      'It has columns and aggregations.',
    ],
    ['a TTL with windows', { ttl: '1d' }, 'Aggregations have their windows instead.'],
    ['a hop that does not divide a day', { hop: '7m' }, 'A day is no multiple of 7m.'],
    ['a hop longer than a window', { hop: '1d' }, 'It is longer than the shortest window.'],
    ['text that is summed', { features: { s: sum('product', { over: '1d' }) } }, 'is string'],
    ['a list of another type', { features: { l: lastK('product', 'int64', 5, { over: '1d' }) } }, 'is string'],
    ['no items', { features: { l: lastK('product', 'string', 0, { over: '1d' }) } }, 'k is 0.'],
    ['a quantile above one', { features: { q: quantile('amount', 95, { over: '1d' }) } }, 'q is 95.'],
    ['edges that fall', { features: { h: histogram('amount', [2, 1], { over: '1d' }) } }, 'The edges do not rise.'],
    ['a key as a feature', { features: { user_id: count({ over: '1d' }) } }, '"user_id" is there twice'],
    [
      'names that differ in case only',
      { features: { a: count({ over: '1d' }), A: count({ over: '1d' }) } },
      '"A" is there twice',
    ],
    [
      'a key that the stream lacks',
      { entities: [defineEntity('x', { keys: { card: 'string' } })] },
      'no column "card"',
    ],
    ['a key of another type', { entities: [defineEntity('x', { keys: { user_id: 'int64' } })] }, 'is int64, but'],
    ['an unknown expectation', { expectations: [{ expect: 'nonsense' }] }, '"nonsense" is no expectation.'],
    [
      'an expectation of no column',
      { expectations: [{ expect: 'notNull', column: 'amout' }] },
      'Did you mean "amount"?',
    ],
    [
      'a broken pattern',
      { expectations: [{ expect: 'regex', column: 'product', pattern: '(' }] },
      'has a "(" that is not closed',
    ],
    ['a rename of nothing', { renames: { gone: 'old' } }, 'There is no feature "gone"'],
    ['the name of the input', { name: 'request' }, 'This name has a meaning'],
    ['a prototype', { name: '__proto__' }, '"__proto__" is no name.'],
  ])('tells %s', (_, options, message) => {
    expect(told({ ...spend, ...options }).join('\n')).toContain(message)
  })

  it('wants the columns of a source that a filter looks at', () => {
    const view = defineFeatureView('v', {
      entities: [user],
      source: profiles,
      features: { n: count({ over: '1d', where: () => true }) },
    })
    expect(told(view).join()).toContain('Filters need to know the columns of source "profiles".')
  })

  it('tells what clashes inside a service', () => {
    expect(told(defineFeatureService('s', [spend, select(spend, 'spend_30d')])).join()).toContain(
      'Two features are called "spend_30d".',
    )
    expect(told(defineFeatureService('s', [ratio, selectAs(spend, { amount: 'spend_30d' })])).join()).toContain(
      'Feature "amount" is called like an input of the request.',
    )
    expect(told(defineFeatureService('s', [selectAs(spend, { user_id: 'spend_30d' })])).join()).toContain(
      'Feature "user_id" is called like an entity key.',
    )
    expect(told(defineFeatureService('s', [selectAs(spend, { a: 'spend_3d' as 'spend_30d' })])).join()).toContain(
      '"spend" has no feature "spend_3d". Did you mean "spend_30d"?',
    )
    expect(told(defineFeatureService('s', []))).toHaveLength(1)
  })

  it('makes a composite key of several entities, in their order', () => {
    const pair = defineFeatureView('pair', {
      entities: [merchant, user],
      stream: orders,
      features: { n: count({ over: '1d' }) },
    })
    expect(compileFeatures([pair]).views.get('pair')!.keys).toEqual([
      { name: 'merchant_id', type: 'int64' },
      { name: 'user_id', type: 'string' },
    ])
  })

  it.each([[null], [5], ['view'], [{}], [{ kind: 'model', name: 'x' }], [() => 1]])(
    'refuses %o as a definition',
    (x) => {
      expect(told(x).join()).toContain('is no definition')
    },
  )
})
