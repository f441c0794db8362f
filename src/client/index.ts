// Floor 1. The typed caller that applications import: no dependencies, global fetch, browsers and Node.
// It knows only the public HTTP interface; the types of a project's endpoints come from `headrace types`.
// The server never imports it, apart from the generator of those types.
export {
  type AnyProject,
  type CallOptions,
  type Client,
  type ClientOptions,
  createClient,
  type EndpointTypes,
  type Entities,
  type FailedPrediction,
  type ModelSummary,
  type Outcome,
  type Prediction,
  type PredictListOptions,
  type PredictOptions,
  type ProjectTypes,
} from './client.js'
export { HeadraceClientError } from './errors.js'
export { generateTypes, type TypedEndpoint, type TypedFeature, type TypedOutput } from './generate-types.js'
