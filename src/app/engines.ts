// What lives in the data folder, behind the few questions an app asks of it: the registry's state, decisions and the log.
// Open in the app's own process (open-engines.ts); with several processes, workers reach the primary's instead.
import type { StoredKey } from '../access/index.js'
import type { DecisionId, Digest, ModelName, Stop } from '../core/index.js'
import type { Actor, Change, Decision, Decisions, Evidence } from '../decisions/index.js'
import type { FileLog } from '../log/index.js'
import type { Pointer, ServableVersions } from '../registry/index.js'
import type { ActiveRelease, ReleaseTarget } from '../release/index.js'
import type { CacheSwitches, SharedTier } from '../serving/index.js'
import type { Blobs } from '../store/index.js'
import type { VersionArtifact } from '../tensor/index.js'
import type { Faults } from './chaos/faults.js'
import type { Features } from './features/features.js'
import type { ModelSetting } from './repository/decisions.js'
import type { ModelStatistics } from './repository/types.js'
import type { Services } from './services.js'

/** What the metadata store says about models and endpoints, as it is now. */
export interface RegistryState {
  /** Digests by `model/version`: what each number stands for. */
  readonly digests: ReadonlyMap<string, Digest>
  readonly aliases: readonly { readonly model: ModelName; readonly alias: string; readonly version: number }[]
  /** Registered versions that can be served, by `model/version`; one map for as long as the process lives. */
  readonly registered: ServableVersions
  /** Another one whenever `registered` holds something else. */
  readonly registeredRevision: number
  /** By endpoint. */
  readonly pointers: ReadonlyMap<string, Pointer>
  /** That are not over. */
  readonly releases: readonly ActiveRelease[]
  /** What completed releases left. */
  readonly targets: readonly ReleaseTarget[]
  readonly cacheSwitches: CacheSwitches
  /** Models that somebody loaded or unloaded by hand. */
  readonly repository: ReadonlyMap<ModelName, ModelSetting>
  /** Every key that was ever made. */
  readonly keys: readonly StoredKey[]
}

/** The log as a running app uses it. What `append` returns is for `whenDurable` alone: a worker does not know positions yet. */
export type AppLog = Pick<FileLog, 'folder' | 'append' | 'whenDurable' | 'durableThrough' | 'subscribe' | 'flush'>

export interface Engines {
  /** This server among those of one metadata store; kept in the data folder. */
  readonly nodeId: string
  /** Operations on metadata, in the process that owns the data folder or over IPC. */
  readonly services: Services
  /** Artifacts: every process opens them by itself, so that their bytes never cross to another. */
  readonly blobs: Blobs
  /**
   * Monotonic time of this machine, in milliseconds, from before the last question to the metadata store that confirmed what this node
   * applies. What a lease allows counts from here.
   */
  storeConfirmedMs(): number
  /** Adds a part to what this process reports of itself to the metadata store, about each second: `read` gives plain data, quickly. */
  report(part: string, read: () => unknown): void
  readonly log: AppLog
  /** For reading, in any process; changes go through `decide` and `undo`. `watch` hears the decisions of every process. */
  readonly decisions: Omit<Decisions, 'apply' | 'applyAll' | 'undo'>
  registry(): RegistryState
  /** Makes a change. It has taken effect in every process, through `follow`, when it resolves. */
  decide(change: Change, evidence: Evidence, by: Actor): Promise<Decision>
  undo(id: DecisionId, by: Actor): Promise<Decision>
  /** Records once what a version's number stands for. `file` is for people. Throws REGISTRY_DIGEST_CHANGED. */
  sawVersion(version: SeenVersion, file: string): Promise<void>
  /** Calls `change` when a decision has changed the registry's state; `decide` waits for it. */
  follow(change: (decision: Decision) => void | Promise<void>): Stop
  /** The server's other processes; undefined when this one is alone. */
  readonly peers: Peers | undefined
  /** What is broken on purpose, as decisions say; undefined when the server takes no faults. */
  readonly faults: Faults | undefined
  /** undefined when the project defines none. */
  readonly features: Features | undefined
  /** Answers that the processes of this server share; undefined when there is one. Closed by the cache. */
  readonly tier?: SharedTier | undefined
  close(): Promise<void>
}

/** What a worker process knows and asks of the whole server. */
export interface Peers {
  /** Process id of the primary: the one that people see and stop. */
  readonly pid: number
  /** Worker processes. */
  readonly processes: number
  /** Which of them this one is, counted from 1. */
  readonly number: number
  /** Whether the models of every worker are warm. */
  areReady(): boolean
  /** Says whether this process's models are. */
  tellReady(isReady: boolean): void
  exposeMetrics(): Promise<string>
  /** Says where this process's counts are read when another asks. */
  shareStatistics(own: () => ModelStatistics[]): void
  /** The counts of all processes as one server's. */
  gatherStatistics(): Promise<ModelStatistics[]>
}

export type SeenVersion = Pick<VersionArtifact, 'ref' | 'digest' | 'sizeBytes'>
