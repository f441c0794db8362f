// Floor 2. Runs model versions: backends, the pool that loads them, and the batcher between a call and a run.
// A route calls a Leaf (cache, then batch, then run); a Backend sees only tensors.
// Nothing here knows about protocols, endpoints or where versions come from.
export { AnswerCache } from './cache/answer-cache.js'
export type { AnswerCacheOptions } from './cache/cache-core.js'
export { cachePolicy, endpointCacheSchema } from './cache/config.js'
export type { SwitchOffRule, UselessCache } from './cache/endpoint-cache.js'
export { type CacheHub, type CacheHubOptions, createCacheHub, type HubReply } from './cache/hub.js'
export { createKeyValueTier, type KeyValueTierOptions } from './cache/key-value-tier.js'
export { chainTiers, type SharedAnswer, type SharedTier } from './cache/shared-tier.js'
export {
  type CacheSwitches,
  cacheMigrations,
  cacheSwitch,
  cacheSwitchKind,
  readCacheSwitches,
} from './cache/switches.js'
export { defaultThreads, type ServingConfig, servingSection } from './config.js'
export { convertModel } from './convert/convert-model.js'
export { ConvertErrors } from './convert/errors.js'
export { ServingErrors } from './errors.js'
export { LoadRetries } from './load-retries.js'
export type { OnnxBackend, WarmUpReport } from './onnx/backend.js'
export { createOnnxBackends, type OnnxBackends, type OnnxBackendsOptions } from './onnx/create-onnx-backends.js'
export { OnnxErrors } from './onnx/errors.js'
export type { GraphCacheOptions } from './onnx/graph-cache.js'
export { missingLibraries } from './onnx/providers.js'
export { createPipelineBackends, type PipelineBackends } from './pipeline/create-pipeline-backends.js'
export { PipelineErrors } from './pipeline/errors.js'
export type { Reservation } from './pool/budget.js'
export { poolBudgetBytes } from './pool/config.js'
export { createPool } from './pool.js'
export {
  createProcessBackends,
  type ProcessBackends,
  type ProcessBackendsOptions,
} from './process/create-process-backends.js'
export { ModelProcessErrors } from './process/errors.js'
export { createMemoryGauge, type MemoryGauge, type MemoryGaugeOptions } from './process/memory-gauge.js'
export { movingHung } from './process/move-hung.js'
export {
  createRemoteBackends,
  type RemoteBackends,
  type RemoteBackendsOptions,
} from './remote/create-remote-backends.js'
export { RemoteErrors } from './remote/errors.js'
export { createScriptBackends, type ScriptBackends } from './script/create-script-backends.js'
export {
  defineScript,
  type Script,
  type ScriptBatch,
  type ScriptBatchAnswer,
  type ScriptData,
  type ScriptRow,
  type ScriptRowAnswer,
  type ScriptTensor,
  type ScriptTensors,
} from './script/define-script.js'
export { ScriptErrors } from './script/errors.js'
export { BatchStatistics, type FailureReason, Timing, type VersionRecord, VersionStatistics } from './statistics.js'
export { addTritonMetrics } from './triton-metrics.js'
export type {
  Backend,
  BackendFactory,
  BackendOptions,
  CachePolicy,
  LastKnownAnswer,
  Leaf,
  LeafInput,
  LeafResult,
  Pool,
  PoolMemory,
  PoolOptions,
  PredictionCache,
  Priority,
  RunContext,
  RunsIn,
  ServedVersion,
  StagedVersion,
  VersionDescription,
  VersionDescriptions,
  VersionMemory,
  VersionState,
  VersionStatus,
} from './types.js'
