// Against SciPy (test/fixtures/guards/make.py), against the product over every order of events, in exact rationals, and by the
// probability of ever reaching the limit, which dynamic programming gives without simulation.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type CoinCounts,
  logCoinMartingale,
  type RiskPrior,
  relativeRiskBound,
  relativeRiskEstimate,
  UNBOUNDED_RISK,
} from './coin-martingale.js'

const { multiples, weights, cases } = JSON.parse(
  readFileSync(new URL('../../test/fixtures/guards/coins.json', import.meta.url), 'utf8'),
) as {
  multiples: number[]
  weights: number[]
  cases: {
    groups: [number, number, number][]
    relative: number
    harm: number
    relief: number
    low: number | null
    high: number | null
  }[]
}
const harm: RiskPrior = { multiples, weights }
const relief: RiskPrior = { multiples: multiples.map((multiple) => 1 / multiple), weights }
const toGroups = (groups: readonly [number, number, number][]): CoinCounts[] =>
  groups.map(([share, candidate, reference]) => ({ share, candidate, reference }))

describe('the coin martingale', () => {
  it('equals SciPy’s binomial likelihoods, and its bounds are where SciPy finds the roots', () => {
    for (const one of cases) {
      const groups = toGroups(one.groups)
      // Differences of logarithms of factorials lose digits there, not here.
      expect(logCoinMartingale(groups, one.relative, harm)).toBeCloseTo(one.harm, 6)
      expect(logCoinMartingale(groups, one.relative, relief)).toBeCloseTo(one.relief, 6)
      if (one.low !== null) expect(relativeRiskBound(groups, 0.01, harm) / one.low).toBeCloseTo(1, 6)
      if (one.high !== null) expect(relativeRiskBound(groups, 0.01, relief) / one.high).toBeCloseTo(1, 6)
    }
  })

  it('is a mean of exactly 1 over all sequences when the null holds, and below 1 when the candidate is better', () => {
    const share = ratio(1n, 20n)
    const priors: [bigint, Ratio][] = [
      [2n, ratio(1n, 2n)],
      [10n, ratio(1n, 3n)],
      [100n, ratio(1n, 6n)],
    ]
    for (const relative of [ratio(1n, 1n), ratio(3n, 2n)]) {
      for (const [truth, isExact] of [
        [relative, true],
        [times(relative, ratio(1n, 2n)), false],
      ] as const) {
        let mean = ratio(0n, 1n)
        for (let bits = 0; bits < 2 ** 7; bits++) {
          let probability = ratio(1n, 1n)
          const products = priors.map(() => ratio(1n, 1n))
          for (let i = 0; i < 7; i++) {
            const isCandidate = (bits & (1 << i)) !== 0
            const chance = (risk: Ratio) => sideOf(coin(share, risk), isCandidate)
            probability = times(probability, chance(truth))
            priors.forEach(([multiple], j) => {
              const likelihood = over(chance(times(relative, ratio(multiple, 1n))), chance(relative))
              products[j] = times(products[j]!, likelihood)
            })
          }
          const m = products.reduce((sum, product, j) => plus(sum, times(priors[j]![1], product)), ratio(0n, 1n))
          mean = plus(mean, times(probability, m))
          // The function on counts is that product, whatever the order was.
          const candidate = [...bits.toString(2)].filter((bit) => bit === '1').length
          const ofCounts = logCoinMartingale(
            [{ share: 0.05, candidate, reference: 7 - candidate }],
            toNumber(relative),
            {
              multiples: priors.map(([multiple]) => Number(multiple)),
              weights: priors.map(([, weight]) => toNumber(weight)),
            },
          )
          expect(ofCounts).toBeCloseTo(Math.log(toNumber(m)), 10)
        }
        if (isExact) expect(mean).toEqual(ratio(1n, 1n))
        else expect(toNumber(mean)).toBeLessThan(1)
      }
    }
  })

  it.each([
    [0.05, 0.005, 600],
    [0.01, 0.01, 600],
    [0.5, 0.01, 600],
    [0.25, 0.05, 600],
  ])(
    'reaches 1 / alpha at a share of %d with a probability below alpha %d, at any of %d looks',
    (share, alpha, looks) => {
      for (const [prior, relative] of [
        [harm, 1],
        [harm, 2],
        [relief, 1],
      ] as const) {
        const probability = everRefuted(share, relative, prior, alpha, looks)
        expect(probability).toBeLessThanOrEqual(alpha)
        // Not for lack of trying.
        expect(probability).toBeGreaterThan(alpha / 100)
      }
    },
  )

  it('does not mind in how many groups or in which order the same counts come', () => {
    const group = fc.record({
      share: fc.constantFrom(0.01, 0.05, 0.5),
      candidate: fc.nat(200),
      reference: fc.nat(2000),
    })
    fc.assert(
      fc.property(fc.array(group, { maxLength: 6 }), (groups) => {
        const merged = new Map<number, { candidate: number; reference: number }>()
        for (const { share, candidate, reference } of groups) {
          const sum = merged.get(share) ?? { candidate: 0, reference: 0 }
          merged.set(share, { candidate: sum.candidate + candidate, reference: sum.reference + reference })
        }
        const one = logCoinMartingale(groups, 1, harm)
        const other = logCoinMartingale(
          [...merged].reverse().map(([share, counts]) => ({ share, ...counts })),
          1,
          harm,
        )
        expect(other).toBeCloseTo(one, 8)
      }),
    )
  })

  it('says of every null below a refuted one that it is refuted, and bounds enclose the estimate', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0.001, 0.05, 0.5, 0.9),
        fc.nat(400),
        fc.nat(4000),
        fc.double({ min: 0.01, max: 50, noNaN: true }),
        (share, candidate, reference, relative) => {
          const groups = [{ share, candidate, reference }]
          expect(logCoinMartingale(groups, relative * 1.01, harm)).toBeLessThanOrEqual(
            logCoinMartingale(groups, relative, harm) + 1e-12,
          )
          expect(logCoinMartingale(groups, relative * 1.01, relief)).toBeGreaterThanOrEqual(
            logCoinMartingale(groups, relative, relief) - 1e-12,
          )
          const estimate = relativeRiskEstimate(groups)
          if (estimate === undefined) return
          expect(relativeRiskBound(groups, 0.01, harm)).toBeLessThanOrEqual(estimate * (1 + 1e-6))
          expect(relativeRiskBound(groups, 0.01, relief)).toBeGreaterThanOrEqual(estimate * (1 - 1e-6))
        },
      ),
    )
  })

  it('has nothing to say of nothing, and no bound where one arm had no events', () => {
    expect(logCoinMartingale([], 1, harm)).toBeCloseTo(0, 12)
    expect(relativeRiskEstimate([])).toBeUndefined()
    expect(relativeRiskBound([], 0.01, harm)).toBe(0)
    expect(relativeRiskBound([], 0.01, relief)).toBe(UNBOUNDED_RISK)
    expect(relativeRiskEstimate([{ share: 0.05, candidate: 0, reference: 4 }])).toBe(0)
    expect(relativeRiskEstimate([{ share: 0.05, candidate: 4, reference: 0 }])).toBe(UNBOUNDED_RISK)
  })

  it('estimates the ratio of rates of one group in closed form', () => {
    expect(relativeRiskEstimate([{ share: 0.05, candidate: 10, reference: 95 }])).toBeCloseTo(2, 6)
  })
})

