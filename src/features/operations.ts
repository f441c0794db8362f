// What people and programs ask of the feature store, beside reading for predictions: plain data in and out, so that a question can
// come over HTTP and, in a server of several processes, over IPC. The process that owns the data folder answers.
import type { SerializedError } from '../core/index.js'
import type { Alert } from './quality/alerts.js'
import type { KeptRow, QuarantineFilter } from './quality/types.js'
import type { IngestReport } from './stream/types.js'
import type { KeyType, ValueType } from './value.js'

export interface FeatureOperations {
  /** How the views stand: live table, freshness, last materialisation. */
  status(): Promise<FeatureStatus>
  /** Takes events of a push source in. Throws FEATURE_SOURCE_UNKNOWN. */
  push(source: string, rows: readonly Readonly<Record<string, unknown>>[]): Promise<IngestReport>
  /**
   * Writes rows of a view of columns straight into the online store: keys, features and `event_timestamp` by name (and `created`, when it could be
   * known). Newer rows win. They are in no history, so training sets do not know them. Throws FEATURE_VIEW_UNKNOWN, FEATURE_VIEW_NOT_WRITABLE.
   */
  writeRows(view: string, rows: readonly Readonly<Record<string, unknown>>[]): Promise<{ readonly written: number }>
  /** Starts a job: fills the online store. Throws FEATURE_VIEW_UNKNOWN. */
  materialise(request: MaterialiseOrder): Promise<JobView>
  /** Starts a job: a training set. Throws FEATURE_SERVICE_UNKNOWN. */
  trainingSet(request: TrainingSetOrder): Promise<JobView>
  /** Starts a job: a training set of what was served, with the outcomes that joined, from the log. Throws FEATURE_SERVICE_UNKNOWN. */
  trainingSetFromLog(request: LoggedTrainingSetOrder): Promise<JobView>
  /** Starts a job: compares what was served with the definitions. Throws FEATURE_SERVICE_UNKNOWN. */
  verify(request: VerifyOrder): Promise<JobView>
  /** Starts a job: what data look like, as expectations. */
  infer(request: InferOrder): Promise<JobView>
  /** Starts a job: judges the rows of a view as a whole by what is expected of them. Its result is a QualityReport. Throws FEATURE_VIEW_UNKNOWN. */
  check(request: CheckOrder): Promise<JobView>
  /** The newest first. */
  jobs(): Promise<readonly JobView[]>
  /** Throws FEATURE_JOB_UNKNOWN. */
  job(id: string): Promise<JobView>
  cancel(id: string): Promise<JobView>
  /** The last report per service, of jobs and of the schedule. */
  lastVerifications(): Promise<readonly unknown[]>
  quarantine(filter: QuarantineFilter & { readonly limit?: number }): Promise<QuarantineView>
  /** Removes rows from quarantine for good. */
  emptyQuarantine(filter: QuarantineFilter): Promise<{ readonly removed: number }>
  /**
   * Takes quarantined events of a stream source in again, after what was wrong is right: as known now. Those that are refused again are in
   * quarantine anew. Rows of views cannot be: the next materialisation reads them again. Throws FEATURE_SOURCE_UNKNOWN.
   */
  retryQuarantine(filter: QuarantineFilter & { readonly of: string }): Promise<RetryReport>
}

export interface MaterialiseOrder {
  /** Default: every view that is online and has a batch source. */
  readonly views?: readonly string[]
  /** Everything again, into a table beside the live one, which is switched to when it is whole; default: what became known since the last time. */
  readonly full?: boolean
  /** Rows known up to here; default now. */
  readonly untilMs?: number
}

export interface TrainingSetOrder {
  readonly service: string
  /** Paths on the machine of the process that owns the data folder; relative ones start at the project. */
  readonly labels: string
  readonly out: string
  readonly timeColumn?: string
  readonly proofRows?: number
  readonly resume?: boolean
  readonly withTimes?: boolean
}

export interface LoggedTrainingSetOrder {
  readonly service: string
  /** Parquet, CSV or JSON by its extension, on the machine of the process that owns the data folder. */
  readonly out: string
  /** Served at this moment or later; default everything that the log has. */
  readonly sinceMs?: number
  /** Served, and known, before this moment; default now. */
  readonly untilMs?: number
  /** The only outcome that is joined; default all. */
  readonly outcome?: string
}

