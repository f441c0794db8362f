// Experiments, runs and what they log, as plain data that crosses processes. Times are milliseconds since the Unix epoch.

/** A whole number of 64 bits: a bigint where a number would round. */
export type Int64 = number | bigint

export type Lifecycle = 'active' | 'deleted'
export type RunStatus = 'RUNNING' | 'SCHEDULED' | 'FINISHED' | 'FAILED' | 'KILLED'
export type ModelStatus =
  | 'LOGGED_MODEL_PENDING'
  | 'LOGGED_MODEL_READY'
  | 'LOGGED_MODEL_UPLOAD_FAILED'
  | 'LOGGED_MODEL_STATUS_UNSPECIFIED'
export type View = 'ACTIVE_ONLY' | 'DELETED_ONLY' | 'ALL'

export interface Pair {
  readonly key: string
  readonly value: string
}

export interface Experiment {
  readonly id: string
  readonly name: string
  readonly artifactLocation: string
  readonly lifecycle: Lifecycle
  readonly createdMs: number
  readonly updatedMs: number
  readonly tags: readonly Pair[]
}

export interface RunInfo {
  readonly runId: string
  readonly experimentId: string
  readonly name: string
  readonly userId: string
  readonly status: RunStatus
  readonly startMs: Int64
  readonly endMs: Int64 | null
  readonly artifactUri: string
  readonly lifecycle: Lifecycle
}

/** A point of a metric. NaN and the infinities are values like others. */
export interface Metric {
  readonly key: string
  readonly value: number
  readonly timestampMs: Int64
  readonly step: Int64
  /** The logged model and the data set it was measured on. */
  readonly modelId?: string | undefined
  readonly datasetName?: string | undefined
  readonly datasetDigest?: string | undefined
  readonly runId?: string | undefined
}

export interface Dataset {
  readonly name: string
  readonly digest: string
  readonly sourceType: string
  readonly source: string
  readonly schema: string | null
  readonly profile: string | null
}

export interface DatasetInput {
  readonly dataset: Dataset
  readonly tags: readonly Pair[]
}

export interface ModelOutput {
  readonly modelId: string
  readonly step: Int64
}

export interface Run {
  readonly info: RunInfo
  readonly metrics: readonly Metric[]
  readonly params: readonly Pair[]
  readonly tags: readonly Pair[]
  readonly datasets: readonly DatasetInput[]
  readonly modelInputs: readonly string[]
  readonly modelOutputs: readonly ModelOutput[]
}

export interface LoggedModel {
  readonly modelId: string
  readonly experimentId: string
  readonly name: string
  readonly modelType: string
  readonly sourceRunId: string
  readonly status: ModelStatus
  readonly artifactUri: string
  readonly createdMs: number
  readonly updatedMs: number
  readonly tags: readonly Pair[]
  readonly params: readonly Pair[]
  readonly metrics: readonly Metric[]
}

/** A file of the artifact store. Its bytes are the blob `artifactBlob(digest)`. */
export interface Artifact {
  readonly path: string
  readonly digest: string
  readonly sizeBytes: number
}

export type ArtifactEntry =
  | { readonly name: string; readonly isFolder: false; readonly sizeBytes: number }
  | { readonly name: string; readonly isFolder: true }

export interface Page<T> {
  readonly items: readonly T[]
  readonly nextPageToken?: string
}

export interface SearchQuery {
  readonly filter?: string | undefined
  readonly orderBy?: readonly string[] | undefined
  readonly maxResults: number
  readonly pageToken?: string | undefined
}

export interface RunSearch extends SearchQuery {
  readonly experimentIds: readonly string[]
  readonly view: View
}

export interface ModelSearch extends SearchQuery {
  readonly experimentIds: readonly string[]
  readonly datasets: readonly { readonly name: string; readonly digest?: string | undefined }[]
}

export interface NewRun {
  readonly experimentId: string
  readonly name?: string | undefined
  readonly userId?: string | undefined
  readonly startMs?: Int64 | undefined
  readonly tags: readonly Pair[]
}

