// Sums of a shadow step to a report. Shares have bounds by the coin of src/stats, whose share is one half: its odds are the odds of the share.
import {
  asymptoticHalfWidth,
  DDSketch,
  kolmogorovDistance,
  populationStability,
  relativeRiskBound,
  UNBOUNDED_RISK,
} from '../../stats/index.js'
import { HARM_PRIOR, RELIEF_PRIOR } from './judge.js'
import type { GuardSettings } from './settings.js'
import type {
  Interval,
  PairedTimes,
  QuantilesMs,
  ShadowReport,
  ShadowState,
  ShadowVerdict,
  TimesReport,
} from './shadow-types.js'

const SKETCH_ACCURACY = 0.01

/** The report over what several nodes saw; pure. */
export function compareShadow(states: readonly ShadowState[], settings: GuardSettings): ShadowReport {
  const { differing: mayDiffer, failing: mayFail, alpha } = settings.shadow
  const total = (pick: (state: ShadowState) => number) => states.reduce((sum, state) => sum + pick(state), 0)
  const most = (pick: (state: ShadowState) => number) => states.reduce((max, state) => Math.max(max, pick(state)), 0)
  const pairs = total((state) => state.pairs)
  const onlyCandidate = shareInterval(
    total((state) => state.failed.candidate),
    pairs,
    alpha,
  )
  const compared = total((state) => state.answers.compared)
  const differing = shareInterval(
    total((state) => state.answers.differing),
    compared,
    alpha,
  )
  const labels = total((state) => state.answers.labels)
  const champion = mergedSketch(states.map(({ values }) => values.champion))
  const candidate = mergedSketch(states.map(({ values }) => values.candidate))
  const errors = {
    verdict: verdictOf(onlyCandidate, mayFail),
    onlyCandidate,
    both: total((state) => state.failed.both),
    champion: total((state) => state.failed.champion),
    candidate: total((state) => state.failed.candidate),
  }
  const answers = {
    verdict: verdictOf(differing, mayDiffer),
    differing,
    compared,
    mismatched: total((state) => state.answers.mismatched),
    invalid: total((state) => state.answers.invalid),
    maxAbsolute: most((state) => state.answers.maxAbsolute),
    maxRelative: most((state) => state.answers.maxRelative),
    meanAbsolute: compared === 0 ? null : total((state) => state.answers.sumAbsolute) / compared,
    labelAgreement: labels === 0 ? null : total((state) => state.answers.labelsAgreeing) / labels,
    psi: champion.count === 0 ? null : populationStability(champion, candidate),
    ks: champion.count === 0 ? null : kolmogorovInterval(champion, candidate, alpha),
  }
  const verdict = worst(errors.verdict, answers.verdict)
  return {
    verdict,
    summary: summarize(verdict, pairs, errors, answers),
    pairs,
    errors,
    answers,
    latency: timesReport(
      states.map((state) => state.latency),
      alpha,
    ),
    runTime: timesReport(
      states.map((state) => state.runTime),
      alpha,
    ),
  }
}

function verdictOf(share: Interval | null, tolerated: number): ShadowVerdict {
  if (share === null) return 'inconclusive'
  if (share.low > tolerated) return 'differs'
  return share.high < tolerated ? 'indistinguishable' : 'inconclusive'
}

function worst(a: ShadowVerdict, b: ShadowVerdict): ShadowVerdict {
  if (a === 'differs' || b === 'differs') return 'differs'
  return a === 'inconclusive' || b === 'inconclusive' ? 'inconclusive' : 'indistinguishable'
}

/** Each bound at 1 - alpha / 2, at all times together. */
function shareInterval(count: number, of: number, alpha: number): Interval | null {
  if (of === 0) return null
  const groups = [{ share: 0.5, candidate: count, reference: of - count }]
  const toShare = (odds: number) => (odds >= UNBOUNDED_RISK ? 1 : odds / (1 + odds))
  return {
    estimate: count / of,
    low: toShare(relativeRiskBound(groups, alpha / 2, HARM_PRIOR)),
    high: toShare(relativeRiskBound(groups, alpha / 2, RELIEF_PRIOR)),
  }
}

/**
 * Bounds for each distribution that hold at all sample sizes together: S. Howard, A. Ramdas, "Sequential estimation of quantiles with
 * applications to A/B testing and best-arm identification" (Bernoulli 2022), whose constants these are.
 */
function kolmogorovInterval(champion: DDSketch, candidate: DDSketch, alpha: number): Interval {
  const estimate = kolmogorovDistance(champion, candidate)
  const n = champion.count
  const slack = 2 * 0.85 * Math.sqrt((Math.log(Math.log(Math.E * n)) + 0.8 * Math.log((2 * 1612) / alpha)) / n)
  return { estimate, low: Math.max(0, estimate - slack), high: Math.min(1, estimate + slack) }
}

function timesReport(times: readonly PairedTimes[], alpha: number): TimesReport {
  const pairs = times.reduce((sum, one) => sum + one.pairs, 0)
  const champion = mergedSketch(times.map((one) => one.champion))
  const candidate = mergedSketch(times.map((one) => one.candidate))
  const quantiles = { pairs, championMs: quantilesOf(champion), candidateMs: quantilesOf(candidate) }
  if (pairs < 2) return { ...quantiles, ratio: null }
  const mean = times.reduce((sum, one) => sum + one.sum, 0) / pairs
  const meanSquare = times.reduce((sum, one) => sum + one.sumOfSquares, 0) / pairs
  const half = asymptoticHalfWidth(pairs, Math.sqrt(Math.max(0, meanSquare - mean * mean)), alpha)
  return { ...quantiles, ratio: { estimate: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half) } }
}

function quantilesOf(sketch: DDSketch): QuantilesMs | null {
  if (sketch.count === 0) return null
  return { p50: sketch.quantile(0.5)!, p95: sketch.quantile(0.95)!, p99: sketch.quantile(0.99)! }
}

/** Counts that are no sketch's are left out. */
function mergedSketch(counts: readonly (readonly number[])[]): DDSketch {
  const merged = new DDSketch(SKETCH_ACCURACY)
  for (const one of counts) {
    const sketch = DDSketch.fromCounts(SKETCH_ACCURACY, one)
    if (sketch !== undefined) merged.merge(sketch)
  }
  return merged
}

function summarize(
  verdict: ShadowVerdict,
  pairs: number,
  errors: ShadowReport['errors'],
  answers: Pick<ShadowReport['answers'], 'differing' | 'compared'>,
): string {
  if (pairs === 0) return 'No copied call has ended yet.'
  const said = `Of ${pairs} units, the candidate alone failed ${errors.candidate}, the champion alone ${errors.champion}`
  const differing =
    answers.differing === null
      ? 'no answers could be compared (payloads are not in the log)'
      : `${percent(answers.differing.estimate)} of ${answers.compared} answers differ (${percent(answers.differing.low)} to ${percent(answers.differing.high)})`
  const verdicts = {
    indistinguishable: 'No difference beyond what is tolerated.',
    differs: 'They differ by more than is tolerated.',
    inconclusive: 'More pairs are needed to say.',
  }
  return `${said}; ${differing}. ${verdicts[verdict]}`
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(3))} %`
}
