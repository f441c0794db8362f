// Cards (and wallets, accounts and vouchers: whatever pays) and every attempt to pay with one. Each payment is an attempt, and as many
// came before it within a day as its `payments_last_24h` says: many a minute when a stolen card is tried.
import { arrivalOf, onSecond, secondsLater } from './arrival.js'
import { FIRST_DAY, isoTime } from './calendar.js'
import { type Merchant, pickMerchant } from './merchants.js'
import type { Payment } from './payments.js'
import { Random, round } from './random.js'

export interface Card {
  readonly card_id: string
  readonly user_id: string
  readonly first_seen_at: string
}

export interface Attempt {
  readonly attempt_id: string
  readonly card_id: string
  readonly user_id: string
  readonly merchant_id: string
  readonly amount: number
  readonly attempted_at: string
  readonly received_at: string
}

/** That a payment was fraud is learnt from its owner, days or weeks later. */
export interface Chargeback {
  readonly payment_id: string
  readonly merchant_id: string
  readonly paid_at: string
  readonly reported_at: string
}

/** Who pays with what to whom. */
export interface PaymentParties {
  readonly payment: Payment
  readonly moment: number
  readonly card_id: string
  readonly merchant_id: string
}

export interface Cards {
  readonly cards: readonly Card[]
  readonly parties: readonly PaymentParties[]
  readonly attempts: readonly Attempt[]
  readonly chargebacks: readonly Chargeback[]
}

const DAY_MS = 86_400_000
/** A card known for less is one of its own; the rest of a user's payments are made with one that is older. */
const FRESH_DAYS = 3
/** A burst: as many attempts before a payment. */
const BURST = 3

export function createCards(seed: number, payments: readonly Payment[], merchants: readonly Merchant[]): Cards {
  const random = new Random(seed, 'cards')
  const firstSeen = new Map<string, { user_id: string; moment: number }>()
  const parties = payments.map((payment) => {
    const { shopper_id: user_id, features } = payment
    const moment = onSecond((Date.parse(payment.paid_at) - FIRST_DAY) / DAY_MS)
    const isFresh = features.card_age_days < FRESH_DAYS
    const card_id = isFresh ? `crd_${payment.payment_id.slice(4)}` : `crd_${user_id.slice(4)}`
    const seen = moment - features.card_age_days
    const known = firstSeen.get(card_id)
    if (known === undefined || seen < known.moment) firstSeen.set(card_id, { user_id, moment: seen })
    return {
      payment,
      moment,
      card_id,
      merchant_id: pickMerchant(merchants, payment.is_fraud === 1, random).merchant_id,
    }
  })

  const attempts = parties.flatMap((party) => attemptsOf(party, merchants, random)).sort((a, b) => a.moment - b.moment)
  return {
    cards: [...firstSeen].map(([card_id, { user_id, moment }]) => ({
      card_id,
      user_id,
      first_seen_at: isoTime(moment),
    })),
    parties,
    attempts: attempts.map(({ moment, ...attempt }, i) => ({
      attempt_id: `att_${String(i + 1).padStart(6, '0')}`,
      ...attempt,
      attempted_at: isoTime(moment),
      received_at: isoTime(arrivalOf(moment, 7200, random)),
    })),
    chargebacks: parties
      .filter(({ payment }) => payment.is_fraud === 1)
      .map(({ payment: { payment_id, paid_at }, moment, merchant_id }) => ({
        ...{ payment_id, merchant_id, paid_at },
        reported_at: isoTime(moment + 1 + random.exponential(6)),
      })),
  }
}

function attemptsOf(
  { payment, moment, card_id, merchant_id }: PaymentParties,
  merchants: readonly Merchant[],
  random: Random,
) {
  const { amount, payments_last_24h: before } = payment.features
  const of = { card_id, user_id: payment.shopper_id }
  const earlier = Array.from({ length: before }, () => {
    const seconds = before >= BURST && random.chance(0.7) ? random.exponential(240) : random.between(0, 80_000)
    return {
      ...of,
      merchant_id: pickMerchant(merchants, false, random).merchant_id,
      amount: round(before >= BURST ? random.between(0.5, 5) : random.logNormal(40, 0.8), 2),
      moment: secondsLater(moment, -Math.ceil(Math.min(seconds, 80_000)) - 4),
    }
  })
  return [...earlier, { ...of, merchant_id, amount, moment }]
}
