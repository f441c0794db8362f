// The append-only log's records. A stored format: fields are added, never renamed, retyped or removed.
import type { Stop } from '../core/index.js'
import type { TensorMap } from '../tensor/index.js'

/** Sequence number of a record; the first is 1. Positions survive compaction. */
export type LogPosition = number

export interface RecordedCall {
  /** Name of the leaf in its tree: `fraud/2`. */
  readonly leaf: string
  readonly model: string
  readonly version: number
  readonly role: 'primary' | 'attempt' | 'hedge' | 'shadow'
  /** `ok` or an error code. */
  readonly status: string
  /** Whole call as the path saw it: queue and run. */
  readonly latencyMs: number
  readonly queueMs: number
  readonly batchRows: number
  /** The answer came from the cache or from the run of an identical call, or is the last known one. */
  readonly cached?: 'hit' | 'coalesced' | 'stale' | undefined
}

/** Header: never sampled. Times are milliseconds, wall-clock ones since the Unix epoch; durations are kept to the microsecond. */
export interface PredictionRecord {
  readonly kind: 'prediction'
  readonly id: string
  readonly timeMs: number
  readonly endpoint: string
  readonly tenant: string
  readonly unit: string | null
  readonly rows: number
  /** `oip`, `kserve-v1`, `native`. */
  readonly protocol: string
  readonly route: readonly { readonly node: string; readonly arm: string; readonly probability: number }[]
  readonly calls: readonly RecordedCall[]
  /**
   * Index into `calls` of the call whose answer the caller got, -1 when a node combined it from several. Absent: the last that was
   * well and no shadow.
   */
  readonly answeredBy?: number | undefined
  /** `pinned` (the call named a version and bypassed the route), `cached`, `stale`, `fallback`, `features-default`, `features-stale`. */
  readonly flags: readonly string[]
  /** Milliseconds spent in each stage. */
  readonly stages: { readonly admit: number; readonly features: number; readonly route: number; readonly shape: number }
  readonly cost: number | null
  readonly traceId: string | null
  /** Code of the error the caller got; null when it got an answer. */
  readonly error: string | null
  readonly payload?: Payload
}

/** Sampled with its weight kept, redactable, dropped first under pressure. */
export interface Payload {
  readonly inputs: TensorMap
  /** The inputs as they arrived: the JSON text of an array of Open Inference Protocol tensors. Saves encoding `inputs` again. */
  readonly rawInputs?: Uint8Array | string
  /** Column names of a matrix input, so that single columns can be redacted. */
  readonly features?: readonly string[]
  /** What a feature store gave beside, or in place of, what the request brought. */
  readonly served?: ServedPayload
  /** Per call: index into `calls`, -1 for an answer that a node combined from several. `raw` is JSON text as for inputs. */
  readonly outputs: readonly {
    readonly call: number
    readonly tensors: TensorMap
    readonly raw?: Uint8Array | string
  }[]
}

/** Rows of features as served; of one reading that several predictions may share. */
export interface ServedPayload {
  readonly first: number
  readonly rows: number
  readonly columns: {
    readonly plan: {
      readonly services: readonly { readonly name: string }[]
      readonly features: readonly {
        readonly name: string
        readonly type: string
        readonly services: readonly string[]
      }[]
    }
    readonly atMs: number
    /** By feature and row, like the three after it. */
    readonly values: readonly (readonly unknown[])[]
    readonly sources: readonly (readonly string[])[]
    readonly gaps: readonly (readonly string[])[]
    readonly agesMs: readonly (readonly (number | undefined)[])[]
    readonly keys: ReadonlyMap<string, readonly unknown[]>
    readonly request: ReadonlyMap<string, readonly unknown[]>
  }
}

/** A call that ended after the reply (a shadow). */
export interface LateCallRecord {
  readonly kind: 'call'
  readonly id: string
  readonly timeMs: number
  readonly prediction: string
  readonly endpoint: string
  readonly tenant: string
  readonly call: RecordedCall
  readonly payload?: Payload
}

/** A label, click or reward. Bitemporal: when it happened and when it was known. */
export interface OutcomeRecord {
  readonly kind: 'outcome'
  readonly id: string
  readonly timeMs: number
  /** `id`, or `id#row`. */
  readonly prediction: string
  readonly endpoint: string
  readonly tenant: string
  readonly name: string
  readonly value: string | number | boolean
  readonly happenedMs: number
  readonly knownMs: number
}

/** The log's copy of a decision; the metadata store has the original. */
export interface DecisionRecord {
  readonly kind: 'decision'
  readonly id: string
  readonly timeMs: number
  readonly change: string
  readonly subject: string
  readonly by: string
}

export type LogRecord = PredictionRecord | LateCallRecord | OutcomeRecord | DecisionRecord

/** What every stored record has besides its own fields. */
interface Stored {
  readonly seq: LogPosition
}

interface WithStoredPayload {
  /** Absent when it was not sampled or there was none; null when it was dropped. */
  readonly payload?: StoredPayload | null
  /** Why `payload` is null: the buffer was full, it was too large, or its retention ended. */
  readonly payloadDropped?: 'pressure' | 'size' | 'retention'
}

export type StoredPrediction = Stored & Omit<PredictionRecord, 'payload'> & WithStoredPayload
export type StoredLateCall = Stored & Omit<LateCallRecord, 'payload'> & WithStoredPayload
export type StoredOutcome = Stored & OutcomeRecord
export type StoredDecision = Stored & DecisionRecord

