import { describe, expect, it } from 'vitest'
import { worldFiles } from './csv.js'
import { createDemand, DEMAND_KINDS } from './demand.js'
import { clickProbability, fraudProbability, fraudProbabilityAt, purchaseProbability } from './truth.js'
import { createWorld } from './world.js'

const world = createWorld({ seed: 7 })
const fraud = world.payments.map(({ features }) => fraudProbability(features))
const click = world.impressions.map(({ features }) => clickProbability(features))
const purchase = world.sessions.map(({ features }) => purchaseProbability(features))

describe('the shop world', () => {
  it('writes the same bytes for the same seed and others for another seed', () => {
    const small = { shoppers: 50, products: 20, sessions: 200, payments: 200, pages: 20, weeks: 2 }
    const files = worldFiles(createWorld({ seed: 7, ...small }))
    expect(worldFiles(createWorld({ seed: 7, ...small }))).toEqual(files)
    expect(worldFiles(createWorld({ seed: 8, ...small }))['payments.csv']).not.toBe(files['payments.csv'])
  })

  it('draws the same payments however many sessions are asked for', () => {
    const few = createWorld({ seed: 7, sessions: 1, payments: 100 })
    const many = createWorld({ seed: 7, sessions: 500, payments: 100 })
    expect(few.payments).toEqual(many.payments)
  })

  it('keeps every true probability strictly between 0 and 1', () => {
    expect([...fraud, ...purchase, ...click].filter((probability) => !(probability > 0 && probability < 1))).toEqual([])
  })

  it('has the base rates of a shop: 1 to 4 % fraud, 8 to 25 % purchases, 4 to 15 % clicks', () => {
    expect(mean(fraud)).toBeGreaterThan(0.01)
    expect(mean(fraud)).toBeLessThan(0.04)
    expect(mean(purchase)).toBeGreaterThan(0.08)
    expect(mean(purchase)).toBeLessThan(0.25)
    expect(mean(click)).toBeGreaterThan(0.04)
    expect(mean(click)).toBeLessThan(0.15)
  })

  it('draws labels at the rate of the true probability, within four standard errors', () => {
    expectRate(
      world.payments.map((payment) => payment.is_fraud),
      fraud,
    )
    expectRate(
      world.sessions.map((session) => session.purchased),
      purchase,
    )
    expectRate(
      world.impressions.map((impression) => impression.clicked),
      click,
    )
  })

  it('has two hundred kinds of products, each with a name of its own, and the same weeks however many are asked for', () => {
    expect(new Set(DEMAND_KINDS.map(({ kind }) => kind)).size).toBe(200)
    expect(DEMAND_KINDS.filter(({ kind }) => !/^[a-z]+-[a-z]+$/.test(kind))).toEqual([])
    const [few, many] = [createDemand(7, 2), createDemand(7, 30)]
    expect(few).toEqual(many.filter(({ week }) => week < 2))
  })

  it('sells in a week what last week, last month and last year then say of it', () => {
    const { demand } = world
    expect(demand.filter(({ units }) => !(Number.isSafeInteger(units) && units >= 0))).toEqual([])
    const rows = demand.filter(({ kind }) => kind === 'toys-puzzles')
    expect(rows).toHaveLength(156)
    for (const [i, { features, units }] of rows.entries()) {
      expect(rows[i + 1]?.features.units_last_week ?? units).toBe(units)
      expect(rows[i + 52]?.features.units_last_year ?? units).toBe(units)
      if (i < 4) continue
      const month = rows.slice(i - 4, i).reduce((sum, row) => sum + row.units, 0) / 4
      expect(features.units_last_month).toBeCloseTo(month, 2)
    }
    const promoted = mean(demand.filter(({ features }) => features.is_promoted === 1).map(({ units }) => units))
    expect(promoted).toBeGreaterThan(1.5 * mean(demand.map(({ units }) => units)))
  })

  it('tells in its events of a session what the session itself says, all known by the moment that is asked about', () => {
    const { clicks, cartEvents, ends } = world.browsing
    const endOf = new Map(ends.map((end) => [end.session_id, end.ended_at]))
    const clicksOf = groupBy(clicks, (click) => click.session_id)
    const cartOf = groupBy(cartEvents, (event) => event.user_id)
    for (const { session_id, shopper_id, started_at, features } of world.sessions.slice(0, 2_000)) {
      const own = clicksOf.get(session_id)!
      expect({
        pages: own.filter(({ page }) => page !== 'search').length,
        products: own.filter(({ page }) => page === 'product').length,
        searches: own.filter(({ page }) => page === 'search').length,
        seconds: own.reduce((sum, { seconds }) => sum + seconds, 0),
      }).toEqual({
        pages: features.pages_viewed,
        products: features.products_viewed,
        searches: features.searches,
        seconds: features.seconds_on_site,
      })
      const ended = endOf.get(session_id)!
      expect(own.filter(({ clicked_at }) => clicked_at < started_at || clicked_at >= ended)).toEqual([])
      const cart = (cartOf.get(shopper_id) ?? []).filter(
        ({ changed_at }) => changed_at >= started_at && changed_at < ended,
      )
      if (features.items_in_cart === 0) expect(cart).toEqual([])
      else expect(cart.at(-1)!.cart_value).toBeCloseTo(features.cart_value, 2)
    }
    const late = clicks.filter((click) => Date.parse(click.received_at) - Date.parse(click.clicked_at) > 60_000)
    expect(late.length / clicks.length).toBeGreaterThan(0.005)
    expect(late.length / clicks.length).toBeLessThan(0.02)
  })

  it('has as many attempts with a card in the day before a payment as the payment says, and more only by chance', () => {
    const attemptsOf = groupBy(world.cards.attempts, (attempt) => attempt.card_id)
    const counted = world.cards.parties.slice(30_000, 32_000).map(({ payment, card_id }) => {
      const at = Date.parse(payment.paid_at)
      const before = attemptsOf.get(card_id)!.map(({ attempted_at }) => at - Date.parse(attempted_at))
      return { says: payment.features.payments_last_24h, are: before.filter((ms) => ms > 0 && ms <= 86_400_000).length }
    })
    expect(counted.filter(({ says, are }) => are < says)).toEqual([])
    expect(counted.filter(({ says, are }) => are === says).length).toBeGreaterThan(0.7 * counted.length)
  })

  it('draws frauds at merchants at the rate that the truth says when it knows the merchant', () => {
    const merchantOf = new Map(world.merchants.map((merchant) => [merchant.merchant_id, merchant]))
    const probabilities = world.cards.parties.map(({ payment, merchant_id }) =>
      fraudProbabilityAt(payment.features, merchantOf.get(merchant_id)!),
    )
    const labels = world.cards.parties.map(({ payment }) => payment.is_fraud)
    expectRate(labels, probabilities)
    const risky = world.cards.parties.map(({ merchant_id }) => {
      const { fraudShare, share } = merchantOf.get(merchant_id)!
      return fraudShare > 2 * share
    })
    expectRate(
      labels.filter((_, i) => risky[i]),
      probabilities.filter((_, i) => risky[i]),
    )
  })

  it('moves everything by whole days, and ends where it is told to', () => {
    const small = createWorld({ seed: 7, shoppers: 50, products: 20, sessions: 50, payments: 50, pages: 2, weeks: 2 })
    const [files, later] = [worldFiles(small), worldFiles(small, { shiftDays: 31 })]
    const times = (text: string) => [...text.matchAll(/\d{4}-\d\d-\d\dT[\d:]+Z/g)].map(([time]) => Date.parse(time))
    for (const name of ['attempts.csv', 'clicks.csv', 'purchase-labels.csv', 'users.csv'])
      expect(times(later[name]!)).toEqual(times(files[name]!).map((time) => time + 31 * 86_400_000))
    const untilMs = Date.parse('2026-09-15T12:00:00Z')
    const past = worldFiles(small, { untilMs })
    expect(times(past['attempts.csv']!).every((time) => time <= untilMs)).toBe(true)
    expect(past['attempts.csv']!.length).toBeGreaterThan(0.4 * files['attempts.csv']!.length)
    // However quiet it was, streams go on where these end.
    for (const name of ['attempts.csv', 'clicks.csv', 'cart.csv']) {
      expect(Math.max(...times(past[name]!))).toBe(untilMs - 60_000)
      const ids = past[name]!.split('\n').map((line) => line.split(',')[0])
      expect(new Set(ids).size).toBe(ids.length)
    }
  })

  it('keeps features within their meaning', () => {
    const wrongPayments = world.payments.filter(
      ({ features: f }) => !(f.amount > 0 && f.card_age_days <= f.account_age_days && f.hour >= 0 && f.hour <= 23),
    )
    const wrongSessions = world.sessions.filter(
      ({ features: f }) => f.items_in_cart > f.products_viewed || f.cart_value > 0 !== f.items_in_cart > 0,
    )
    expect(wrongPayments).toEqual([])
    expect(wrongSessions).toEqual([])
  })
})

function groupBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const value of values) {
    const group = groups.get(keyOf(value))
    if (group) group.push(value)
    else groups.set(keyOf(value), [value])
  }
  return groups
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function expectRate(labels: readonly number[], probabilities: readonly number[]): void {
  const variance = probabilities.reduce((sum, p) => sum + p * (1 - p), 0) / probabilities.length ** 2
  expect(Math.abs(mean(labels) - mean(probabilities))).toBeLessThan(4 * Math.sqrt(variance))
}
