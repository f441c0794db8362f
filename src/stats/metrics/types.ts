// Metrics of predictions against the truth. Each works on typed arrays and takes a weight per row, so that a bootstrap is the same function
// with other weights; what is costly (sorting) is done once, in `prepare`.

/** Classes are numbers; `probabilities` has a row of `classes` values per prediction, or is undefined when only classes were given. */
export interface ClassPredictions {
  readonly kind: 'classification'
  readonly classes: number
  /** The class that precision, recall, F1, AUC and average precision are about, where there are two. */
  readonly positive: number
  readonly truth: Int32Array
  readonly predicted: Int32Array
  readonly probabilities: Float64Array | undefined
}

export interface ValuePredictions {
  readonly kind: 'regression'
  readonly truth: Float64Array
  readonly predicted: Float64Array
}

export type Predictions = ClassPredictions | ValuePredictions

/** The metric under weights of the rows; NaN where it is not defined (AUC of one class). */
export type Weighted = (weights: Float64Array) => number

export const METRIC_NAMES = [
  'accuracy',
  'precision',
  'recall',
  'f1',
  'auc',
  'averagePrecision',
  'logLoss',
  'brier',
  'ece',
  'rmse',
  'mae',
  'mape',
  'r2',
] as const

export type MetricName = (typeof METRIC_NAMES)[number]

export interface Metric {
  readonly name: MetricName
  readonly kind: Predictions['kind']
  /** Whether more is better. */
  readonly isGain: boolean
  readonly needsProbabilities: boolean
  /** Only of two classes. */
  readonly isBinary: boolean
  prepare(predictions: Predictions): Weighted
}
