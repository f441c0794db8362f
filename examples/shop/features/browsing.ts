// What people look at and put into their carts, and what that makes of products.
import {
  count,
  currentItems,
  decayedCount,
  defineFeatureView,
  fileSource,
  last,
  lastK,
  pushSource,
  sum,
} from 'headrace'
import { product, user } from './entities.js'

const CLICK = {
  user_id: 'string',
  product_id: 'string',
  page: 'string',
  seconds: 'float64',
  is_mobile: 'int64',
  discount_percent: 'float64',
} as const

/** The site and the app push a click when somebody leaves a page. */
export const clicks = pushSource('clicks', {
  columns: CLICK,
  eventTime: 'clicked_at',
  eventId: 'click_id',
  lateness: '1h',
  owner: 'shop',
})

const clickHistory = fileSource('click_history', {
  path: 'data/clicks.csv',
  eventTime: 'clicked_at',
  knownTime: 'received_at',
  owner: 'shop',
  columns: { ...CLICK, click_id: 'string' },
})

/** A session: an hour is longer than any. */
export const userClicks = defineFeatureView('user_clicks', {
  entities: [user],
  source: clickHistory,
  stream: clicks,
  features: {
    pages_viewed: count({ over: '1h', default: 0, where: (row) => row['page'] !== 'search' }),
    products_viewed: count({ over: '1h', default: 0, where: (row) => row['page'] === 'product' }),
    searches: count({ over: '1h', default: 0, where: (row) => row['page'] === 'search' }),
    seconds_on_site: sum('seconds', { over: '1h', default: 0 }),
    discount_percent: last('discount_percent', 'float64', { over: '1h', default: 0 }),
    is_mobile: last('is_mobile', 'int64', { over: '1h', default: 0 }),
    last_clicks: lastK('product_id', 'string', 5, {
      over: '1h',
      where: (row) => row['page'] === 'product',
      description: 'The last five products that they looked at, the latest first',
    }),
  },
  every: '1d',
  owner: 'shop',
  tags: ['session'],
  description: 'What somebody does in the shop now',
  expectations: [
    { expect: 'oneOf', column: 'page', values: ['product', 'listing', 'search'] },
    { expect: 'range', column: 'seconds', min: 0 },
  ],
})

export const productPopularity = defineFeatureView('product_popularity', {
  entities: [product],
  source: clickHistory,
  stream: clicks,
  features: {
    popularity: decayedCount({
      over: '30d',
      halfLife: '7d',
      default: 0,
      where: (row) => row['page'] === 'product',
      description: 'Views, of which one counts half after a week',
    }),
    views_7d: count({ over: '7d', default: 0, where: (row) => row['page'] === 'product' }),
  },
  every: '1d',
  owner: 'shop',
  tags: ['popularity'],
})

const CART = {
  user_id: 'string',
  product_id: 'string',
  quantity: 'float64',
  cart_items: 'int64',
  cart_value: 'float64',
} as const

/** Pushed when a cart changes; `quantity` is what it holds of the product then. */
export const cartChanges = pushSource('cart_changes', {
  columns: CART,
  eventTime: 'changed_at',
  eventId: 'cart_event_id',
  lateness: '1h',
  owner: 'shop',
})

const cartHistory = fileSource('cart_history', {
  path: 'data/cart.csv',
  eventTime: 'changed_at',
  knownTime: 'received_at',
  owner: 'shop',
  columns: { ...CART, cart_event_id: 'string' },
})

export const userCart = defineFeatureView('user_cart', {
  entities: [user],
  source: cartHistory,
  stream: cartChanges,
  features: {
    cart: currentItems('product_id', { quantity: 'quantity', over: '1h', description: 'What is in the cart' }),
    items_in_cart: last('cart_items', 'int64', { over: '1h', default: 0 }),
    cart_value: last('cart_value', 'float64', { over: '1h', default: 0 }),
  },
  every: '1d',
  owner: 'shop',
  tags: ['session'],
  description: 'The cart as it is now',
})
