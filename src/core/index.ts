// Floor 0. What everything stands on: error tables, ids, clock, randomness, logs, metric handles.
// Nothing here knows about models. Time and randomness are handed out from here and read nowhere else.
// A domain receives them as a Platform, which tests replace.
export { type Clock, ManualClock, systemClock, type Timer } from './clock.js'
export { didYouMean } from './did-you-mean.js'
export {
  CoreErrors,
  declaredErrors,
  defineErrors,
  deserializeError,
  type ErrorRow,
  type ErrorTable,
  HeadraceError,
  type LogLevel,
  type SerializedError,
  toHeadraceError,
} from './errors.js'
export {
  createIds,
  type DecisionId,
  type Digest,
  type EndpointName,
  type Ids,
  idTimeMs,
  isName,
  type ModelName,
  type PredictionId,
  parseDigest,
  parseEndpointName,
  parseModelName,
} from './ids.js'
export { createLogger, type Logger, silentLogger } from './logger.js'
export {
  type Counter,
  createMetrics,
  type Family,
  type Gauge,
  type Histogram,
  LATENCY_BUCKETS,
  type MetricOptions,
  type Metrics,
  type MetricsSnapshot,
  sumMetrics,
} from './metrics.js'
export { createPlatform, type Platform, testPlatform } from './platform.js'
export { type Random, seededRandom, systemRandom } from './random.js'
export { type VersionRef, versionKey } from './version-ref.js'
export { workerFile } from './worker-file.js'

/** Ends a subscription or a watch; calling it again does nothing. */
export type Stop = () => void
