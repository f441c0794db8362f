// Floor 1. Statistics as pure functions and small states on numbers: sums without rounding, sketches, canonical counts.
// Everything that is merged gives the same result in any order, and each thing here is checked against something that we did not write.
// Nothing here knows where the numbers come from.
export { asymptoticHalfWidth } from './asymptotic-sequence.js'
export {
  type CoinCounts,
  logCoinMartingale,
  type RiskPrior,
  relativeRiskBound,
  relativeRiskEstimate,
  UNBOUNDED_RISK,
} from './coin-martingale.js'
export { DDSketch } from './dd-sketch.js'
export { ExactSquares, ExactSum } from './exact-sum.js'
export { variance } from './exact-variance.js'
export { exp2 } from './exp2.js'
export { HyperLogLog } from './hyper-log-log.js'
export { type Interval, pairedBootstrap } from './metrics/bootstrap.js'
export { delong, delongInterval, type PairedAuc } from './metrics/delong.js'
export { metricNamed } from './metrics/metrics.js'
export {
  type ClassPredictions,
  METRIC_NAMES,
  type Metric,
  type MetricName,
  type Predictions,
  type ValuePredictions,
  type Weighted,
} from './metrics/types.js'
export { type Hash64, murmur3 } from './murmur3.js'
export { kolmogorovDistance, populationStability } from './sketch-distance.js'
export { type Countable, compareValues, topCounts } from './top-counts.js'