/** A record as read back, with its position. Payload tensors are JSON: NaN, infinities and 64-bit integers beyond 2^53 are strings. */
export type StoredRecord = StoredPrediction | StoredLateCall | StoredOutcome | StoredDecision

/** Redacted elements are null; bytes that are no UTF-8 are `{"b64": "…"}`. */
export interface StoredTensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly data: readonly unknown[]
}

export interface StoredPayload {
  /** 1 / sampling probability. */
  readonly weight: number
  readonly inputs: readonly StoredTensor[]
  /** Absent where no feature store was read. */
  readonly served?: StoredServed
  readonly outputs: readonly { readonly call: number; readonly tensors: readonly StoredTensor[] }[]
}

/** What is the same in every row stands once (`value`), else there is one for each (`values`). */
export interface StoredColumn {
  readonly value?: unknown
  readonly values?: readonly unknown[]
}

/** Features of one type of which the same is said: mostly those of a view. */
export interface StoredServedGroup {
  readonly type: string
  /** The services that mean these by the names; absent: all. */
  readonly services?: readonly string[]
  readonly names: readonly string[]
  /** By name: the value that every row has. */
  readonly values?: readonly unknown[]
  /** By name and row, where rows differ. */
  readonly rowValues?: readonly (readonly unknown[])[]
  readonly source?: string
  readonly sources?: readonly string[]
  /** Why a value is not the store's; absent where all are. */
  readonly gap?: string
  readonly gaps?: readonly string[]
  readonly ageMs?: number
  readonly agesMs?: readonly (number | null)[]
  /** True: only the names may be kept. */
  readonly redacted?: boolean
}

/** Features as they were served: whole numbers beyond 2^53 and infinities are text. */
export interface StoredServed {
  /** The moment that windows ended at. */
  readonly atMs: number
  readonly services: readonly string[]
  readonly keys: Readonly<Record<string, StoredColumn>>
  /** What the request brought for on-demand views. */
  readonly request: Readonly<Record<string, StoredColumn>>
  readonly groups: readonly StoredServedGroup[]
}

export interface PredictionLog {
  /**
   * Never blocks and never throws: under pressure the payload goes first, then the record, and both are counted.
   * A dropped record has position 0. Tensors and raw slices are copied before it returns.
   */
  append(record: LogRecord): LogPosition
  /** Everything up to and including this position survives power loss. */
  durableThrough(): LogPosition
  /** Resolves when `position` is durable; rejects with LOG_WRITE_FAILED or LOG_CLOSED or, for a dropped record, LOG_DROPPED. */
  whenDurable(position: LogPosition): Promise<void>
  /**
   * Calls `batch` with durable records from `from` on, in order, one call at a time, then follows the log.
   * When `batch` rejects, the same records come again after a pause. A position that retention removed continues with the next.
   */
  subscribe(from: LogPosition, batch: (records: StoredRecord[]) => Promise<void>): Stop
}

/** What an endpoint asks of its log. Any number of days may be fractional. */
export interface LogPolicy {
  /** Share of predictions whose payload is kept, 0 to 1; default 1. */
  readonly payloadSample: number
  /** Input or feature names that are never written. */
  readonly redact: readonly string[]
  /** Days; undefined keeps for ever. Default 30. */
  readonly retentionDays?: number | undefined
  /** Days after which payloads go and headers stay; undefined means `retentionDays`. */
  readonly payloadRetentionDays?: number | undefined
}

/** Records that another process encoded: lines one after the other, each with position 0. */
export interface LogBatch {
  readonly lines: Uint8Array
  /** For each line where it ends in `lines` and where its payload starts, 0 when it has none. */
  readonly marks: Uint32Array
}

/** What became of a batch. */
export interface TakenBatch {
  /** Position of the last record that was kept; 0 when none was. */
  readonly lastSeq: LogPosition
  /** Which of the lines, counted from 0, were dropped; undefined when none was. */
  readonly dropped: readonly number[] | undefined
}

/** A log in a folder. */
export interface FileLog extends PredictionLog {
  readonly folder: string
  /** Resolves when everything appended so far is durable; rejects with LOG_WRITE_FAILED. */
  flush(): Promise<void>
  /** Appends what a relay in another process encoded, under the same rules as `append`. */
  take(batch: LogBatch): TakenBatch
  /** Calls `watcher` after each commit, when `durableThrough` has grown. */
  onCommit(watcher: () => void): Stop
  /** Applies each endpoint's retention to the sealed segments now; it also runs by itself every hour. */
  applyRetention(): Promise<RetentionReport>
  /** Writes what is buffered, ends subscriptions and closes the files. Later appends are dropped and counted. */
  close(): Promise<void>
}

export interface RetentionReport {
  readonly removedSegments: number
  readonly rewrittenSegments: number
  readonly removedRecords: number
  readonly removedPayloads: number
}

/** Everything the log knows about one prediction. */
export interface PredictionTrace {
  /** Undefined when only its outcomes or late calls are left. */
  readonly prediction: StoredPrediction | undefined
  readonly calls: readonly StoredLateCall[]
  readonly outcomes: readonly StoredOutcome[]
}

export interface QueryResult {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  /** Values in the order of `columns`, safe for JSON: integers beyond 2^53 are strings, times are ISO 8601. */
  readonly rows: readonly (readonly unknown[])[]
  /** True when there were more rows than asked for. */
  readonly truncated: boolean
}
