// Judges an evaluation: a metric of the candidate against its limits, and against the champion's on the same rows, overall and by slice.
// Pure, and long for many rows: it runs in `judge-thread.ts`.
import { seededRandom } from '../../core/index.js'
import {
  delong,
  delongInterval,
  type Interval,
  type Metric,
  metricNamed,
  type Predictions,
  pairedBootstrap,
} from '../../stats/index.js'
import type { EvaluationSettings } from './config.js'

/** The rows of a data set that could be judged. */
export interface JudgedRows {
  readonly candidate: Predictions
  /** On the same rows; undefined without a champion. */
  readonly champion: Predictions | undefined
  readonly weights: Float64Array
  /** Whether the weights are all 1: DeLong's interval knows no others. */
  readonly isWeighted: boolean
  readonly slices: readonly SliceColumn[]
}

export interface SliceColumn {
  readonly column: string
  readonly values: readonly string[]
  /** By row: index into `values`. */
  readonly of: Int32Array
}

export interface Comparison {
  /** Candidate less champion, in units of the metric. */
  readonly difference: number
  readonly low: number
  readonly high: number
  /** Of the interval, after it was shared out over slices. */
  readonly confidence: number
  readonly method: 'DeLong' | 'paired bootstrap'
}

export interface MeasuredRows {
  readonly rows: number
  /** Null where the metric is not defined on these rows. */
  readonly candidate: number | null
  readonly champion: number | null
  readonly comparison: Comparison | null
  /** Why a number is missing. */
  readonly note: string | null
  readonly isWorse: boolean
}

export interface SliceResult extends MeasuredRows {
  readonly column: string
  readonly value: string
}

export interface EvaluationResult {
  readonly overall: MeasuredRows
  /** Of the candidate alone, at the confidence asked for; null where nothing needs it. */
  readonly interval: { readonly low: number; readonly high: number } | null
  readonly slices: readonly SliceResult[]
  /** Slices with too few rows: not judged. */
  readonly tooSmall: readonly { readonly column: string; readonly value: string; readonly rows: number }[]
  readonly failures: readonly string[]
  /** What could not be judged. */
  readonly doubts: readonly string[]
  /** Nothing was judged at all. */
  readonly isSkipped: boolean
}

/** Any fixed number: the same rows give the same interval. */
const SEED = 20_261_122

/**
 * Limits are held against the metric itself when strictness is `shown`, and against the worse end of its interval when it is `excluded`. A version
 * that is worse than the champion by more than the tolerance: `shown` fails it when the whole interval of the difference is beyond the tolerance;
 * `excluded` passes it only when none of the interval is. Slices fail only when it is shown, with Bonferroni's correction over all
 * slices that are judged, so that many slices do not make a failure by chance more likely than one.
 */
export function judge(rows: JudgedRows, settings: EvaluationSettings): EvaluationResult {
  const metric = metricNamed(settings.metric)
  const cannot = whyNotApplicable(rows.candidate, metric)
  if (cannot !== undefined) return nothing(cannot)
  const { confidence, tolerance, minSliceRows, strictness } = settings
  const compares = tolerance !== undefined && rows.champion !== undefined
  const all = rows.weights.map((_, i) => i)
  const overall = measure(rows, Int32Array.from(all), metric, compares ? confidence : undefined, tolerance ?? 0)
  const failures: string[] = []
  const doubts: string[] = []
  const { candidate } = overall
  if (candidate === null) return nothing(overall.note!)
  const needsInterval = strictness === 'excluded' && (settings.atLeast !== undefined || settings.atMost !== undefined)
  const interval = needsInterval
    ? pairedBootstrap(metric.prepare(rows.candidate), undefined, rows.weights, {
        confidence,
        random: seededRandom(SEED),
      })
    : undefined
  limits(settings, candidate, interval, failures)
  if (tolerance !== undefined) regression(metric, settings, overall, failures, doubts)
  const parts = rows.slices.flatMap((column) =>
    column.values.map((value, index) => ({ column: column.column, value, index: rowsOf(column.of, index) })),
  )
  const large = parts.filter(({ index }) => index.length >= minSliceRows)
  const shared = 1 - (1 - confidence) / Math.max(1, large.length)
  const slices = large.map(({ column, value, index }) => ({
    column,
    value,
    ...measure(rows, index, metric, compares ? shared : undefined, tolerance ?? 0),
  }))
  for (const slice of slices) {
    if (slice.isWorse) failures.push(`In ${slice.column} = ${slice.value} ${worse(metric, settings, slice)}`)
    else if (slice.note !== null) doubts.push(`${slice.column} = ${slice.value}: ${slice.note}`)
  }
  const tooSmall = parts
    .filter(({ index }) => index.length < minSliceRows)
    .map(({ column, value, index }) => ({ column, value, rows: index.length }))
  return {
    overall,
    interval: interval ? { low: interval.low, high: interval.high } : null,
    slices,
    tooSmall,
    failures,
    doubts,
    isSkipped: false,
  }
}

