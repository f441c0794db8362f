// What people did in a session, event by event: pages they left and what they put into the cart. Together a session's events say what
// sessions.csv says of it; the model that reads them through the feature store learns from the same truth.
import { arrivalOf, onSecond, secondsLater } from './arrival.js'
import { FIRST_DAY, isoTime } from './calendar.js'
import { popularProduct } from './orders.js'
import type { Product } from './products.js'
import { Random, round } from './random.js'
import type { Session } from './sessions.js'

/** A page that somebody left, or a search. */
export interface Click {
  readonly click_id: string
  readonly user_id: string
  readonly session_id: string
  readonly page: 'product' | 'listing' | 'search'
  /** Empty where the page is about none. */
  readonly product_id: string
  /** How long it was looked at. */
  readonly seconds: number
  readonly is_mobile: 0 | 1
  readonly discount_percent: number
  readonly clicked_at: string
  readonly received_at: string
}

export interface CartEvent {
  readonly cart_event_id: string
  readonly user_id: string
  readonly product_id: string
  /** How many of it are in the cart now. */
  readonly quantity: number
  /** Of the whole cart after the change. */
  readonly cart_items: number
  readonly cart_value: number
  readonly changed_at: string
  readonly received_at: string
}

/** The moment at which somebody asks whether a session ends in a purchase: its events are over and have arrived. */
export interface SessionEnd {
  readonly session_id: string
  readonly ended_at: string
}

export interface Browsing {
  readonly clicks: readonly Click[]
  readonly cartEvents: readonly CartEvent[]
  readonly ends: readonly SessionEnd[]
}

const DAY_MS = 86_400_000
/** Arrivals take up to three seconds. */
const ASKED_AFTER_SECONDS = 5
const LATE_SECONDS = 1800

export function createBrowsing(seed: number, sessions: readonly Session[], products: readonly Product[]): Browsing {
  const random = new Random(seed, 'browsing')
  const clicks: (Omit<Click, 'click_id'> & { moment: number })[] = []
  const cartEvents: (Omit<CartEvent, 'cart_event_id'> & { moment: number })[] = []
  const ends: SessionEnd[] = []
  for (const session of sessions) {
    const { shopper_id: user_id, session_id, features } = session
    const start = onSecond((Date.parse(session.started_at) - FIRST_DAY) / DAY_MS)
    const pages = shuffled(kindsOf(features), random)
    const seconds = split(features.seconds_on_site, features.pages_viewed, random)
    const viewed: { product: Product; moment: number }[] = []
    let moment = start
    let pagesLeft = 0
    for (const page of pages) {
      const looked = page === 'search' ? 0 : seconds[pagesLeft++]!
      moment = secondsLater(moment, looked + 1)
      const product = page === 'product' ? popularProduct(products, random) : undefined
      if (product) viewed.push({ product, moment })
      clicks.push({
        ...{ user_id, session_id, page, product_id: product?.product_id ?? '', seconds: looked },
        ...{ is_mobile: features.is_mobile, discount_percent: features.discount_percent },
        ...{ moment, clicked_at: isoTime(moment), received_at: isoTime(arrivalOf(moment, LATE_SECONDS, random)) },
      })
    }
    const kept = viewed.slice(0, features.items_in_cart)
    const shares = split(Math.round(features.cart_value * 100), Math.max(1, kept.length), random)
    const add = (product_id: string, quantity: number, cart_items: number, cart_value: number, at: number) =>
      cartEvents.push({
        ...{ user_id, product_id, quantity, cart_items, cart_value: round(cart_value, 2), moment: at },
        ...{ changed_at: isoTime(at), received_at: isoTime(arrivalOf(at, LATE_SECONDS, random)) },
      })
    // Something was looked at longer than the others and put back before the rest was taken.
    const other = viewed[features.items_in_cart]
    if (kept.length > 0 && other !== undefined && random.chance(0.3)) {
      add(other.product.product_id, 1, 1, other.product.price, viewed[0]!.moment)
      add(other.product.product_id, 0, 0, 0, secondsLater(viewed[0]!.moment, 1))
    }
    let value = 0
    const inCart = new Map<string, number>()
    for (const [i, { product }] of kept.entries()) {
      value += shares[i]! / 100
      const quantity = (inCart.get(product.product_id) ?? 0) + 1
      inCart.set(product.product_id, quantity)
      add(product.product_id, quantity, i + 1, value, secondsLater(viewed.at(-1)!.moment, i + 1 - kept.length))
    }
    ends.push({ session_id, ended_at: isoTime(secondsLater(moment, ASKED_AFTER_SECONDS)) })
  }
  return {
    clicks: clicks
      .sort((a, b) => a.moment - b.moment)
      .map(({ moment, ...click }, i) => ({ click_id: `clk_${String(i + 1).padStart(6, '0')}`, ...click })),
    cartEvents: cartEvents
      .sort((a, b) => a.moment - b.moment)
      .map(({ moment, ...event }, i) => ({ cart_event_id: `crt_${String(i + 1).padStart(6, '0')}`, ...event })),
    ends,
  }
}

function kindsOf({ pages_viewed, products_viewed, searches }: Session['features']): Click['page'][] {
  return Array.from({ length: pages_viewed + searches }, (_, i) =>
    i < products_viewed ? 'product' : i < pages_viewed ? 'listing' : 'search',
  )
}

function shuffled<T>(values: T[], random: Random): T[] {
  for (let i = values.length - 1; i > 0; i--) {
    const j = random.integer(0, i)
    ;[values[i], values[j]] = [values[j]!, values[i]!]
  }
  return values
}

/** A whole number in so many whole parts of different size that sum to it. */
function split(total: number, parts: number, random: Random): number[] {
  const weights = Array.from({ length: parts }, () => random.between(0.4, 1.6))
  const sum = weights.reduce((a, b) => a + b, 0)
  let [weight, given] = [0, 0]
  return weights.map((w) => {
    weight += w
    const through = Math.round((total * weight) / sum)
    const part = through - given
    given = through
    return part
  })
}
