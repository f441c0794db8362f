// Floor 5. The composition root: the typed configuration, and the app built from it.
// Users write `defineProject` from here; faces get an App and ask its views.
// Domains that may not know each other are wired here and nowhere else.

export type { AccessService, KeyRequest, KeyView, MadeKey } from './access/service.js'
export { type App, createApp } from './app.js'
export type { Chaos, FaultView } from './chaos/chaos.js'
export { ChaosErrors } from './chaos/errors.js'
export type { Fault, FaultKind } from './chaos/faults.js'
export { blobsFolder, uploadsFolder } from './data-folder.js'
export type { EndpointOrigin, Endpoints } from './endpoints.js'
export type { AppLog, Engines, Peers, RegistryState } from './engines.js'
export { type Setting, settings } from './environment.js'
export { AppErrors, ConfigErrors, type ConfigProblem, ProcessErrors } from './errors.js'
export { featureLineage } from './features/feature-lineage.js'
export type { Features } from './features/features.js'
export { type CheckOptions, checkVersion, parseVersion } from './gates/check-version.js'
export { type GateReleaseOptions, gateRelease } from './gates/gate-release.js'
export type { Measured } from './gates/measure.js'
export { type Profile, profileVersion } from './gates/profile.js'
export {
  approxDistinct,
  cascade,
  cheapest,
  column,
  constant,
  count,
  currentItems,
  decayedCount,
  decayedSum,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  defineOnDemandView,
  defineProject,
  defineScript,
  distinct,
  ensemble,
  fallback,
  fastest,
  fileSource,
  first,
  histogram,
  kafkaSource,
  last,
  lastK,
  lastKnown,
  match,
  max,
  mean,
  min,
  postgresSource,
  pushSource,
  quantile,
  select,
  selectAs,
  shadow,
  split,
  sqlSource,
  sum,
  topK,
  variance,
  version,
} from './helpers.js'
export { type RouteArmView, type RouteVersionView, type RouteView, routeView } from './live/route-view.js'
export type {
  EndpointLive,
  Live,
  LiveArm,
  LiveCache,
  LiveEndpoint,
  LiveNode,
  LiveNodes,
  LiveOverview,
  LiveSeries,
  LiveVersion,
  MissingNode,
} from './live/types.js'
export { type LoadedProject, type LoadOptions, loadProject, withDefinitions } from './load-project.js'
export type { NodesService, NodeView } from './nodes/service.js'
export { openEngines } from './open-engines.js'
export { packageVersion } from './package-version.js'
export { connectToPrimary, type Primary, type RunningPrimary, startPrimary } from './processes.js'
export { grpcPortOf, type ProjectConfig, type ProjectInput } from './project.js'
export { exportRegistered, importRegistered, signerOf } from './registry/packages.js'
export { openUploads, type PushRequest, pushRegistered } from './registry/push-version.js'
export { removeModel, removeVersion, versionsInUse } from './registry/version-uses.js'
export { type StartRelease, startRelease } from './release/start-release.js'
export {
  type LoadRequest,
  type ModelConfig,
  type ModelStatistics,
  modelConfig,
  modelStatistics,
  platformOf,
  type RepositoryEntry,
  RepositoryErrors,
  type RepositoryState,
  repositoryIndex,
  repositoryLoad,
  repositoryUnload,
} from './repository/index.js'
export { switchCache } from './switch-cache.js'
export {
  type EndpointView,
  endpointView,
  endpointViews,
  type MemoryView,
  type ModelView,
  modelViews,
  rowSchema,
  type VersionView,
} from './views.js'
