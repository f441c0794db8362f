// Metrics of classes and probabilities. Conventions are scikit-learn's: precision and recall of nothing are 0; with more than two
// classes precision, recall and F1 are means over the classes, and AUC the mean of one class against the rest.
import type { ClassPredictions, Metric, Predictions, Weighted } from './types.js'

type Prepare = (predictions: ClassPredictions) => Weighted

function metric(
  name: Metric['name'],
  {
    isGain = true,
    needsProbabilities = false,
    isBinary = false,
  }: Partial<Pick<Metric, 'isGain' | 'needsProbabilities' | 'isBinary'>>,
  prepare: Prepare,
): Metric {
  return {
    name,
    kind: 'classification',
    isGain,
    needsProbabilities,
    isBinary,
    prepare: (predictions: Predictions) => prepare(predictions as ClassPredictions),
  }
}

const accuracy: Prepare = ({ truth, predicted }) => {
  const rows = truth.length
  return (weights) => {
    let right = 0
    let all = 0
    for (let i = 0; i < rows; i++) {
      all += weights[i]!
      if (truth[i] === predicted[i]) right += weights[i]!
    }
    return right / all
  }
}

/** Mean over classes, or that of the positive one, of a ratio of true positives, predicted and actual counts. */
function byCounts(ratio: (hits: number, predicted: number, actual: number) => number): Prepare {
  return ({ truth, predicted, classes, positive }) => {
    const hits = new Float64Array(classes)
    const said = new Float64Array(classes)
    const is = new Float64Array(classes)
    return (weights) => {
      hits.fill(0)
      said.fill(0)
      is.fill(0)
      for (let i = 0; i < truth.length; i++) {
        const weight = weights[i]!
        is[truth[i]!]! += weight
        said[predicted[i]!]! += weight
        if (truth[i] === predicted[i]) hits[truth[i]!]! += weight
      }
      if (classes === 2) return ratio(hits[positive]!, said[positive]!, is[positive]!)
      let sum = 0
      let present = 0
      for (let c = 0; c < classes; c++) {
        if (said[c] === 0 && is[c] === 0) continue
        sum += ratio(hits[c]!, said[c]!, is[c]!)
        present++
      }
      return sum / present
    }
  }
}

const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole)

/** Rows by falling score, as `order`, and where ties end. */
interface Ranking {
  readonly order: Int32Array
  /** 1 where the next row has another score. */
  readonly endsTie: Uint8Array
}

export function rank(scores: Float64Array): Ranking {
  const order = Int32Array.from(scores, (_, i) => i).sort((a, b) => scores[b]! - scores[a]!)
  const endsTie = Uint8Array.from(order, (row, i) =>
    i + 1 === order.length || scores[order[i + 1]!] !== scores[row] ? 1 : 0,
  )
  return { order, endsTie }
}

export function scoresOf({ probabilities, classes, truth }: ClassPredictions, of: number): Float64Array {
  const scores = new Float64Array(truth.length)
  for (let i = 0; i < scores.length; i++) scores[i] = probabilities![i * classes + of]!
  return scores
}

/** Share of pairs of a positive and a negative row in which the positive one has the higher score; ties count half. */
function aucOf(predictions: ClassPredictions, of: number): Weighted {
  const { truth } = predictions
  const { order, endsTie } = rank(scoresOf(predictions, of))
  return (weights) => {
    let positives = 0
    let negatives = 0
    let above = 0
    let tiedPositive = 0
    let tiedNegative = 0
    for (let i = 0; i < order.length; i++) {
      const row = order[i]!
      if (truth[row] === of) tiedPositive += weights[row]!
      else tiedNegative += weights[row]!
      if (endsTie[i] === 0) continue
      above += tiedNegative * (positives + tiedPositive / 2)
      positives += tiedPositive
      negatives += tiedNegative
      tiedPositive = 0
      tiedNegative = 0
    }
    return positives === 0 || negatives === 0 ? Number.NaN : above / (positives * negatives)
  }
}

const auc: Prepare = (predictions) => {
  const { classes, positive } = predictions
  if (classes === 2) return aucOf(predictions, positive)
  const each = Array.from({ length: classes }, (_, c) => aucOf(predictions, c))
  return (weights) => each.reduce((sum, one) => sum + one(weights), 0) / classes
}