function nothing(reason: string): EvaluationResult {
  const overall = { rows: 0, candidate: null, champion: null, comparison: null, note: reason, isWorse: false }
  return { overall, interval: null, slices: [], tooSmall: [], failures: [], doubts: [reason], isSkipped: true }
}

function whyNotApplicable(predictions: Predictions, metric: Metric): string | undefined {
  if (predictions.kind !== metric.kind) return `"${metric.name}" is no metric of ${predictions.kind}.`
  if (predictions.kind === 'regression') return undefined
  if (metric.needsProbabilities && predictions.probabilities === undefined)
    return `"${metric.name}" needs probabilities, and the version gives none.`
  if (metric.isBinary && predictions.classes !== 2)
    return `"${metric.name}" is for two classes, and there are ${predictions.classes}.`
  return undefined
}

function limits(
  { metric, atLeast, atMost, strictness }: EvaluationSettings,
  candidate: number,
  interval: Interval | undefined,
  failures: string[],
): void {
  const isStrict = strictness === 'excluded'
  const lowest = isStrict ? (interval?.low ?? Number.NEGATIVE_INFINITY) : candidate
  const highest = isStrict ? (interval?.high ?? Number.POSITIVE_INFINITY) : candidate
  const sure = (end: number) => (isStrict ? `, and may be ${short(end)},` : '')
  if (atLeast !== undefined && !(lowest >= atLeast))
    failures.push(`${metric} is ${short(candidate)}${sure(lowest)} and must be at least ${atLeast}.`)
  if (atMost !== undefined && !(highest <= atMost))
    failures.push(`${metric} is ${short(candidate)}${sure(highest)} and must be at most ${atMost}.`)
}

function regression(
  metric: Metric,
  settings: EvaluationSettings,
  overall: MeasuredRows,
  failures: string[],
  doubts: string[],
): void {
  const { comparison } = overall
  if (comparison === null) {
    const reason = overall.note ?? 'there is no champion to compare with'
    if (settings.strictness === 'excluded' && overall.champion !== null)
      failures.push(`Whether it is worse than the champion is not known: ${reason}`)
    else doubts.push(`Not compared with the champion: ${reason}`)
    return
  }
  if (overall.isWorse) failures.push(`It is worse than the champion: ${worse(metric, settings, overall)}`)
  else if (settings.strictness === 'excluded' && mayBeWorse(metric, comparison, settings.tolerance!))
    failures.push(`It may be worse than the champion: ${worse(metric, settings, overall)}`)
  else if (mayBeWorse(metric, comparison, settings.tolerance!))
    doubts.push(`These rows do not exclude that it is worse by more than ${settings.tolerance}.`)
}

function worse(
  { name }: Metric,
  { tolerance }: EvaluationSettings,
  { candidate, champion, comparison, rows }: MeasuredRows,
): string {
  const { low, high, confidence, method } = comparison!
  const level = `${Number((100 * confidence).toFixed(3))} %`
  return `${name} is ${short(candidate!)} against ${short(champion!)} on ${rows} rows (difference ${short(comparison!.difference)}, ${level} interval ${short(low)} to ${short(high)}, ${method}; tolerance ${tolerance}).`
}

function mayBeWorse({ isGain }: Metric, { low, high }: Comparison, tolerance: number): boolean {
  return isGain ? low < -tolerance : high > tolerance
}