/** P(M reaches 1 / alpha at some n up to `looks`) when the relative risk is the null's, by the number of candidates so far. */
function everRefuted(share: number, relative: number, prior: RiskPrior, alpha: number, looks: number): number {
  const q = (relative * share) / (relative * share + 1 - share)
  const limit = -Math.log(alpha)
  let alive = new Float64Array(looks + 2)
  alive[0] = 1
  let refuted = 0
  for (let n = 1; n <= looks; n++) {
    const next = new Float64Array(looks + 2)
    for (let k = 0; k < n; k++) {
      next[k]! += alive[k]! * (1 - q)
      next[k + 1]! += alive[k]! * q
    }
    for (let k = 0; k <= n; k++) {
      if (next[k]! < 1e-18) continue
      if (logCoinMartingale([{ share, candidate: k, reference: n - k }], relative, prior) < limit) continue
      refuted += next[k]!
      next[k] = 0
    }
    alive = next
  }
  return refuted
}

/** Fractions in lowest terms. */
interface Ratio {
  readonly n: bigint
  readonly d: bigint
}

function ratio(n: bigint, d: bigint): Ratio {
  let [a, b] = [n, d]
  while (b !== 0n) [a, b] = [b, a % b]
  return { n: n / a, d: d / a }
}

const times = (a: Ratio, b: Ratio) => ratio(a.n * b.n, a.d * b.d)
const over = (a: Ratio, b: Ratio) => ratio(a.n * b.d, a.d * b.n)
const plus = (a: Ratio, b: Ratio) => ratio(a.n * b.d + b.n * a.d, a.d * b.d)
const toNumber = ({ n, d }: Ratio) => Number(n) / Number(d)

function coin(share: Ratio, risk: Ratio): Ratio {
  const odds = times(risk, over(share, ratio(share.d - share.n, share.d)))
  return ratio(odds.n, odds.n + odds.d)
}

function sideOf(chance: Ratio, isCandidate: boolean): Ratio {
  return isCandidate ? chance : ratio(chance.d - chance.n, chance.d)
}
