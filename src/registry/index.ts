// Floor 2. Where model versions come from and what is known about them: the models folder, a single file, pushes,
// model.json, and the metadata tables of versions, aliases and endpoints. It announces a version only when its files
// are complete, and never lets the content of an announced number change.

export { findFiles, type LoadedArtifact, loadArtifact, type VersionFiles } from './artifact.js'
export { registryChangeKinds } from './changes.js'
export { combineSources } from './combine-sources.js'
export {
  DEFAULT_MODELS_FOLDER,
  type ModelsSection,
  modelsSection,
  type RegistrySection,
  registrySection,
} from './config.js'
export { createRegistry, type RegistryOptions } from './create-registry.js'
export { fileDigest } from './digest.js'
export { RegistryErrors } from './errors.js'
export type { FileMemory } from './file-memory.js'
export { createFileSource, type FileSourceOptions } from './file-source.js'
export { createFolderSource, type FolderSourceOptions } from './folder-source.js'
export { type ForeignFormat, foreignFormat, nativeFormat } from './foreign-format.js'
export { createKeptArtifacts, type KeptArtifacts, type KeptArtifactsOptions } from './kept-artifacts.js'
export { createLocalVersions, type LocalVersions } from './local-versions.js'
export { defaultManifest, readManifest } from './manifest.js'
export {
  type Pointer,
  type PointerSelector,
  readAliases,
  readPointers,
  readVersions,
} from './metadata.js'
export { registryMigrations } from './migrations.js'
export { describedKind, isScript } from './model-file.js'
export { exportVersion, type ImportRequest, importVersion, type PackagesOptions } from './package/packages.js'
export { isSigner, openSigning, type Signing } from './package/signing.js'
export { type PushedVersion, type PushOptions, pushVersion, versionsIn } from './push.js'
export { putFile } from './put-file.js'
export { createRegisteredChanges, type RegisteredChanges } from './registered-changes.js'
export {
  createRegistrySource,
  type RegistrySource,
  readServable,
  readServableOne,
  type ServableVersions,
} from './registry-source.js'
export {
  type AliasChange,
  blobKey,
  type ColumnSpec,
  type FieldDiff,
  type GcReport,
  type GcRequest,
  type Lineage,
  type MetricFilter,
  type Metrics,
  type ModelUpdate,
  type NewModel,
  type Registered,
  type RegisteredModel,
  type RegisteredRef,
  type RegisteredSignature,
  type RegisteredVersion,
  type Registration,
  type RegistryActor,
  type RegistryDecision,
  type RegistryService,
  type ServableVersion,
  STAGES,
  type Stage,
  type Tags,
  type VersionDiff,
  type VersionFile,
  type VersionQuery,
  type VersionUpdate,
  type VersionUse,
} from './service.js'
export { type StagedFiles, stageVersion } from './stage-version.js'
export type { FolderSource, ModelSource, PendingVersion, SourceEvent } from './types.js'
export {
  type Announced,
  createUploadSessions,
  type UploadFile,
  type UploadSession,
  type UploadSessions,
} from './upload-sessions.js'
