// The view and the events of the bench.
import { seededRandom } from '../../src/core/index.js'
import { compileFeatures } from '../../src/features/compile.js'
import type { CompiledWindowView } from '../../src/features/compiled.js'
import {
  count,
  decayedSum,
  defineEntity,
  defineFeatureView,
  distinct,
  lastK,
  mean,
  pushSource,
  sum,
  variance,
} from '../../src/features/index.js'

const card = defineEntity('card', { keys: { card_id: 'string' } })

export const payments = pushSource('payments', {
  columns: {
    payment_id: 'string',
    card_id: 'string',
    merchant_id: 'string',
    amount: 'float64',
    is_abroad: 'bool',
    event_timestamp: 'timestamp',
  },
  eventId: 'payment_id',
  lateness: '1h',
})

const isAbroad = (row: Readonly<Record<string, unknown>>) => row['is_abroad'] === true
const isLarge = (row: Readonly<Record<string, unknown>>) => Number(row['amount']) > 100

const velocity = defineFeatureView('card_velocity', {
  entities: [card],
  stream: payments,
  features: {
    payments_10m: count({ over: '10m' }),
    payments_24h: count({ over: '24h' }),
    spend_1h: sum('amount', { over: '1h' }),
    spend_30d: sum('amount', { over: '30d' }),
    abroad_30d: sum('amount', { over: '30d', where: isAbroad }),
    large_variance_30d: variance('amount', { over: '30d', where: isLarge }),
    mean_24h: mean('amount', { over: '24h' }),
    merchants_24h: distinct('merchant_id', { over: '24h' }),
    last_merchants: lastK('merchant_id', 'string', 5, { over: '24h' }),
    faded: decayedSum('amount', { over: '30d', halfLife: '1d' }),
  },
})
export const definitions = [velocity]
export const view = compileFeatures(definitions).views.get('card_velocity') as CompiledWindowView

const START_MS = Date.UTC(2026, 0, 15)

export interface Line {
  readonly text: string
  readonly knownMs: number
}

/** Lines of JSON in the order of their arrival, `spanMs` long. */
export function paymentLines(events: number, keys: number, spanMs: number): Line[] {
  const random = seededRandom(5)
  const lines: Line[] = []
  for (let i = 0; i < events; i++) {
    const knownMs = START_MS + Math.floor((i / events) * spanMs)
    const lateMs = random.next() < 0.02 ? random.next() * 600_000 : random.next() * 50
    const text = JSON.stringify({
      payment_id: `p-${i}`,
      card_id: `card-${random.uint32() % keys}`,
      merchant_id: `merchant-${random.uint32() % 2000}`,
      amount: Math.round(random.next() ** 4 * 100_000) / 100,
      is_abroad: random.next() < 0.1,
      event_timestamp: new Date(knownMs - lateMs).toISOString(),
    })
    lines.push({ text, knownMs })
    if (random.next() < 0.01) lines.push({ text, knownMs })
  }
  return lines
}
