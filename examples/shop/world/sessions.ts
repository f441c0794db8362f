// Visits to the shop, as the purchase-intent model sees them; whether one ends in a purchase is drawn from truth.ts.
import { hourOf, isoTime, momentOfDay, WORLD_DAYS } from './calendar.js'
import { basketValue, type Product } from './products.js'
import { Random, round } from './random.js'
import type { Shopper } from './shoppers.js'
import { purchaseProbability } from './truth.js'

/** What a purchase-intent model is given: the names are the columns of sessions.csv, in the model's order. */
export interface SessionFeatures {
  readonly pages_viewed: number
  readonly seconds_on_site: number
  readonly products_viewed: number
  readonly searches: number
  readonly cart_value: number
  readonly items_in_cart: number
  readonly discount_percent: number
  readonly is_returning: 0 | 1
  readonly is_mobile: 0 | 1
  /** 0 to 23, in the time of the shop. */
  readonly hour: number
}

export interface Session {
  readonly session_id: string
  readonly shopper_id: string
  readonly started_at: string
  readonly features: SessionFeatures
  readonly purchased: 0 | 1
}

/** Sessions in the order of their time, so the end of the list is a fair held-out set. */
export function createSessions(
  seed: number,
  count: number,
  shoppers: readonly Shopper[],
  products: readonly Product[],
): readonly Session[] {
  const random = new Random(seed, 'sessions')
  const drawn = Array.from({ length: count }, () => {
    const shopper = shoppers[random.integer(0, shoppers.length - 1)]!
    const moment = momentOfDay(random.integer(0, WORLD_DAYS - 1), random)
    const features = drawSession(shopper, moment, products, random)
    const purchased: 0 | 1 = random.chance(purchaseProbability(features)) ? 1 : 0
    return { moment, shopper_id: shopper.shopper_id, features, purchased }
  })
  return drawn
    .sort((a, b) => a.moment - b.moment)
    .map(({ moment, ...session }, i) => ({
      session_id: `ses_${String(i + 1).padStart(6, '0')}`,
      started_at: isoTime(moment),
      ...session,
    }))
}

/** The features of one visit that a shopper makes at a moment. */
export function drawSession(
  shopper: Shopper,
  moment: number,
  products: readonly Product[],
  random: Random,
): SessionFeatures {
  const isReturning = shopper.joined_day < moment
  const pages = 1 + random.poisson(isReturning ? 6 : 4)
  const secondsPerPage = random.logNormal(28, 0.7)
  const productsViewed = Math.min(pages, random.poisson(pages * 0.6))
  const items = random.chance(0.55) ? Math.min(productsViewed, random.poisson(1.6)) : 0
  return {
    pages_viewed: pages,
    seconds_on_site: round(pages * secondsPerPage, 0),
    products_viewed: productsViewed,
    searches: random.poisson(0.8),
    cart_value: round(basketValue(products, items, random), 2),
    items_in_cart: items,
    discount_percent: random.chance(0.2 + 0.3 * shopper.thrift) ? random.pick([5, 10, 15, 20, 30]) : 0,
    is_returning: isReturning ? 1 : 0,
    is_mobile: random.chance(shopper.prefers_mobile === 1 ? 0.85 : 0.15) ? 1 : 0,
    hour: hourOf(moment),
  }
}
