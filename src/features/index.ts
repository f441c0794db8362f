// Floor 2. The feature store: a feature is defined once and means the same in a training set, a backfill, a stream and a request.
// Definitions are plain objects; what runs them (offline, online, streams, quality) sits behind the interfaces of its folder.
// It knows neither the path nor the log: the path reads it through FeatureReader, and app brings logged values to be checked.

export { catalogueOf, plainValue } from './catalogue.js'
export { checkValue } from './check-value.js'
export { isDefinition } from './compile/collect.js'
export { projectFingerprint } from './compile/fingerprint.js'
export { compileFeatures } from './compile.js'
export type {
  CompiledFeature,
  CompiledKey,
  CompiledOnDemand,
  CompiledRowView,
  CompiledService,
  CompiledView,
  CompiledWindowView,
  FeatureProject,
  ServiceFeature,
} from './compiled.js'
export { type FeaturesConfig, featuresSection } from './config.js'
export { defineEntity, type Entity } from './definitions/entity.js'
export type { DistributionReference, Expectation } from './definitions/expectation.js'
export {
  type Aggregation,
  type AggregationSpec,
  approxDistinct,
  type Column,
  column,
  count,
  currentItems,
  decayedCount,
  decayedSum,
  distinct,
  type EventRow,
  type Feature,
  first,
  histogram,
  last,
  lastK,
  max,
  mean,
  min,
  quantile,
  sum,
  topK,
  variance,
  type WindowOptions,
} from './definitions/feature.js'
export { type Computed, defineOnDemandView, type OnDemandView } from './definitions/on-demand.js'
export {
  type AnyView,
  defineFeatureService,
  type FeatureService,
  type Selection,
  type ServiceRow,
  select,
  selectAs,
} from './definitions/service.js'
export {
  type BatchSource,
  type FileSource,
  fileSource,
  type KafkaSource,
  kafkaSource,
  type PostgresSource,
  type PushSource,
  postgresSource,
  pushSource,
  type Source,
  type SqlSource,
  type StreamSource,
  sqlSource,
} from './definitions/source.js'
export { defineFeatureView, type FeatureView, type RowOf } from './definitions/view.js'
export { type Duration, durationMs } from './duration.js'
export { decodeKey, encodeKey, type KeyValue } from './entity-key.js'
export { type DefinitionProblem, FeatureErrors } from './errors.js'
export { type Consumers, type Lineage, type LineageNode, lineageOf } from './lineage.js'
export { switchLive, type TablesState } from './materialise/table-rows.js'
export { openRowFile, type RowFile, type RowValue } from './offline/row-file.js'
export type { LoggedRow, ServedTrainingSetReport } from './offline/served-training-set.js'
export {
  type FeatureStore,
  type FeatureStoreOptions,
  openFeatureStore,
  openRemoteReader,
  type RemoteReader,
  type RemoteReaderOptions,
} from './open-store.js'
export type {
  CheckOrder,
  EntityFacts,
  FeatureCatalogue,
  FeatureFacts,
  FeatureOperations,
  FeatureStatus,
  InferOrder,
  JobView,
  MaterialiseOrder,
  QuarantineView,
  ServiceFacts,
  SourceFacts,
  TrainingSetOrder,
  VerifyOrder,
  ViewFacts,
  ViewStatus,
} from './operations.js'
export { pickFeatures } from './pick.js'
export type { Alert } from './quality/alerts.js'
export type { QualityReport, RuleResult, Segment } from './quality/types.js'
export { planOf } from './serve/plan.js'
export { createFeatureReader, type FeatureReaderOptions } from './serve/reader.js'
export type {
  EntityValue,
  FeatureReader,
  FeatureRequest,
  PlannedFeature,
  ReadPlan,
  ServedFeatures,
  ValueGap,
  ValueSource,
} from './serve/types.js'
export type { IngestReport } from './stream/types.js'
export type { KeyType, Value, ValueOf, ValueType } from './value.js'
export type { FeatureVerification, ServedVector, VerifyReport } from './verify/types.js'
