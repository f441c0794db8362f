// The registry as faces see it: plain data in and out, so that it works in any process of a server. Bytes are not its business:
// whoever registers has put them into the blob store before, by their digest (`blobKey`), and says which ones a version is made of.
import type { Digest, ModelName, VersionRef } from '../core/index.js'

/** Who, as in the decisions domain. */
export interface RegistryActor {
  readonly kind: 'person' | 'rule' | 'system'
  readonly name: string
}

/** A decision, as in the decisions domain, as far as it matters here. */
export interface RegistryDecision {
  readonly id: string
  readonly number: number
}

/** Another value of an alias, newest first in a history. */
export interface AliasChange {
  readonly alias: string
  /** null: removed. */
  readonly version: number | null
  readonly before: number | null
  readonly timeMs: number
  readonly by: RegistryActor
  readonly reason: string | null
  readonly decision: string
}

export interface VersionFile {
  /** `/`-separated, relative, without `.` and `..`. */
  readonly path: string
  readonly digest: Digest
  readonly sizeBytes: number
}

export interface ColumnSpec {
  readonly name: string
  /** As the graph or MLflow says it: `FP32`, `double`, … */
  readonly datatype: string
  /** -1 accepts any size; null where nothing is said. */
  readonly shape: readonly number[] | null
  readonly isOptional?: boolean
}

export interface RegisteredSignature {
  readonly inputs: readonly ColumnSpec[]
  readonly outputs: readonly ColumnSpec[]
}

/** Where a version came from. What is unknown is absent. */
export interface Lineage {
  readonly runId?: string
  readonly experimentId?: string
  /** MLflow's logged model. */
  readonly modelId?: string
  /** A commit. */
  readonly codeVersion?: string
  /** Snapshots of data, by digest. */
  readonly datasets?: readonly { readonly name: string; readonly digest: string; readonly role?: string }[]
  readonly featureService?: string
  /** `fraud/3` */
  readonly parents?: readonly string[]
  /** Set by an import. */
  readonly importedFrom?: {
    readonly model: string
    readonly version: number
    readonly signer: string
    readonly exportedMs: number
  }
}

/** NaN and infinities are kept. */
export type Metrics = Readonly<Record<string, number>>
export type Tags = Readonly<Record<string, string>>

export const STAGES = ['None', 'Staging', 'Production', 'Archived'] as const
export type Stage = (typeof STAGES)[number]

export interface RegisteredModel {
  /** As it was registered: any text that MLflow allows. */
  readonly name: string
  /** What endpoints, routes and addresses call it: the same where it is a valid name, else made from it. */
  readonly servableName: ModelName
  readonly description: string
  readonly owner: string
  readonly team: string
  readonly tags: Tags
  /** Version numbers by alias. */
  readonly aliases: Readonly<Record<string, number>>
  /** Numbers of the versions that are not deleted, ascending. */
  readonly versions: readonly number[]
  readonly createdMs: number
  readonly updatedMs: number
  readonly createdBy: RegistryActor
}

export interface RegisteredVersion {
  /** The model's registered name. */
  readonly model: string
  readonly servableName: ModelName
  readonly version: number
  /** SHA-256 of what is served, or of the list of its files where nothing is. */
  readonly digest: Digest
  /** As they were registered. */
  readonly files: readonly VersionFile[]
  readonly sizeBytes: number
  readonly isServable: boolean
  /** Why it cannot be served and what to do; null when it can be. */
  readonly reason: string | null
  /** What a server loads: `model.onnx`, what it names, and model.json; empty when it cannot be served. */
  readonly servedFiles: readonly VersionFile[]
  /** Text of the model.json that it is served with. */
  readonly manifest: string | null
  readonly signature: RegisteredSignature | null
  readonly lineage: Lineage
  readonly metrics: Metrics
  readonly params: Tags
  /** Markdown. */
  readonly card: string
  readonly description: string
  readonly owner: string
  readonly team: string
  readonly tags: Tags
  readonly aliases: readonly string[]
  readonly stage: Stage
  /** Where it came from, as who registered it says: `push`, `models:/m-…`, `import`. */
  readonly source: string
  readonly runLink: string
  readonly createdMs: number
  readonly updatedMs: number
  readonly createdBy: RegistryActor
  /** When it was deleted; it can be restored until `gc`. */
  readonly deletedMs: number | null
  /** What to know about a conversion. */
  readonly notices: readonly string[]
}

