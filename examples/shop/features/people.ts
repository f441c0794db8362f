// What is known of users and cards, and what users spend.
import { column, count, defineFeatureView, fileSource, mean, sum } from 'headrace'
import { card, user } from './entities.js'

const users = fileSource('users', {
  path: 'data/users.csv',
  eventTime: 'joined_at',
  owner: 'shop',
  columns: { user_id: 'string', country: 'string', joined_at: 'timestamp' },
})

export const userProfile = defineFeatureView('user_profile', {
  entities: [user],
  source: users,
  features: {
    country: column('string', { default: 'DE', description: 'Where they live' }),
    joined_at: column('timestamp', { description: 'When the account was made' }),
  },
  every: '1d',
  owner: 'shop',
  tags: ['profile'],
  expectations: [
    { expect: 'notNull', column: 'country' },
    { expect: 'regex', column: 'country', pattern: '^[A-Z]{2}$' },
  ],
})

const cards = fileSource('cards', {
  path: 'data/cards.csv',
  eventTime: 'first_seen_at',
  owner: 'payments',
  columns: { card_id: 'string', first_seen_at: 'timestamp' },
})

export const cardProfile = defineFeatureView('card_profile', {
  entities: [card],
  source: cards,
  features: { first_seen_at: column('timestamp', { description: 'When the shop saw the card for the first time' }) },
  every: '1d',
  owner: 'payments',
  tags: ['profile'],
})

const orders = fileSource('orders', {
  path: 'data/orders.csv',
  eventTime: 'ordered_at',
  // Partners report some orders up to two days late: until then no model may have counted them.
  knownTime: 'recorded_at',
  owner: 'shop',
  columns: { user_id: 'string', amount: 'float64' },
})

export const userSpend = defineFeatureView('user_spend', {
  entities: [user],
  source: orders,
  features: {
    spend_30d: sum('amount', { over: '30d', default: 0, description: 'What their orders of 30 days cost, in euros' }),
    orders_30d: count({ over: '30d', default: 0 }),
    mean_order_30d: mean('amount', { over: '30d', description: 'Without orders there is none' }),
  },
  every: '1d',
  owner: 'shop',
  tags: ['spend'],
  description: 'How much somebody buys',
  expectations: [{ expect: 'range', column: 'amount', min: 0, max: 100_000 }],
})
