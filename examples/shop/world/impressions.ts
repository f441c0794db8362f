// Products shown on listing pages, as the ranking model sees them; whether one is clicked is drawn from truth.ts.
import { isoTime, momentOfDay, WORLD_DAYS } from './calendar.js'
import { CATEGORIES, MEDIAN_PRICE, type Product } from './products.js'
import { Random, round } from './random.js'
import type { Shopper } from './shoppers.js'
import { clickProbability } from './truth.js'

/** What the ranking model is given about one product on one page: the columns of impressions.csv, in the model's order. */
export interface ImpressionFeatures {
  readonly price: number
  /** The price over what is usual in its category. */
  readonly relative_price: number
  /** 0 to 1: 1 is the product sold most. */
  readonly popularity: number
  readonly discount_percent: number
  readonly is_favourite_category: 0 | 1
  readonly was_seen_before: 0 | 1
}

export interface Impression {
  readonly page_id: string
  readonly product_id: string
  readonly shown_at: string
  readonly features: ImpressionFeatures
  readonly clicked: 0 | 1
}

/** Products on a page. */
const PAGE_SIZE = 16

/** The products of so many pages in the order of their time, so the end of the list is a fair held-out set. */
export function createImpressions(
  seed: number,
  pages: number,
  shoppers: readonly Shopper[],
  products: readonly Product[],
): readonly Impression[] {
  const random = new Random(seed, 'impressions')
  const moments = Array.from({ length: pages }, () => momentOfDay(random.integer(0, WORLD_DAYS - 1), random))
  return moments
    .sort((a, b) => a - b)
    .flatMap((moment, page) => {
      const shopper = shoppers[random.integer(0, shoppers.length - 1)]!
      const favourite = CATEGORIES[random.integer(0, CATEGORIES.length - 1)]!
      return Array.from({ length: PAGE_SIZE }, () => {
        const rank = random.integer(0, products.length - 1)
        const product = products[rank]!
        const features: ImpressionFeatures = {
          price: product.price,
          relative_price: round(product.price / MEDIAN_PRICE[product.category], 3),
          popularity: round(1 - rank / products.length, 3),
          discount_percent: random.chance(0.1 + 0.2 * shopper.thrift) ? random.pick([5, 10, 15, 20, 30]) : 0,
          is_favourite_category: product.category === favourite ? 1 : 0,
          was_seen_before: random.chance(0.15) ? 1 : 0,
        }
        return {
          page_id: `pag_${String(page + 1).padStart(5, '0')}`,
          product_id: product.product_id,
          shown_at: isoTime(moment),
          features,
          clicked: random.chance(clickProbability(features)) ? (1 as const) : (0 as const),
        }
      })
    })
}
