// Payments, as the serving features see them. A situation (an ordinary order, a gift, a burst of attempts) shapes
// the features only; whether a payment is fraud is then drawn from the true probability in truth.ts.
import { hourOf, isoTime, momentOfDay, WORLD_DAYS } from './calendar.js'
import { basketValue, type Product } from './products.js'
import { Random, round } from './random.js'
import type { Country, Shopper } from './shoppers.js'
import { fraudProbability } from './truth.js'

export type PaymentMethod = 'card' | 'paypal' | 'transfer' | 'voucher'

/** What a fraud model is given: the names are the columns of payments.csv and the inputs of the models. */
export interface PaymentFeatures {
  readonly amount: number
  readonly country: Country
  /** How long the shop has known this card, wallet, bank account or voucher. */
  readonly card_age_days: number
  readonly account_age_days: number
  readonly items: number
  /** 0 to 23, in the time of the shop. */
  readonly hour: number
  readonly is_new_device: 0 | 1
  readonly payment_method: PaymentMethod
  readonly shipping_matches_billing: 0 | 1
  readonly payments_last_24h: number
}

export interface Payment {
  readonly payment_id: string
  readonly shopper_id: string
  readonly paid_at: string
  readonly features: PaymentFeatures
  readonly is_fraud: 0 | 1
}

/** Payments in the order of their time, so the end of the list is a fair held-out set. */
export function createPayments(
  seed: number,
  count: number,
  shoppers: readonly Shopper[],
  products: readonly Product[],
): readonly Payment[] {
  const random = new Random(seed, 'payments')
  const drawn = Array.from({ length: count }, () => {
    const shopper = shoppers[random.integer(0, shoppers.length - 1)]!
    const moment = momentFor(shopper, random)
    const features = drawPayment(shopper, moment, products, random)
    const is_fraud: 0 | 1 = random.chance(fraudProbability(features)) ? 1 : 0
    return { moment, shopper_id: shopper.shopper_id, features, is_fraud }
  })
  return drawn
    .sort((a, b) => a.moment - b.moment)
    .map(({ moment, ...payment }, i) => ({
      payment_id: `pay_${String(i + 1).padStart(6, '0')}`,
      paid_at: isoTime(moment),
      ...payment,
    }))
}

/** The features of one payment that a shopper makes at a moment. */
export function drawPayment(
  shopper: Shopper,
  moment: number,
  products: readonly Product[],
  random: Random,
): PaymentFeatures {
  const situation = random.pickWeighted([
    ['ordinary', 88],
    ['gift', 7],
    ['burst', 5],
  ] as const)
  const isBurst = situation === 'burst'
  const accountAge = Math.max(0, moment - shopper.joined_day)
  const isYoung = accountAge < 14
  const items = isBurst ? random.integer(1, 2) : 1 + random.poisson(1.4)
  const basket = basketValue(products, items, random)
  const amount = isBurst && random.chance(0.5) ? random.between(0.5, 5) : basket
  const cardAge = random.chance(isBurst ? 0.5 : 0.08) ? random.exponential(2) : accountAge * random.uniform() ** 0.5
  return {
    amount: round(Math.max(0.5, amount), 2),
    country: shopper.country,
    card_age_days: round(Math.min(cardAge, accountAge), 1),
    account_age_days: round(accountAge, 1),
    items,
    hour: hourOf(moment),
    is_new_device: random.chance(isBurst ? 0.45 : isYoung ? 0.35 : 0.08) ? 1 : 0,
    payment_method: random.pickWeighted<PaymentMethod>([
      ['card', 55],
      ['paypal', 25],
      ['transfer', 12],
      ['voucher', isBurst ? 20 : 8],
    ]),
    shipping_matches_billing: random.chance(situation === 'gift' ? 0.1 : 0.93) ? 1 : 0,
    payments_last_24h: isBurst ? 2 + random.poisson(3) : random.poisson(0.3),
  }
}

/** New shoppers pay soon after they joined; the others at any time. */
function momentFor(shopper: Shopper, random: Random): number {
  if (shopper.joined_day < 0) return momentOfDay(random.integer(0, WORLD_DAYS - 1), random)
  const daysAfterJoining = Math.min(random.exponential(10), WORLD_DAYS - 1 - shopper.joined_day)
  const moment = momentOfDay(shopper.joined_day + daysAfterJoining, random)
  return Math.max(moment, shopper.joined_day)
}