/** Mean precision over the recall that each threshold adds, without interpolation. */
const averagePrecision: Prepare = (predictions) => {
  const { truth, positive } = predictions
  const { order, endsTie } = rank(scoresOf(predictions, positive))
  return (weights) => {
    let hits = 0
    let said = 0
    let counted = 0
    let sum = 0
    for (let i = 0; i < order.length; i++) {
      const row = order[i]!
      said += weights[row]!
      if (truth[row] === positive) hits += weights[row]!
      if (endsTie[i] === 0 || said === 0) continue
      sum += (hits - counted) * (hits / said)
      counted = hits
    }
    return hits === 0 ? Number.NaN : sum / hits
  }
}

/** A mean over rows of what each row adds. */
function meanOf(perRow: Float64Array): Weighted {
  return (weights) => {
    let sum = 0
    let all = 0
    for (let i = 0; i < perRow.length; i++) {
      sum += weights[i]! * perRow[i]!
      all += weights[i]!
    }
    return sum / all
  }
}

/** Probabilities of 0 are taken for this: the loss stays finite, as in scikit-learn for doubles. */
const LEAST_PROBABILITY = 2 ** -52

const logLoss: Prepare = ({ truth, probabilities, classes }) =>
  meanOf(
    Float64Array.from(truth, (is, i) => {
      let sum = 0
      for (let c = 0; c < classes; c++) sum += clip(probabilities![i * classes + c]!)
      return -Math.log(clip(probabilities![i * classes + is]!) / sum)
    }),
  )

function clip(probability: number): number {
  return Math.min(1 - LEAST_PROBABILITY, Math.max(LEAST_PROBABILITY, probability))
}

const brier: Prepare = ({ truth, probabilities, classes, positive }) =>
  meanOf(
    Float64Array.from(truth, (is, i) => {
      if (classes === 2) return (probabilities![i * 2 + positive]! - (is === positive ? 1 : 0)) ** 2
      let sum = 0
      for (let c = 0; c < classes; c++) sum += (probabilities![i * classes + c]! - (is === c ? 1 : 0)) ** 2
      return sum
    }),
  )

const BINS = 10

/** Expected calibration error: distance of confidence and accuracy in ten bins of equal width. Of two classes: of the positive one's probability. */
const ece: Prepare = ({ truth, probabilities, classes, positive }) => {
  const confidence = new Float64Array(truth.length)
  const isRight = new Uint8Array(truth.length)
  for (let i = 0; i < truth.length; i++) {
    let best = classes === 2 ? positive : 0
    if (classes !== 2)
      for (let c = 1; c < classes; c++)
        if (probabilities![i * classes + c]! > probabilities![i * classes + best]!) best = c
    confidence[i] = probabilities![i * classes + best]!
    isRight[i] = truth[i] === best ? 1 : 0
  }
  const bin = Uint8Array.from(confidence, (p) => Math.min(BINS - 1, Math.max(0, Math.floor(p * BINS))))
  const gap = new Float64Array(BINS)
  return (weights) => {
    gap.fill(0)
    let all = 0
    for (let i = 0; i < bin.length; i++) {
      gap[bin[i]!]! += weights[i]! * (isRight[i]! - confidence[i]!)
      all += weights[i]!
    }
    let sum = 0
    for (let b = 0; b < BINS; b++) sum += Math.abs(gap[b]!)
    return sum / all
  }
}

export const CLASS_METRICS: readonly Metric[] = [
  metric('accuracy', {}, accuracy),
  metric(
    'precision',
    {},
    byCounts((hits, said) => share(hits, said)),
  ),
  metric(
    'recall',
    {},
    byCounts((hits, _, is) => share(hits, is)),
  ),
  metric(
    'f1',
    {},
    byCounts((hits, said, is) => share(2 * hits, said + is)),
  ),
  metric('auc', { needsProbabilities: true }, auc),
  metric('averagePrecision', { needsProbabilities: true, isBinary: true }, averagePrecision),
  metric('logLoss', { isGain: false, needsProbabilities: true }, logLoss),
  metric('brier', { isGain: false, needsProbabilities: true }, brier),
  metric('ece', { isGain: false, needsProbabilities: true }, ece),
]