export interface NewModel {
  readonly name: string
  readonly description?: string
  readonly owner?: string
  readonly team?: string
  readonly tags?: Tags
  readonly by: RegistryActor
}

export interface ModelUpdate {
  readonly name?: string
  readonly description?: string
  readonly owner?: string
  readonly team?: string
  /** Others stay; null removes one. */
  readonly tags?: Readonly<Record<string, string | null>>
}

export interface Registration {
  /** Registered name; the model is made when it is not there. */
  readonly model: string
  /** Default: one more than the highest number that ever was. */
  readonly version?: number
  /** Their bytes are in the blob store. */
  readonly files: readonly VersionFile[]
  readonly source: string
  readonly runLink?: string
  /** Default: what the graph or MLmodel says. */
  readonly signature?: RegisteredSignature
  readonly lineage?: Lineage
  readonly metrics?: Metrics
  readonly params?: Tags
  readonly card?: string
  readonly description?: string
  readonly owner?: string
  readonly team?: string
  readonly tags?: Tags
  /** Makes a version even when one has the same files. Default false: that one is returned. */
  readonly allowSame?: boolean
  /** Refuses with REGISTRY_REFUSED what cannot be served. Default false: it is kept, with the reason. */
  readonly mustServe?: boolean
  /** A folder of this machine where they lie by their paths, so that they need not be fetched to be looked at. */
  readonly stagedIn?: string
  /** Evidence of the decision. */
  readonly reason?: string
  readonly by: RegistryActor
}

export interface Registered {
  readonly version: RegisteredVersion
  /** False: a version with the same files was there. */
  readonly isNew: boolean
}

export interface VersionUpdate {
  readonly description?: string
  readonly card?: string
  readonly owner?: string
  readonly team?: string
  /** Others stay. */
  readonly metrics?: Metrics
  /** Others stay; null removes one. */
  readonly tags?: Readonly<Record<string, string | null>>
}

export interface RegisteredRef {
  /** Registered or servable name. */
  readonly model: string
  readonly version: number
}

export interface MetricFilter {
  readonly name: string
  readonly operator: '<' | '<=' | '=' | '!=' | '>=' | '>'
  readonly value: number
}

/** All that is given must hold. */
export interface VersionQuery {
  /** Registered or servable name. */
  readonly model?: string
  /** Part of the registered name, in any case. */
  readonly text?: string
  readonly tags?: Tags
  readonly owner?: string
  readonly team?: string
  readonly metrics?: readonly MetricFilter[]
  /** Of the version or of one of its files. */
  readonly digest?: string
  readonly runId?: string
  readonly alias?: string
  readonly stage?: Stage
  readonly isServable?: boolean
  /** Default `false`: those that are not deleted. */
  readonly isDeleted?: boolean
  /** Default 100, at most 10,000. */
  readonly limit?: number
  readonly offset?: number
}

/** Something that keeps a version from being deleted, in words: `endpoint "checkout"`. */
export type VersionUse = string

export interface GcRequest {
  /** Only says what would go. */
  readonly isDryRun?: boolean
  /** In place of what the configuration says. */
  readonly keepVersions?: number
  readonly keepDays?: number
  /** How long what was deleted stays restorable, in days. */
  readonly deletedDays?: number
  /** By `model/version`: what a server uses now, which must not go. */
  readonly inUse?: readonly string[]
  readonly by: RegistryActor
}

export interface GcReport {
  readonly isDryRun: boolean
  /** Versions that retention deleted just now, restorable. */
  readonly expired: readonly RegisteredRef[]
  /** Deleted versions that are gone for good. */
  readonly removed: readonly RegisteredRef[]
  readonly blobs: number
  readonly freedBytes: number
  readonly keptBlobs: number
  readonly keptBytes: number
}

