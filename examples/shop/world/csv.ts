// Rows as CSV. No value of this world holds a comma or a quote, so none is escaped; one that does is refused.
import type { World } from './world.js'

type Row = Readonly<Record<string, string | number>>

/** The files of a world, by name. The true probabilities are in none of them. */
export function worldFiles(world: World): Readonly<Record<string, string>> {
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
  }
}

function toCsv(rows: readonly Row[]): string {
  const header = Object.keys(rows[0] ?? {})
  return `${[header, ...rows.map(Object.values)].map((cells) => cells.map(cell).join(',')).join('\n')}\n`
}

function cell(value: unknown): string {
  const text = String(value)
  if (/[",\n]/.test(text)) throw new Error(`A CSV cell must not hold a comma, a quote or a line break: ${text}`)
  return text
}