export interface RunChange {
  readonly status?: RunStatus | undefined
  readonly endMs?: Int64 | undefined
  readonly name?: string | undefined
}

export interface Batch {
  readonly metrics: readonly Metric[]
  readonly params: readonly Pair[]
  readonly tags: readonly Pair[]
}

export interface NewModel {
  readonly experimentId: string
  readonly name?: string | undefined
  readonly modelType?: string | undefined
  readonly sourceRunId?: string | undefined
  readonly params: readonly Pair[]
  readonly tags: readonly Pair[]
}

export interface HistoryQuery {
  readonly runId: string
  readonly key: string
  readonly maxResults: number
  readonly pageToken?: string | undefined
}

/** Experiments, runs, logged models and the names of artifacts. Every operation rejects with TRACKING_… for what is the caller's to mend. */
export interface TrackingService {
  createExperiment(given: {
    readonly name: string
    readonly artifactLocation?: string | undefined
    readonly tags: readonly Pair[]
  }): Promise<string>
  getExperiment(id: string): Promise<Experiment>
  getExperimentByName(name: string): Promise<Experiment>
  renameExperiment(id: string, name: string): Promise<void>
  /** Its runs go with it, and come back with it. */
  deleteExperiment(id: string): Promise<void>
  restoreExperiment(id: string): Promise<void>
  setExperimentTag(id: string, key: string, value: string): Promise<void>
  deleteExperimentTag(id: string, key: string): Promise<void>
  searchExperiments(query: SearchQuery & { readonly view: View }): Promise<Page<Experiment>>

  createRun(given: NewRun): Promise<Run>
  getRun(runId: string): Promise<Run>
  updateRun(runId: string, change: RunChange): Promise<RunInfo>
  deleteRun(runId: string): Promise<void>
  restoreRun(runId: string): Promise<void>
  /** All of it or nothing. A metric point that is there already is not written again, so that a batch may be sent twice. */
  logBatch(runId: string, batch: Batch): Promise<void>
  setTag(runId: string, key: string, value: string): Promise<void>
  deleteTag(runId: string, key: string): Promise<void>
  logInputs(runId: string, datasets: readonly DatasetInput[], models: readonly string[]): Promise<void>
  logOutputs(runId: string, outputs: readonly ModelOutput[]): Promise<void>
  /** By time, then step, then value. */
  metricHistory(query: HistoryQuery): Promise<Page<Metric>>
  searchRuns(query: RunSearch): Promise<Page<Run>>
  searchDatasets(
    experimentIds: readonly string[],
  ): Promise<readonly (Dataset & { experimentId: string; context: string })[]>

  createModel(given: NewModel): Promise<LoggedModel>
  getModel(modelId: string): Promise<LoggedModel>
  finishModel(modelId: string, status: ModelStatus): Promise<LoggedModel>
  deleteModel(modelId: string): Promise<void>
  setModelTags(modelId: string, tags: readonly Pair[]): Promise<LoggedModel>
  deleteModelTag(modelId: string, key: string): Promise<void>
  logModelParams(modelId: string, params: readonly Pair[]): Promise<void>
  searchModels(query: ModelSearch): Promise<Page<LoggedModel>>

  /** Makes the artifact visible: its blob is there. Replaces one of the same path. */
  putArtifact(artifact: Artifact): Promise<void>
  getArtifact(path: string): Promise<Artifact>
  /** What lies in a folder, by name; undefined when the path is no folder. */
  listArtifacts(folder: string): Promise<readonly ArtifactEntry[]>
  /** Every file below a folder, or the file itself. */
  artifactsUnder(path: string): Promise<readonly Artifact[]>
  /** A file, or a folder with all in it. */
  deleteArtifact(path: string): Promise<void>
  /** Which of these digests some artifact has: their blobs are not to be removed. */
  digestsInUse(digests: readonly string[]): Promise<readonly string[]>
}
