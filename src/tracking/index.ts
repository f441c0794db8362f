// Floor 2. Experiments, runs and logged models: what training logs, kept in SQL, with MLflow's filter language to find it again. Bytes of
// artifacts are blobs; their names and digests are here. Use it through `TrackingService`, which is plain data and works in any process.
// What is served of all this is the registry's business.
export { TrackingErrors } from './errors.js'
export { matches, type Searched, sortBy } from './filter/matches.js'
export { type Attribute, type Comparison, type Language, type Order, parseFilter, parseOrder } from './filter/parse.js'
export { readPageToken, writePageToken } from './page-token.js'
export { createTracking, type TrackingOptions } from './service.js'
export { trackingMigrations } from './tables.js'
export type {
  Artifact,
  ArtifactEntry,
  Batch,
  Dataset,
  DatasetInput,
  Experiment,
  HistoryQuery,
  Int64,
  Lifecycle,
  LoggedModel,
  Metric,
  ModelOutput,
  ModelSearch,
  ModelStatus,
  NewModel,
  NewRun,
  Page,
  Pair,
  Run,
  RunChange,
  RunInfo,
  RunSearch,
  RunStatus,
  SearchQuery,
  TrackingService,
  View,
} from './types.js'
