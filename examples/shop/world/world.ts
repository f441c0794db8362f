// The whole shop, drawn from one seed.
import { type Browsing, createBrowsing } from './browsing.js'
import { type Cards, createCards } from './cards.js'
import { createDemand, type Demand } from './demand.js'
import { createImpressions, type Impression } from './impressions.js'
import { createMerchants, type Merchant } from './merchants.js'
import { createOrders, type Order } from './orders.js'
import { createPayments, type Payment } from './payments.js'
import { createProducts, type Product } from './products.js'
import { createSessions, type Session } from './sessions.js'
import { createShoppers, type Shopper } from './shoppers.js'

export interface World {
  readonly shoppers: readonly Shopper[]
  readonly products: readonly Product[]
  readonly sessions: readonly Session[]
  readonly payments: readonly Payment[]
  readonly impressions: readonly Impression[]
  readonly demand: readonly Demand[]
  readonly merchants: readonly Merchant[]
  readonly cards: Cards
  readonly orders: readonly Order[]
  readonly browsing: Browsing
}

export interface WorldOptions {
  readonly seed: number
  /** Default 5000. */
  readonly shoppers?: number
  /** Default 400. */
  readonly products?: number
  /** Default 20000. */
  readonly sessions?: number
  /** Default 60000: enough for about 1500 frauds. */
  readonly payments?: number
  /** Listing pages with 16 products each; default 3000. */
  readonly pages?: number
  /** Of demand, for each kind of product; default 156. */
  readonly weeks?: number
}

export function createWorld(options: WorldOptions): World {
  const { seed } = options
  const shoppers = createShoppers(seed, options.shoppers ?? 5_000)
  const products = createProducts(seed, options.products ?? 400)
  const sessions = createSessions(seed, options.sessions ?? 20_000, shoppers, products)
  const payments = createPayments(seed, options.payments ?? 60_000, shoppers, products)
  const merchants = createMerchants(seed)
  const cards = createCards(seed, payments, merchants)
  return {
    shoppers,
    products,
    sessions,
    payments,
    merchants,
    cards,
    orders: createOrders(seed, cards.parties, products),
    browsing: createBrowsing(seed, sessions, products),
    impressions: createImpressions(seed, options.pages ?? 3_000, shoppers, products),
    demand: createDemand(seed, options.weeks ?? 156),
  }
}