function isShownWorse({ isGain }: Metric, { low, high }: Comparison, tolerance: number): boolean {
  return isGain ? high < -tolerance : low > tolerance
}

function measure(
  rows: JudgedRows,
  index: Int32Array,
  metric: Metric,
  confidence: number | undefined,
  tolerance: number,
): MeasuredRows {
  const isAll = index.length === rows.weights.length
  const weights = isAll ? rows.weights : Float64Array.from(index, (row) => rows.weights[row]!)
  const candidate = isAll ? rows.candidate : pick(rows.candidate, index)
  const champion = rows.champion && (isAll ? rows.champion : pick(rows.champion, index))
  const isComparable = champion !== undefined && whyNotApplicable(champion, metric) === undefined
  const first = metric.prepare(candidate)
  const second = isComparable ? metric.prepare(champion) : undefined
  const value = first(weights)
  const other = second?.(weights)
  const base = { rows: index.length, candidate: finite(value), champion: finite(other), isWorse: false }
  if (!Number.isFinite(value)) return { ...base, comparison: null, note: whyUndefined(candidate, metric) }
  if (confidence === undefined || champion === undefined) return { ...base, comparison: null, note: null }
  if (second === undefined)
    return { ...base, comparison: null, note: `the champion cannot be measured: ${whyNotApplicable(champion, metric)}` }
  const comparison = compare(candidate, champion, weights, metric, rows.isWeighted, confidence)
  if (comparison === undefined)
    return { ...base, comparison: null, note: `${metric.name} is not defined on enough resamples of these rows.` }
  return { ...base, comparison, note: null, isWorse: isShownWorse(metric, comparison, tolerance) }
}

function compare(
  candidate: Predictions,
  champion: Predictions,
  weights: Float64Array,
  metric: Metric,
  isWeighted: boolean,
  confidence: number,
): Comparison | undefined {
  if (metric.name === 'auc' && candidate.kind === 'classification' && candidate.classes === 2 && !isWeighted) {
    const { positive, truth } = candidate
    const isPositive = Uint8Array.from(truth, (is) => (is === positive ? 1 : 0))
    const score = (of: Predictions) =>
      of.kind === 'classification'
        ? Float64Array.from(truth, (_, i) => of.probabilities![i * 2 + positive]!)
        : new Float64Array()
    const paired = delong(isPositive, score(candidate), score(champion))
    if (paired === undefined) return undefined
    return { difference: paired.difference, ...delongInterval(paired, confidence), confidence, method: 'DeLong' }
  }
  const random = seededRandom(SEED)
  const found = pairedBootstrap(metric.prepare(candidate), metric.prepare(champion), weights, { confidence, random })
  if (found === undefined) return undefined
  return { difference: found.estimate, low: found.low, high: found.high, confidence, method: 'paired bootstrap' }
}

function whyUndefined(predictions: Predictions, { name }: Metric): string {
  if (predictions.kind === 'classification' && new Set(predictions.truth).size < 2)
    return `${name} is not defined: all rows are of one class.`
  return `${name} is not defined on these rows.`
}

function rowsOf(of: Int32Array, value: number): Int32Array {
  const index: number[] = []
  for (let i = 0; i < of.length; i++) if (of[i] === value) index.push(i)
  return Int32Array.from(index)
}

function pick(predictions: Predictions, index: Int32Array): Predictions {
  if (predictions.kind === 'regression') {
    const { truth, predicted } = predictions
    return {
      kind: 'regression',
      truth: Float64Array.from(index, (i) => truth[i]!),
      predicted: Float64Array.from(index, (i) => predicted[i]!),
    }
  }
  const { truth, predicted, probabilities, classes } = predictions
  let picked: Float64Array | undefined
  if (probabilities !== undefined) {
    picked = new Float64Array(index.length * classes)
    for (let i = 0; i < index.length; i++)
      picked.set(probabilities.subarray(index[i]! * classes, (index[i]! + 1) * classes), i * classes)
  }
  return {
    ...predictions,
    truth: Int32Array.from(index, (i) => truth[i]!),
    predicted: Int32Array.from(index, (i) => predicted[i]!),
    probabilities: picked,
  }
}

function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)))
}