export interface VersionDiff {
  readonly from: RegisteredRef
  readonly to: RegisteredRef
  readonly signature: {
    /** A caller of the one is refused by the other, or misses an output. */
    readonly isBreaking: boolean
    /** One sentence a difference; those that break callers first. */
    readonly changes: readonly { readonly text: string; readonly isBreaking: boolean }[]
  }
  readonly metrics: readonly { readonly name: string; readonly from: number | null; readonly to: number | null }[]
  readonly files: readonly {
    readonly path: string
    readonly from: VersionFile | null
    readonly to: VersionFile | null
  }[]
  readonly lineage: readonly FieldDiff[]
  readonly manifest: readonly FieldDiff[]
  readonly featureService: FieldDiff | null
  /** Lines of the cards: `-` of the one, `+` of the other. */
  readonly card: readonly string[]
}

export interface FieldDiff {
  readonly field: string
  /** JSON. */
  readonly from: string | null
  readonly to: string | null
}

/**
 * Every operation rejects with REGISTRY codes: MODEL_NOT_FOUND, VERSION_NOT_FOUND, MODEL_EXISTS, NAME_INVALID, FIELD_INVALID,
 * FILES_INVALID, BLOB_MISSING, VERSION_EXISTS, VERSION_IN_USE, ALIAS_NOT_FOUND, …
 */
export interface RegistryService {
  createModel(model: NewModel): Promise<RegisteredModel>
  /** By registered or servable name. */
  getModel(name: string): Promise<RegisteredModel>
  /** By name; those without a version are among them. */
  listModels(): Promise<RegisteredModel[]>
  updateModel(name: string, update: ModelUpdate): Promise<RegisteredModel>
  /** With all its versions and aliases. Its numbers are never used again. */
  removeModel(name: string, by: RegistryActor, reason?: string): Promise<void>

  registerVersion(registration: Registration): Promise<Registered>
  /** `fraud@champion`, `fraud/3`, `fraud@3`, or a model alone: its newest version. */
  describe(ref: string | RegisteredRef): Promise<RegisteredVersion>
  updateVersion(ref: RegisteredRef, update: VersionUpdate): Promise<RegisteredVersion>
  /** A decision, though a stage routes nothing. With `archiveOthers` (default false) others of that stage are archived by it. */
  setStage(change: {
    readonly model: string
    readonly version: number
    readonly stage: Stage
    readonly archiveOthers?: boolean
    readonly by: RegistryActor
    readonly reason?: string
  }): Promise<RegisteredVersion>
  /** Newest first. */
  search(query: VersionQuery): Promise<RegisteredVersion[]>
  diff(from: string | RegisteredRef, to: string | RegisteredRef): Promise<VersionDiff>

  /** `version: null` removes it. */
  setAlias(change: {
    readonly model: string
    readonly alias: string
    readonly version: number | null
    readonly by: RegistryActor
    readonly reason?: string
  }): Promise<RegistryDecision>
  /** Newest first. */
  aliasHistory(model: string, alias?: string): Promise<AliasChange[]>

  /** `uses` are those that the caller knows of; with any of them, or an alias or an endpoint, it is refused. */
  remove(
    ref: RegisteredRef,
    by: RegistryActor,
    reason?: string,
    uses?: readonly VersionUse[],
  ): Promise<RegisteredVersion>
  restore(ref: RegisteredRef, by: RegistryActor): Promise<RegisteredVersion>
  gc(request: GcRequest): Promise<GcReport>
  /** By servable name; undefined when it cannot be served or is deleted. */
  servable(model: string, version: number): Promise<ServableVersion | undefined>

  /**
   * Keeps these blobs from being collected for a day, and says which of them are not in the blob store: those are put there
   * before they are registered.
   */
  claimBlobs(files: readonly Pick<VersionFile, 'digest' | 'sizeBytes'>[]): Promise<Digest[]>
}

/** A registered version as a server loads it. */
export interface ServableVersion {
  readonly ref: VersionRef
  readonly digest: Digest
  readonly served: readonly VersionFile[]
  /** Text of its model.json. */
  readonly manifest: string | null
}

/** Where the bytes of a digest are in the blob store. */
export function blobKey(digest: Digest): string {
  return digest.replace(':', '/')
}
