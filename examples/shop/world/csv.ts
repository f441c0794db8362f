// Rows as CSV. No value of this world holds a comma or a quote, so none is escaped; one that does is refused.
import { isoTime } from './calendar.js'
import type { PaymentFeatures } from './payments.js'
import type { World } from './world.js'

const DAY_MS = 86_400_000
const MINUTE_MS = 60_000

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
  const toEndlessCsv = (rows: readonly Row[]) => csvOf(rows, { ...options, isEndless: true })
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
    'attempts.csv': toEndlessCsv(world.cards.attempts.map((attempt) => ({ ...attempt }))),
    'chargebacks.csv': toCsv(world.cards.chargebacks.map((chargeback) => ({ ...chargeback }))),
    'orders.csv': toCsv(world.orders.map((order) => ({ ...order }))),
    'clicks.csv': toEndlessCsv(world.browsing.clicks.map((click) => ({ ...click }))),
    'cart.csv': toEndlessCsv(world.browsing.cartEvents.map((event) => ({ ...event }))),
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

interface CsvOptions extends FileOptions {
  /** Events that a stream goes on with. The last whole one comes again a minute before the end: a quiet night would look like a gap before the stream. */
  readonly isEndless?: boolean
}

function csvOf(rows: readonly Row[], options: CsvOptions): string {
  const { shiftDays = 0, untilMs = Number.POSITIVE_INFINITY, isEndless = false } = options
  const header = Object.keys(rows[0] ?? {})
  const isMoment = header.map((name) => name.endsWith('_at') || name === 'event_timestamp')
  const lines = [header.join(',')]
  let last: { readonly row: Row; readonly knownMs: number } | undefined
  for (const row of rows) {
    const { line, knownMs } = lineOf(row, isMoment, shiftDays * DAY_MS)
    if (knownMs > untilMs) continue
    lines.push(line)
    const isWhole = Object.values(row).every((value) => value !== '')
    if (isWhole && (last === undefined || knownMs > last.knownMs)) last = { row, knownMs }
  }
  if (isEndless && last !== undefined && Number.isFinite(untilMs)) {
    const againMs = shiftDays * DAY_MS + Math.floor(untilMs / 1000) * 1000 - MINUTE_MS - last.knownMs
    const [[id, value] = ['', '']] = Object.entries(last.row)
    lines.push(lineOf({ ...last.row, [id]: `${value}_again` }, isMoment, againMs).line)
  }
  return `${lines.join('\n')}\n`
}

/** `knownMs`: the latest of its moments, which are so many milliseconds later than the world's. */
function lineOf(row: Row, isMoment: readonly boolean[], laterMs: number): { line: string; knownMs: number } {
  let knownMs = Number.NEGATIVE_INFINITY
  const values = Object.values(row).map((value, i) => {
    if (!isMoment[i]) return value
    const ms = Date.parse(String(value)) + laterMs
    knownMs = Math.max(knownMs, ms)
    return timeText(ms)
  })
  return { line: values.map(cell).join(','), knownMs }
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z')
}

function cell(value: unknown): string {
  const text = String(value)
  if (/[",\n]/.test(text)) throw new Error(`A CSV cell must not hold a comma, a quote or a line break: ${text}`)
  return text
}
