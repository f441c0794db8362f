// Rows as CSV. No value of this world holds a comma or a quote, so none is escaped; one that does is refused.
import { isoTime } from './calendar.js'
import type { PaymentFeatures } from './payments.js'
import type { World } from './world.js'

const DAY_MS = 86_400_000

type Row = Readonly<Record<string, string | number>>

/**
 * The files of a world, by name. The true probabilities are in none of them. With `shiftDays` everything happens so many days later:
 * a shop whose last day was yesterday, for features that look back from now.
 */
export function worldFiles(
  world: World,
  options: { readonly shiftDays?: number } = {},
): Readonly<Record<string, string>> {
  const shiftMs = (options.shiftDays ?? 0) * DAY_MS
  const toCsv = (rows: readonly Row[]) => csvOf(rows, shiftMs)
  return {
    'shoppers.csv': toCsv(world.shoppers.map((shopper) => ({ ...shopper }))),
    'products.csv': toCsv(world.products.map((product) => ({ ...product }))),
    'sessions.csv': toCsv(
      world.sessions.map(({ session_id, shopper_id, started_at, features, purchased }) => ({
        ...{ session_id, shopper_id, started_at },
        ...features,
        purchased,
      })),
    ),
    'payments.csv': toCsv(
      world.payments.map(({ payment_id, shopper_id, paid_at, features, is_fraud }) => ({
        ...{ payment_id, shopper_id, paid_at },
        ...features,
        is_fraud,
      })),
    ),
    'impressions.csv': toCsv(
      world.impressions.map(({ page_id, product_id, shown_at, features, clicked }) => ({
        ...{ page_id, product_id, shown_at },
        ...features,
        clicked,
      })),
    ),
    'demand.csv': toCsv(
      world.demand.map(({ kind, category, week, features, units }) => ({ kind, category, week, ...features, units })),
    ),
    'users.csv': toCsv(
      world.shoppers.map(({ shopper_id, country, joined_day }) => ({
        ...{ user_id: shopper_id, country, joined_at: isoTime(joined_day) },
      })),
    ),
    'merchants.csv': toCsv(world.merchants.map(({ merchant_id, category }) => ({ merchant_id, category }))),
    'cards.csv': toCsv(world.cards.cards.map((card) => ({ ...card }))),
    'attempts.csv': toCsv(world.cards.attempts.map((attempt) => ({ ...attempt }))),
    'chargebacks.csv': toCsv(world.cards.chargebacks.map((chargeback) => ({ ...chargeback }))),
    'orders.csv': toCsv(world.orders.map((order) => ({ ...order }))),
    'clicks.csv': toCsv(world.browsing.clicks.map((click) => ({ ...click }))),
    'cart.csv': toCsv(world.browsing.cartEvents.map((event) => ({ ...event }))),
    // What the models are to learn: who and when, what only the caller knows, and how it came out. The rest is up to the features.
    'fraud-labels.csv': toCsv(
      world.cards.parties.map(({ payment, card_id, merchant_id }) => ({
        ...{ payment_id: payment.payment_id, user_id: payment.shopper_id, card_id, merchant_id },
        event_timestamp: payment.paid_at,
        ...callerKnows(payment.features),
        is_fraud: payment.is_fraud,
      })),
    ),
    'purchase-labels.csv': toCsv(
      world.sessions.map(({ session_id, shopper_id, purchased }, i) => ({
        ...{ session_id, user_id: shopper_id, event_timestamp: world.browsing.ends[i]!.ended_at, purchased },
      })),
    ),
  }
}

function callerKnows({ amount, items, is_new_device, payment_method, shipping_matches_billing }: PaymentFeatures) {
  return { amount, items, is_new_device, payment_method, shipping_matches_billing }
}

function csvOf(rows: readonly Row[], shiftMs: number): string {
  const header = Object.keys(rows[0] ?? {})
  const isMoment = header.map((name) => shiftMs !== 0 && (name.endsWith('_at') || name === 'event_timestamp'))
  const line = (row: Row) =>
    Object.values(row)
      .map((value, i) => cell(isMoment[i] ? shifted(String(value), shiftMs) : value))
      .join(',')
  return `${[header.join(','), ...rows.map(line)].join('\n')}\n`
}

function shifted(time: string, ms: number): string {
  return new Date(Date.parse(time) + ms).toISOString().replace('.000Z', 'Z')
}

function cell(value: unknown): string {
  const text = String(value)
  if (/[",\n]/.test(text)) throw new Error(`A CSV cell must not hold a comma, a quote or a line break: ${text}`)
  return text
}
