import { describe, expect, it } from 'vitest'
import { worldFiles } from './csv.js'
import { createDemand, DEMAND_KINDS } from './demand.js'
import { clickProbability, fraudProbability, purchaseProbability } from './truth.js'
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

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function expectRate(labels: readonly number[], probabilities: readonly number[]): void {
  const variance = probabilities.reduce((sum, p) => sum + p * (1 - p), 0) / probabilities.length ** 2
  expect(Math.abs(mean(labels) - mean(probabilities))).toBeLessThan(4 * Math.sqrt(variance))
}
