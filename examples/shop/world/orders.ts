// Orders: what payments were for. Those of the shop's partners come in up to two days late.
import { arrivalOf, secondsLater } from './arrival.js'
import { isoTime } from './calendar.js'
import type { PaymentParties } from './cards.js'
import type { Product } from './products.js'
import { Random } from './random.js'

export interface Order {
  readonly order_id: string
  readonly user_id: string
  readonly merchant_id: string
  /** The one that counts for most of it. */
  readonly product_id: string
  readonly amount: number
  readonly items: number
  readonly ordered_at: string
  readonly recorded_at: string
}

export function createOrders(
  seed: number,
  parties: readonly PaymentParties[],
  products: readonly Product[],
): readonly Order[] {
  const random = new Random(seed, 'orders')
  return parties.map(({ payment, moment, merchant_id }) => {
    const ordered = secondsLater(moment, 1)
    return {
      order_id: `ord_${payment.payment_id.slice(4)}`,
      user_id: payment.shopper_id,
      merchant_id,
      product_id: popularProduct(products, random).product_id,
      amount: payment.features.amount,
      items: payment.features.items,
      ordered_at: isoTime(ordered),
      recorded_at: isoTime(random.chance(0.03) ? ordered + random.between(0.1, 2) : arrivalOf(ordered, 600, random)),
    }
  })
}

/** Early products are the popular ones, as in baskets. */
export function popularProduct(products: readonly Product[], random: Random): Product {
  return products[Math.floor(random.uniform() ** 2 * products.length)]!
}
