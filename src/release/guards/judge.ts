// Counts to verdicts, pure: the same counts give the same report on every node and after every restart.
import {
  logCoinMartingale,
  type RiskPrior,
  relativeRiskBound,
  relativeRiskEstimate,
  UNBOUNDED_RISK,
} from '../../stats/index.js'
import { alphaBudget, familyAlpha, GROSS_GUARD, parseGuard } from './budget.js'
import type { GuardSettings, GuardSpec } from './settings.js'
import type { GuardCounts, GuardReport } from './types.js'

export interface JudgeOptions {
  /** Distinct units that were seen of each arm: fewer than `minUnits` of the candidate pass nothing. Default: not asked for. */
  readonly units?: { readonly candidate: number; readonly minUnits: number }
}

/**
 * Weights of relative risks, chosen for the goals of proofs/guards.ts at a share of 5 %: half of it around a doubling, which has to be told from
 * chance within 2,000 units, and a third on tenfold and more, so that disasters cost few units.
 */
export const HARM_PRIOR: RiskPrior = {
  multiples: [1.25, 1.5, 1.8, 2.2, 3, 5, 10, 20, 50],
  weights: [0.02, 0.15, 0.15, 0.2, 0.08, 0.05, 0.12, 0.13, 0.1],
}
/** The same the other way round. */
export const RELIEF_PRIOR: RiskPrior = {
  multiples: HARM_PRIOR.multiples.map((multiple) => 1 / multiple),
  weights: HARM_PRIOR.weights,
}

/** A failure over at most so many units is called gross. */
const GROSS_UNITS = 20
const MOST_EVIDENCE = 1e300

/**
 * One report for each guard that settings ask for, whether anything was counted or not. Windows of a guard are part of its report: it
 * fails when any of its families does.
 */
export function judge(
  counts: readonly GuardCounts[],
  settings: GuardSettings,
  options: JudgeOptions = {},
): GuardReport[] {
  const families = new Map<string, Map<number | undefined, GuardCounts[]>>()
  for (const count of counts) {
    const { guard, window } = parseGuard(count.guard)
    let ofGuard = families.get(guard)
    if (ofGuard === undefined) {
      ofGuard = new Map()
      families.set(guard, ofGuard)
    }
    const group = ofGuard.get(window)
    if (group === undefined) ofGuard.set(window, [count])
    else group.push(count)
  }
  return alphaBudget(settings).map((spec) => judgeGuard(spec, families.get(spec.name) ?? new Map(), options))
}

interface Family {
  readonly window: number | undefined
  readonly groups: readonly GuardCounts[]
  /** Evidence in the currency of the whole guard: it fails when this reaches 1 / alpha of the guard. */
  readonly eValue: number
}

function judgeGuard(
  spec: GuardSpec,
  families: ReadonlyMap<number | undefined, readonly GuardCounts[]>,
  { units }: JudgeOptions,
): GuardReport {
  const { name: guard, alpha, worse, tolerance, harm } = spec
  let strongest: Family | undefined
  for (const [window, groups] of families) {
    const log =
      worse === 'more'
        ? logCoinMartingale(groups, tolerance, HARM_PRIOR)
        : logCoinMartingale(groups, 1 / tolerance, RELIEF_PRIOR)
    const eValue = Math.min(MOST_EVIDENCE, Math.exp(log) * (familyAlpha(spec, window) / alpha))
    if (strongest === undefined || eValue > strongest.eValue) strongest = { window, groups, eValue }
  }
  const whole = families.get(undefined) ?? (spec.name === GROSS_GUARD ? strongest?.groups : undefined) ?? []
  const isFailed = strongest !== undefined && strongest.eValue >= 1 / alpha
  // The report shows what it was that failed.
  const shown = isFailed ? strongest! : { window: undefined, groups: whole, eValue: strongest?.eValue ?? 1 }
  const candidate = sum(shown.groups, 'candidate')
  const reference = sum(shown.groups, 'reference')
  const relative = intervalOf(shown.groups, familyAlpha(spec, shown.window) || alpha)
  const isEnough = units === undefined || units.candidate >= units.minUnits
  const excludesHarm = relative !== null && (worse === 'more' ? relative.high < harm : relative.low > 1 / harm)
  const verdict = isFailed ? 'failed' : isEnough && excludesHarm && guard !== GROSS_GUARD ? 'passed' : 'inconclusive'
  const report = { guard, verdict, eValue: shown.eValue, alpha, candidate, reference, relative } as const
  return { ...report, summary: summarize(report, spec, shown, units) }
}

