// What the models try to learn. These functions are the whole truth: labels are drawn from them and from nothing else,
// so a test can compare a model, a calibration or a monitor with the exact answer. Real shops have no such file.
import type { ImpressionFeatures } from './impressions.js'
import type { Merchant } from './merchants.js'
import type { PaymentFeatures } from './payments.js'
import type { SessionFeatures } from './sessions.js'

/**
 * The true probability that a payment is fraud. Most of the risk sits in combinations (a new device at night, a burst
 * of tiny amounts), which boosted trees find and a logistic regression on the same columns cannot express.
 */
export function fraudProbability(payment: PaymentFeatures): number {
  const isNewDevice = payment.is_new_device === 1
  const shipsElsewhere = payment.shipping_matches_billing === 0
  const isFreshAccount = payment.account_age_days < 7
  const isFreshCard = payment.card_age_days < 3
  const isBurst = payment.payments_last_24h >= 3
  // The clock is the shop's: three in the morning is an ordinary evening for a shopper in the United States.
  const isNight = payment.hour < 6 && payment.country !== 'US'

  let logOdds = -5
  logOdds += 0.45 * Math.log1p(payment.amount / 100)
  logOdds -= 0.25 * Math.log1p(payment.account_age_days / 90)
  logOdds += 0.12 * Math.min(payment.payments_last_24h, 8)
  if (isNewDevice) logOdds += 0.4
  if (isNewDevice && isNight) logOdds += 2
  if (isNewDevice && shipsElsewhere) logOdds += 2
  // A parcel to another address is a present when the shopper is well known.
  if (shipsElsewhere && payment.account_age_days > 365) logOdds -= 0.8
  if (isFreshAccount && isFreshCard && payment.amount > 80) logOdds += 2.2
  // Stolen cards are tried with tiny amounts, then used for large ones.
  if (isBurst && payment.payment_method === 'card' && payment.amount < 5) logOdds += 3.8
  if (isBurst && isFreshCard && payment.amount > 150) logOdds += 2.5
  if (payment.payment_method === 'voucher' && payment.country !== 'DE' && payment.amount > 60) logOdds += 2.4
  if (payment.payment_method === 'transfer') logOdds += isFreshAccount ? 0.6 : -1
  return sigmoid(logOdds)
}

/** The same when the merchant is known too. Labels came first and merchants were drawn by them, so this is Bayes' rule. */
export function fraudProbabilityAt(payment: PaymentFeatures, merchant: Merchant): number {
  const probability = fraudProbability(payment)
  const odds = (probability / (1 - probability)) * (merchant.fraudShare / merchant.share)
  return odds / (1 + odds)
}

/** The true probability that a session ends in a purchase. */
export function purchaseProbability(session: SessionFeatures): number {
  const minutesPerPage = session.seconds_on_site / session.pages_viewed / 60
  // People who skim and people who walk away from an open page buy less than those who read.
  const attention = Math.exp(-((Math.log(minutesPerPage / 0.6) / 0.9) ** 2))

  let logOdds = -5.3
  logOdds += 1.6 * attention
  logOdds += 0.5 * Math.log1p(session.products_viewed)
  logOdds += 0.25 * Math.min(session.searches, 3)
  if (session.items_in_cart > 0) {
    logOdds += 1.7
    // An expensive cart makes people hesitate, unless a discount decides it for them.
    logOdds -= 0.7 * Math.log1p(session.cart_value / 150) * (1 - session.discount_percent / 30)
    logOdds += session.is_returning * 0.7
  }
  logOdds += 0.03 * session.discount_percent * (session.is_returning === 1 ? 1 : 0.4)
  if (session.is_mobile === 1) logOdds -= session.items_in_cart > 2 ? 0.9 : 0.2
  if (session.hour >= 18 && session.hour <= 22) logOdds += 0.4
  return sigmoid(logOdds)
}

/** The true probability that a product on a listing page is clicked. */
export function clickProbability(impression: ImpressionFeatures): number {
  const isFavourite = impression.is_favourite_category === 1
  const isDear = impression.relative_price > 1.2

  let logOdds = -3.4
  logOdds += 1.3 * impression.popularity ** 2
  if (isFavourite) logOdds += 1.1
  // What is dear is passed over, unless it is reduced.
  if (isDear) logOdds -= impression.discount_percent >= 15 ? 0.1 : 0.8
  logOdds += 0.025 * impression.discount_percent
  // People come back to what they like and skip the rest.
  if (impression.was_seen_before === 1) logOdds += isFavourite ? 1.2 : -0.6
  return sigmoid(logOdds)
}

function sigmoid(logOdds: number): number {
  return 1 / (1 + Math.exp(-logOdds))
}

/** What makes a kind of product sell as it does; no file holds it. */
export interface KindHabits {
  /** Units in an ordinary week of the first year. */
  readonly level: number
  /** 0.1: a tenth more each year. */
  readonly yearlyGrowth: number
  /** By how much the best week of a year is above the middle, as a share. */
  readonly seasonSize: number
  readonly peakWeek: number
  /** By so many per cent the units fall when the price rises by one. */
  readonly elasticity: number
  /** A week on the front page sells so many times as much, the lower price apart. */
  readonly promotion: number
}

/** The mean that a week's units are drawn around. */
export function expectedUnits(
  habits: KindHabits,
  week: {
    readonly week: number
    readonly week_of_year: number
    readonly price_ratio: number
    readonly is_promoted: number
  },
): number {
  const season = 1 + habits.seasonSize * Math.cos((2 * Math.PI * (week.week_of_year - habits.peakWeek)) / 52)
  const growth = (1 + habits.yearlyGrowth) ** (week.week / 52)
  const price = week.price_ratio ** -habits.elasticity
  return habits.level * growth * season * price * (week.is_promoted === 1 ? habits.promotion : 1)
}
