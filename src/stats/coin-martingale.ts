// The coin: of the units to which something happened, each belongs to the candidate with the probability of its share, when the candidate
// is no worse. Assignment threw that coin, so nothing has to be assumed of traffic. docs/guards.md has the derivation.
// The test martingale is a mixture over relative risks (Ville 1939; Robbins 1970): with odds o = R p / (1 - p) of the null R,
//   M_R = Σ w(ρ) Π_steps ρ^k ((1 + o) / (1 + ρ o))^(k + m)
// which depends on counts alone, so that the order of events, nodes and restarts change nothing.

/** Distinct units with an event, where the candidate's share of all units was `share`; within one such group the share is constant. */
export interface CoinCounts {
  /** Above 0 and below 1. */
  readonly share: number
  readonly candidate: number
  readonly reference: number
}

/** Alternatives as multiples of the null's relative risk: above 1 looks for harm, below 1 for the opposite. Weights sum to 1. */
export interface RiskPrior {
  readonly multiples: readonly number[]
  readonly weights: readonly number[]
}

/** Bounds and estimates of a relative risk are searched from its inverse up to here, which stands for "without bound". */
export const UNBOUNDED_RISK = 1e6

/**
 * Natural logarithm of M at the null "relative risk = `relative`"; 0 without events. With multiples above 1 it decreases in `relative`, so
 * what it says of a null holds for every smaller one. Reject when it reaches ln(1 / alpha), at any time, as often as wanted.
 */
export function logCoinMartingale(groups: readonly CoinCounts[], relative: number, prior: RiskPrior): number {
  const { multiples, weights } = prior
  const terms: number[] = []
  for (let i = 0; i < multiples.length; i++) {
    const multiple = multiples[i]!
    let log = Math.log(weights[i]!)
    for (const { share, candidate, reference } of groups) {
      const odds = (relative * share) / (1 - share)
      log += candidate * Math.log(multiple) - (candidate + reference) * Math.log1p(((multiple - 1) * odds) / (1 + odds))
    }
    terms.push(log)
  }
  return logSumExp(terms)
}

/**
 * The largest relative risk that events refute from below (`prior` with multiples above 1), or the smallest from above (below 1):
 * a bound that holds at all times together with probability 1 - alpha. Exact, as M is monotone in the null.
 */
export function relativeRiskBound(groups: readonly CoinCounts[], alpha: number, prior: RiskPrior): number {
  const limit = -Math.log(alpha)
  const isLower = prior.multiples[0]! > 1
  const isRefuted = (logRelative: number): boolean => logCoinMartingale(groups, Math.exp(logRelative), prior) >= limit
  // Refuted nulls are those below a lower bound, and those above an upper one.
  const edge = bisect(isLower ? isRefuted : (log) => !isRefuted(log))
  return edge === -LOG_UNBOUNDED ? 0 : riskAt(edge)
}

/** Most likely relative risk: 0 when no event was the candidate's, UNBOUNDED_RISK when all were, undefined without events. */
export function relativeRiskEstimate(groups: readonly CoinCounts[]): number | undefined {
  let candidate = 0
  let total = 0
  for (const group of groups) {
    candidate += group.candidate
    total += group.candidate + group.reference
  }
  if (total === 0) return undefined
  if (candidate === 0) return 0
  // The score of the conditional likelihood falls in the risk: fewer candidates are expected than were seen.
  return riskAt(
    bisect((log) => {
      let expected = 0
      for (const { share, candidate: k, reference: m } of groups) {
        const odds = (Math.exp(log) * share) / (1 - share)
        expected += (k + m) * (odds / (1 + odds))
      }
      return expected < candidate
    }),
  )
}

/** The exponential of the range's end is not exactly the number that stands for "without bound". */
function riskAt(log: number): number {
  return log === LOG_UNBOUNDED ? UNBOUNDED_RISK : Math.exp(log)
}

const LOG_UNBOUNDED = Math.log(UNBOUNDED_RISK)

/** Where a claim that holds below and not above changes, to 1e-9 of the logarithm; an end of the range when it does not. */
function bisect(holds: (log: number) => boolean): number {
  let low = -LOG_UNBOUNDED
  let high = LOG_UNBOUNDED
  if (holds(high)) return high
  if (!holds(low)) return low
  while (high - low > 1e-9) {
    const middle = (low + high) / 2
    if (holds(middle)) low = middle
    else high = middle
  }
  return low
}

function logSumExp(terms: readonly number[]): number {
  const largest = Math.max(...terms)
  if (largest === Number.NEGATIVE_INFINITY) return largest
  let sum = 0
  for (const term of terms) sum += Math.exp(term - largest)
  return largest + Math.log(sum)
}