function intervalOf(groups: readonly GuardCounts[], alpha: number): GuardReport['relative'] {
  const estimate = relativeRiskEstimate(groups)
  if (estimate === undefined) return null
  return {
    estimate,
    low: relativeRiskBound(groups, alpha, HARM_PRIOR),
    high: relativeRiskBound(groups, alpha, RELIEF_PRIOR),
  }
}

function summarize(
  { guard, verdict, eValue, alpha, candidate, reference, relative }: Omit<GuardReport, 'summary'>,
  spec: GuardSpec,
  { window }: Pick<Family, 'window'>,
  units: JudgeOptions['units'],
): string {
  if (relative === null) return 'No unit showed what this guard looks for, so it says nothing.'
  if (guard === GROSS_GUARD)
    return verdict === 'failed'
      ? `Gross failure: of ${candidate + reference} units that the new version served without a control, ${candidate} failed at their first call.`
      : `Of ${candidate + reference} units without a control, ${candidate} failed at their first call.`
  const seen = `${candidate} of the candidate's units and ${reference} of the ${spec.reference === 'control' ? "control's" : "champion's"}`
  const what = `${seen} showed ${described(guard)}`
  const risk = riskText(relative)
  if (verdict === 'failed') {
    const isGross = candidate + (spec.reference === 'control' ? reference : 0) <= GROSS_UNITS && relative.estimate >= 5
    const when = window === undefined ? '' : ` in window ${window} of the release`
    const odds = `evidence ${ratio(eValue)} against a limit of ${ratio(1 / alpha)}`
    return `${isGross ? 'Gross failure: ' : ''}${what}${when}: ${risk}, ${odds}.`
  }
  if (verdict === 'passed')
    return `${what}: ${risk}, so not ${spec.worse === 'more' ? spec.harm : ratio(1 / spec.harm)} times.`
  if (units !== undefined && units.candidate < units.minUnits)
    return `${what}: ${risk}; ${units.candidate} of ${units.minUnits} candidate units were seen.`
  return `${what}: ${risk}, which leaves both open.`
}

function described(guard: string): string {
  if (guard === 'errors') return 'an error'
  if (guard.startsWith('latency-'))
    return `a call slower than the champion's ${guard.slice('latency-'.length)}, the candidate's by more than the slack`
  if (guard.startsWith('outcome:')) return `the outcome ${guard.slice('outcome:'.length)}`
  if (guard === 'cost') return "a cost above the champion's usual, the candidate's by more than the slack"
  return `an answer of the kind ${guard.slice('outputs-'.length)}`
}

/** Where the reference had no event its rate may be nothing: then the candidate's is any number of times it. */
function riskText({ estimate, low, high }: NonNullable<GuardReport['relative']>): string {
  if (estimate >= UNBOUNDED_RISK)
    return low > 0 ? `at least ${ratio(low)} times the rate` : 'any number of times the rate'
  return `${ratio(estimate)} times the rate (${ratio(low)} ${high < UNBOUNDED_RISK ? `to ${ratio(high)}` : 'or more'})`
}

/** Three digits, and no powers of ten for what people count. */
function ratio(value: number): string {
  if (value === 0) return '0'
  return value >= 1000 && value < 1e9 ? String(Math.round(value)) : value.toPrecision(3)
}

function sum(groups: readonly GuardCounts[], arm: 'candidate' | 'reference'): number {
  let total = 0
  for (const group of groups) total += group[arm]
  return total
}
