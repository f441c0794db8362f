// The row of a feature service is a type: it flows from the columns and aggregations of its views.
import { expectTypeOf, test } from 'vitest'
import {
  column,
  count,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  defineOnDemandView,
  lastK,
  pushSource,
  type ServiceRow,
  select,
  selectAs,
  sum,
} from '../../src/features/index.js'

const user = defineEntity('user', { keys: { user_id: 'string' } })
const orders = pushSource('orders', { columns: { amount: 'float64', product: 'string', user_id: 'string' } })
const spend = defineFeatureView('user_spend', {
  entities: [user],
  stream: orders,
  features: { spend_30d: sum('amount', { over: '30d', default: 0 }), orders_30d: count({ over: '30d' }) },
})
const profile = defineFeatureView('profile', {
  entities: [user],
  stream: orders,
  features: { country: column('string'), taste: column('float32[8]') },
})
const clicks = defineFeatureView('clicks', {
  entities: [user],
  stream: orders,
  features: { last_five: lastK('product', 'string', 5, { over: '30m' }) },
})
const ratio = defineOnDemandView('ratio', {
  views: [spend],
  request: { amount: 'float64' },
  features: { ratio: { type: 'float64' } },
  transform: ({ request, user_spend }) => ({ ratio: (request.amount ?? 0) / (user_spend.spend_30d ?? 1) }),
})

test('a service has the features of its items, under the names that it gives them', () => {
  const service = defineFeatureService('fraud', [
    spend,
    select(profile, 'taste'),
    selectAs(clicks, { recent: 'last_five' }),
    ratio,
  ])
  expectTypeOf<ServiceRow<typeof service>>().toEqualTypeOf<{
    spend_30d: number | null
    orders_30d: number | bigint | null
    taste: Float32Array | null
    recent: readonly string[] | null
    ratio: number | null
  }>()
})

test('a feature that a view does not have cannot be selected', () => {
  // @ts-expect-error "tast" is no feature of the view
  select(profile, 'tast')
})

test('a default of another type does not compile', () => {
  // @ts-expect-error a number is no text
  column('string', { default: 5 })
  // @ts-expect-error text is no number
  sum('amount', { over: '1d', default: 'none' })
  column('float32[2]', { default: new Float32Array(2) })
})

test('a length of time has a unit', () => {
  // @ts-expect-error "1 day" is none
  count({ over: '1 day' })
})

test('a function that gives another type, or other features, does not compile', () => {
  const options = { views: [spend], request: { amount: 'float64' }, features: { ratio: { type: 'float64' } } } as const
  // @ts-expect-error the ratio is a number
  defineOnDemandView('a', { ...options, transform: () => ({ ratio: 'high' }) })
  // @ts-expect-error the ratio is missing
  defineOnDemandView('b', { ...options, transform: () => ({}) })
  // @ts-expect-error the view has no such feature
  defineOnDemandView('c', { ...options, transform: ({ user_spend }) => ({ ratio: user_spend.spend_3d }) })
})

test('an entity has keys of text or whole numbers', () => {
  // @ts-expect-error a key is no float64
  defineEntity('user', { keys: { user_id: 'float64' } })
})
