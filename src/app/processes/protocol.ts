// What the primary and its workers ask of each other. Everything here is plain data, because it is cloned on its way.
import type { DecisionId, MetricsSnapshot, SerializedError } from '../../core/index.js'
import type {
  Actor,
  Change,
  Decision,
  DecisionQuery,
  Evidence,
  Explanation,
  Verification,
} from '../../decisions/index.js'
import type { FeatureOperations, TablesState } from '../../features/index.js'
import type { LogBatch, LogPosition, TakenBatch } from '../../log/index.js'
import type { ServableVersion } from '../../registry/index.js'
import type { HubReply } from '../../serving/index.js'
import type { ActiveFault } from '../chaos/faults.js'
import type { RegistryState, SeenVersion } from '../engines.js'
import type { LoadedProject } from '../load-project.js'
import type { ReportParts } from '../nodes/reports.js'
import type { ModelStatistics } from '../repository/types.js'

/** What a worker starts with. */
export interface Welcome {
  readonly project: LoadedProject
  /** Of the primary's definitions of features; undefined without any. */
  readonly featuresFingerprint: string | undefined
  /** Counted from 1; a replacement has the number of the worker it replaces. */
  readonly number: number
  readonly nodeId: string
  /** Others serve already: it accepts connections only when its models are warm. */
  readonly isReplacement: boolean
  readonly pid: number
}

/** What the engines hold when a worker joins; it is told of every change from then on. */
export interface EnginesState {
  readonly areReady: boolean
  readonly registry: RegistryState
  readonly durableThrough: LogPosition
  readonly faults: readonly ActiveFault[]
  readonly featureTables: TablesState | undefined
}

/** Methods of the primary. */
export interface PrimaryMethods {
  hello(): Welcome
  /** From now on the worker is told of changes; `joined` comes before the first. */
  join(): void
  listening(url: string, grpcAddress: string | undefined): void
  /** Every version found was either warmed up or refused. */
  loaded(): void
  failed(error: SerializedError): void
  /** The worker was asked to end and wants to be replaced first. */
  retire(): void
  /** The last word of a worker: its counts stay in the sum. */
  leaving(metrics: MetricsSnapshot, statistics: ModelStatistics[]): void
  tellReady(isReady: boolean): void
  exposeMetrics(): Promise<string>
  gatherStatistics(): Promise<ModelStatistics[]>

  decide(change: Change, evidence: Evidence, by: Actor): Promise<Decision>
  undo(id: DecisionId, by: Actor): Promise<Decision>
  sawVersion(version: SeenVersion, file: string): Promise<void>
  getDecision(id: DecisionId): Promise<Decision>
  listDecisions(query?: DecisionQuery): Promise<Decision[]>
  explainDecision(id: DecisionId): Promise<Explanation>
  verifyDecisions(): Promise<Verification>

  takeLog(batch: LogBatch): TakenBatch
  whenDurable(position: LogPosition): Promise<void>
  /** Answers that the workers share, and who computes which. */
  askCache(key: string, waitMs: number): Promise<HubReply>
  publishToCache(lease: number, bytes: Uint8Array | undefined, ttlMs: number): void
  storeInCache(key: string, bytes: Uint8Array, ttlMs: number): void

  /** What the primary's memory has of features. */
  readFeatures(request: Uint8Array): Promise<Uint8Array>
  askFeatures(operation: keyof FeatureOperations, args: readonly unknown[]): Promise<unknown>

  /**
   * How long ago the metadata store confirmed what workers were told. Asked and not told: a worker that was stopped for a minute
   * finds old messages, and would take them for new ones.
   */
  storeAgeMs(): number
  /** What this process says about itself, when that has changed. */
  reportNode(parts: ReportParts): void
  /** An operation of one of the primary's services. */
  askService(service: string, operation: string, args: readonly unknown[]): Promise<unknown>

  /** What any worker has appended so far becomes durable. */
  flushLog(): Promise<void>
}

/** Methods of a worker. */
export interface WorkerMethods {
  joined(state: EnginesState): void
  /** Answered when the change has taken effect there. */
  changed(
    decision: Decision,
    registry: Omit<RegistryState, 'digests' | 'registered'>,
    /** What is to be served of the registered version that came or went; null: nothing. */
    servable: ServableVersion | null | undefined,
  ): void
  committed(durableThrough: LogPosition): void
  featureTables(state: TablesState): void
  handOverLog(): Promise<void>
  areReady(isReady: boolean): void
  metrics(): Promise<MetricsSnapshot>
  statistics(): ModelStatistics[]
  /** What is served, for a person. */
  summary(): Promise<string>
  /** Finish what is in flight, and end. */
  stop(): void
}
