// Metrics of numbers.
import type { Metric, Predictions, ValuePredictions, Weighted } from './types.js'

function meanLoss(
  name: Metric['name'],
  loss: (truth: number, predicted: number) => number,
  finish: (mean: number) => number = (mean) => mean,
): Metric {
  return {
    name,
    kind: 'regression',
    isGain: false,
    needsProbabilities: false,
    isBinary: false,
    prepare(predictions: Predictions): Weighted {
      const { truth, predicted } = predictions as ValuePredictions
      const losses = truth.map((is, i) => loss(is, predicted[i]!))
      return (weights) => {
        let sum = 0
        let all = 0
        for (let i = 0; i < losses.length; i++) {
          sum += weights[i]! * losses[i]!
          all += weights[i]!
        }
        return finish(sum / all)
      }
    },
  }
}

/** As scikit-learn: a truth of 0 counts as this small, so that its error is very large and not infinite. */
const LEAST_TRUTH = 2 ** -52

const r2: Metric = {
  name: 'r2',
  kind: 'regression',
  isGain: true,
  needsProbabilities: false,
  isBinary: false,
  prepare(predictions) {
    const { truth, predicted } = predictions as ValuePredictions
    return (weights) => {
      let all = 0
      let sum = 0
      for (let i = 0; i < truth.length; i++) {
        all += weights[i]!
        sum += weights[i]! * truth[i]!
      }
      const mean = sum / all
      let residual = 0
      let total = 0
      for (let i = 0; i < truth.length; i++) {
        residual += weights[i]! * (truth[i]! - predicted[i]!) ** 2
        total += weights[i]! * (truth[i]! - mean) ** 2
      }
      return total === 0 ? Number.NaN : 1 - residual / total
    }
  },
}

export const VALUE_METRICS: readonly Metric[] = [
  meanLoss('rmse', (is, said) => (is - said) ** 2, Math.sqrt),
  meanLoss('mae', (is, said) => Math.abs(is - said)),
  meanLoss('mape', (is, said) => Math.abs(is - said) / Math.max(LEAST_TRUTH, Math.abs(is))),
  r2,
]
