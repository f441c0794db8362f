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