export interface VerifyOrder {
  readonly service: string
  /** Served at this moment or later; default the last 24 hours. */
  readonly sinceMs?: number
  readonly untilMs?: number
  /** Vectors that are compared at most; a sample by key of more. */
  readonly limit?: number
  readonly tolerance?: number
}

export interface CheckOrder {
  readonly view: string
  /** Judges rows of this event time or later, and compares them with those before; default: all rows. */
  readonly sinceMs?: number
}

export interface RetryReport extends IngestReport {
  /** Kept only in part, so that they cannot be taken in: still in quarantine. */
  readonly cut: number
}

export interface InferOrder {
  /** A view. */
  readonly view: string
  readonly sinceMs?: number
}

/** Long work: started by a request, followed by its id. Finished ones are kept for a while. */
export interface JobView {
  readonly id: string
  readonly kind: 'materialise' | 'training-set' | 'verify' | 'infer' | 'check'
  /** Views or a service. */
  readonly of: string
  readonly state: 'running' | 'done' | 'failed' | 'cancelled'
  readonly progress: { readonly step: string; readonly done: number; readonly total: number } | null
  readonly startedMs: number
  readonly endedMs: number | null
  /** Of a job that is done: its report; else null. */
  readonly result: unknown
  readonly error: SerializedError | null
}

export interface Said {
  readonly description: string
  readonly owner: string
  readonly tags: readonly string[]
}

export interface FeatureFacts {
  readonly name: string
  readonly type: ValueType
  readonly default: unknown
  readonly description: string
  /** `sum(amount) over 30d`, `column country`. */
  readonly meaning: string
}

export interface ViewFacts extends Said {
  readonly name: string
  readonly kind: 'rows' | 'windows' | 'on-demand'
  readonly version: number
  readonly fingerprint: string
  readonly entities: readonly string[]
  readonly keys: readonly { readonly name: string; readonly type: KeyType }[]
  readonly source: string | null
  readonly stream: string | null
  /** Of an on-demand view. */
  readonly views: readonly string[]
  readonly request: readonly { readonly name: string; readonly type: ValueType }[]
  readonly features: readonly FeatureFacts[]
  readonly online: boolean
  readonly ttlMs: number | null
  readonly hopMs: number | null
  readonly everyMs: number | null
}

export interface SourceFacts extends Said {
  readonly name: string
  readonly kind: 'file' | 'sql' | 'postgres' | 'push' | 'kafka'
  /** Path, table, query or topic. */
  readonly from: string
  readonly columns: readonly { readonly name: string; readonly type: ValueType }[]
}

export interface EntityFacts extends Said {
  readonly name: string
  readonly keys: readonly { readonly name: string; readonly type: KeyType }[]
}

export interface ServiceFacts extends Said {
  readonly name: string
  readonly keys: readonly { readonly name: string; readonly type: KeyType }[]
  readonly request: readonly { readonly name: string; readonly type: ValueType }[]
  readonly features: readonly {
    readonly name: string
    readonly type: ValueType
    readonly default: unknown
    readonly view: string
    readonly feature: string
  }[]
}

export interface FeatureCatalogue {
  readonly entities: readonly EntityFacts[]
  readonly sources: readonly SourceFacts[]
  readonly views: readonly ViewFacts[]
  readonly services: readonly ServiceFacts[]
}

export interface ViewStatus {
  readonly view: string
  readonly version: number
  /** Table that requests read; null before the first materialisation or event. */
  readonly live: string | null
  /** Tables that are being filled beside it. */
  readonly filling: readonly string[]
  /** Age of the newest event or row that is in; null where there is none. */
  readonly freshnessMs: number | null
  /** Rows known up to this moment are in. */
  readonly throughKnownMs: number | null
  readonly keys: number | null
  readonly lastMaterialised: {
    readonly state: 'running' | 'done' | 'failed' | 'cancelled'
    readonly mode: 'full' | 'incremental'
    readonly startedMs: number
    readonly endedMs: number | null
    readonly keys: number
    readonly quarantined: number
    readonly problem: string | null
  } | null
}

export interface FeatureStatus {
  readonly store: { readonly kind: 'memory' | 'redis'; readonly isReachable: boolean }
  readonly views: readonly ViewStatus[]
  /** Those that stand. */
  readonly alerts: readonly Alert[]
}

export interface QuarantineView {
  readonly counts: readonly {
    readonly of: string
    readonly reason: string
    readonly rows: number
    readonly dropped: number
  }[]
  readonly rows: readonly KeptRow[]
}
