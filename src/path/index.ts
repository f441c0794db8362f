// Floor 3. The request path: the stages in the order they run, and nothing else.
// Faces build a Prediction, call `predict`, and send what the shaper wrote.
// A capability is a stage, a backend or a route node: nothing gets a private path.
export { breakerChange, breakerChangeKinds } from './breaker-changes.js'
export { type EndpointConfig, endpointSchema } from './config.js'
export { constantFor } from './constant-for.js'
export {
  answeringVersion,
  type Endpoint,
  firstThere,
  referenceVersion,
  type Versions,
  wakeReference,
} from './endpoint.js'
export { EndpointFeatures, type FeatureNeeds } from './endpoint-features.js'
export { PathErrors } from './errors.js'
export { Given, type GivenColumn } from './given.js'
export type { BreakerChange } from './health.js'
export type { Leases } from './leases.js'
export { createPath, type Path, type PathOptions } from './path.js'
export { Prediction, type PredictionRequest, type Shaper } from './prediction.js'
export type { Stage, StageName } from './stage.js'
