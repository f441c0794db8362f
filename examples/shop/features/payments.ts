// How often cards are tried, and how risky merchants are.
import { column, count, defineFeatureView, distinct, fileSource, pushSource, sqlSource, sum } from 'headrace'
import { card, merchant } from './entities.js'

const ATTEMPT = { card_id: 'string', merchant_id: 'string', amount: 'float64' } as const

/** The checkout pushes every attempt as it happens. */
export const attempts = pushSource('attempts', {
  columns: ATTEMPT,
  eventTime: 'attempted_at',
  eventId: 'attempt_id',
  lateness: '1h',
  maxAhead: '1m',
  owner: 'payments',
})

/** The same attempts, as the warehouse keeps them. */
const attemptHistory = fileSource('attempt_history', {
  path: 'data/attempts.csv',
  eventTime: 'attempted_at',
  knownTime: 'received_at',
  owner: 'payments',
  columns: { ...ATTEMPT, attempt_id: 'string' },
})

export const cardVelocity = defineFeatureView('card_velocity', {
  entities: [card],
  source: attemptHistory,
  stream: attempts,
  features: {
    attempts_1m: count({ over: '1m', default: 0 }),
    attempts_10m: count({ over: '10m', default: 0 }),
    attempts_24h: count({ over: '24h', default: 0 }),
    small_24h: count({
      over: '24h',
      default: 0,
      where: (row) => Number(row['amount']) < 5,
      description: 'Attempts below 5 euros: stolen cards are tried with those',
    }),
    merchants_24h: distinct('merchant_id', { over: '24h', default: 0 }),
    amount_24h: sum('amount', { over: '24h', default: 0 }),
  },
  // A minute is counted to five seconds.
  hop: '5s',
  every: '1d',
  owner: 'payments',
  tags: ['velocity', 'fraud'],
  description: 'How often a card is tried',
  expectations: [{ expect: 'range', column: 'amount', min: 0 }],
})

/**
 * Chargebacks are reported days after the payment, so what a merchant's rate was has to be asked as of the day: each row counts what had been
 * reported by then, and is known once the nightly job has run.
 */
const merchantDays = sqlSource('merchant_days', {
  query: `
    WITH sold AS (
      SELECT merchant_id, CAST(attempted_at AS DATE) AS day, count(*) AS payments
      FROM 'data/attempts.csv' GROUP BY ALL
    ), reported AS (
      SELECT merchant_id, CAST(reported_at AS DATE) AS day, count(*) AS chargebacks
      FROM 'data/chargebacks.csv' GROUP BY ALL
    ), summed AS (
      SELECT sold.merchant_id, sold.day,
        sum(payments) OVER days_30 AS payments_30d,
        sum(coalesce(chargebacks, 0)) OVER days_30 AS chargebacks_30d
      FROM sold LEFT JOIN reported USING (merchant_id, day)
      WINDOW days_30 AS (PARTITION BY sold.merchant_id ORDER BY sold.day RANGE INTERVAL 29 DAYS PRECEDING)
    )
    SELECT merchant_id, CAST(day + INTERVAL 1 DAY AS TIMESTAMP) AS computed_at,
      CAST(day + INTERVAL 1 DAY AS TIMESTAMP) + INTERVAL 2 HOUR AS known_at,
      CAST(payments_30d AS BIGINT) AS payments_30d,
      -- As if there were 150 payments more, at the shop's usual rate: few payments say little.
      (chargebacks_30d + 2) / (payments_30d + 150) AS chargeback_rate
    FROM summed`,
  eventTime: 'computed_at',
  knownTime: 'known_at',
  owner: 'payments',
})

export const merchantRisk = defineFeatureView('merchant_risk', {
  entities: [merchant],
  source: merchantDays,
  features: {
    chargeback_rate: column('float64', { default: 0.0133, description: 'Of 30 days, drawn towards the usual' }),
    payments_30d: column('int64', { default: 0 }),
  },
  ttl: '45d',
  every: '1d',
  owner: 'payments',
  tags: ['fraud'],
  description: 'How many of the payments to a merchant are charged back',
  expectations: [
    { expect: 'range', column: 'chargeback_rate', min: 0, max: 1 },
    { expect: 'unique', columns: ['merchant_id', 'computed_at'] },
  ],
})
