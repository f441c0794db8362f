// Rows as CSV. No value of this world holds a comma or a quote, so none is escaped; one that does is refused.
import { isoTime } from './calendar.js'
import type { PaymentFeatures } from './payments.js'
import type { World } from './world.js'

const DAY_MS = 86_400_000

type Row = Readonly<Record<string, string | number>>

export interface FileOptions {
  /** Everything happens so many days later. Default 0. */
  readonly shiftDays?: number
  /** What was known later than this is left out. Default: nothing is. */
  readonly untilMs?: number
}

/** The files of a world, by name. The true probabilities are in none of them. */
export function worldFiles(world: World, options: FileOptions = {}): Readonly<Record<string, string>> {
  const toCsv = (rows: readonly Row[]) => csvOf(rows, options)
  const payments = world.payments.map(({ payment_id, shopper_id, paid_at, features, is_fraud }) => ({
    ...{ payment_id, shopper_id, paid_at },
    ...features,
    is_fraud,
  }))
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
    'payments.csv': toCsv(payments),
    // The latest quarter, which models are not trained on: gates ask about these.
    'payments-held-out.csv': toCsv(payments.slice(Math.floor(payments.length * 0.75))),
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

function csvOf(rows: readonly Row[], { shiftDays = 0, untilMs = Number.POSITIVE_INFINITY }: FileOptions): string {
  const header = Object.keys(rows[0] ?? {})
  const isMoment = header.map((name) => name.endsWith('_at') || name === 'event_timestamp')
  const isAsItIs = shiftDays === 0 && untilMs === Number.POSITIVE_INFINITY
  const lines = [header.join(',')]
  for (const row of rows) {
    const values = Object.values(row)
    if (!isAsItIs) {
      let lastMs = Number.NEGATIVE_INFINITY
      for (let i = 0; i < values.length; i++) {
        if (!isMoment[i]) continue
        const ms = Date.parse(String(values[i])) + shiftDays * DAY_MS
        lastMs = Math.max(lastMs, ms)
        values[i] = timeText(ms)
      }
      if (lastMs > untilMs) continue
    }
    lines.push(values.map(cell).join(','))
  }
  return `${lines.join('\n')}\n`
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z')
}

function cell(value: unknown): string {
  const text = String(value)
  if (/[",\n]/.test(text)) throw new Error(`A CSV cell must not hold a comma, a quote or a line break: ${text}`)
  return text
}
