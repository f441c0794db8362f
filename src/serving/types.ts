// The seams of serving: a Backend sees only tensors; a Leaf is what a route calls (cache → batch → run).
import type {
  Digest,
  EndpointName,
  HeadraceError,
  ModelName,
  Platform,
  SerializedError,
  Stop,
  VersionRef,
} from '../core/index.js'
import type { Deadline } from '../flow/index.js'
import type { ModelManifest, Signature, TensorMap, VersionArtifact } from '../tensor/index.js'
import type { Reservation } from './pool/budget.js'
import type { VersionRecord, VersionStatistics } from './statistics.js'

export interface RunContext {
  readonly deadline: Deadline
  /** Output names to compute; undefined means all. */
  readonly outputs: readonly string[] | undefined
  /** Nobody reads the batch's arrays after the call, so their memory may be handed to another thread. Default false: they are copied. */
  readonly ownsBatch?: boolean
  /** Of the call, for a backend that gets calls one by one; default `normal`. */
  readonly priority?: Priority | undefined
}

/**
 * Where runs happen. `inline` blocks the event loop for the length of a run, so only tiny models may be; `process`: a child process;
 * `remote`: another server; `steps`: wherever the versions run that it is made of.
 */
export type RunsIn = 'inline' | 'thread' | 'process' | 'remote' | 'steps'

/** Runs one version. It is called with validated tensors and never by two batches at once unless it says so. */
export interface Backend {
  readonly signature: Signature
  /** How many batches may be in flight at once; 1 for a single ONNX session. */
  readonly concurrency: number
  /** Class labels found in the artifact itself (a stripped ZipMap), if any. */
  readonly labels: readonly string[] | undefined
  readonly isolation: RunsIn
  /** What ONNX Runtime computes with, where it does: `cpu`, `cuda`, `tensorrt`. */
  readonly providers?: readonly string[]
  /** False: each call is a run of its own, because batches form further down. Default true. */
  readonly joinsCalls?: boolean
  run(batch: TensorMap, run: RunContext): Promise<TensorMap>
  /** Nobody waits for that run any more: it may end early, whatever it then rejects with. */
  abandon?(run: RunContext): void
  /** Calls `listener` with a reason when it cannot answer for the time being, and with undefined when it can again. */
  onHealth?(listener: (reason: string | undefined) => void): void
  memoryBytes(): number
  close(): Promise<void>
  /** Why calls are turned away for now. A run that is given to it all the same waits, if its deadline allows. */
  readonly refusal?: string | undefined
}

export interface BackendOptions {
  readonly platform: Platform
}

/** Loads an artifact; rejects with a SERVING_ error when it is corrupt or unsupported. Registered by kind in `app`. */
export type BackendFactory = (artifact: VersionArtifact, options: BackendOptions) => Promise<Backend>

export interface LeafInput {
  readonly tensors: TensorMap
  /** Size of the batch axis; 1 for a model without one. */
  readonly rows: number
  /** Output names wanted, in order; undefined means all. */
  readonly outputs: readonly string[] | undefined
  /**
   * The caller sets this to true when nobody waits for the answer any more; work that is still queued is then dropped
   * with SERVING_CANCELLED. Looked at when a batch is put together, so cancelling costs one write.
   */
  cancelled?: boolean
  /** Default `normal`. */
  readonly priority?: Priority
  /** The endpoint's cache policy; undefined asks the model each time. */
  readonly cache?: CachePolicy | undefined
  /** Part of the cache key where the policy says so. */
  readonly tenant?: string
  /** The inputs as they arrived; what `cache.key: 'request'` hashes. Without it the tensors are hashed. */
  readonly rawInputs?: Uint8Array | string | undefined
  /** Which wire format `rawInputs` is of; the same text may mean different tensors in two of them. */
  readonly protocol?: string
  /** False keeps the answer out of the endpoint's last known ones: it is no reply to anyone (a shadow's, an ensemble member's). Default true. */
  readonly feedsLastKnown?: boolean
  /** Nobody asked: it is left out of the version's statistics. Default false. */
  readonly isTest?: boolean
}

/** Which class of the batcher's queue a call waits in. Overload is felt from the last to the first. */
export type Priority = 'high' | 'normal' | 'low'

/** How an endpoint's answers are cached. One object per endpoint, the same for all its requests. */
export interface CachePolicy {
  readonly endpoint: EndpointName
  /** What makes two requests the same: their tensors, or their inputs as they arrived. */
  readonly key: 'tensors' | 'request'
  /** Milliseconds, default 3,600,000 (one hour). */
  readonly ttlMs: number
  /** Whether tenants share answers. */
  readonly scope: 'shared' | 'tenant'
  /** How long an answer can be used as the last known one, milliseconds; 0 keeps none. Default 86,400,000 (a day). */
  readonly staleMs: number
  /** Answers under this name are kept apart: an arm that is compared with another must not profit from everybody's. */
  readonly partition?: string
}

/** What an endpoint answered the same request earlier, whatever version answered. */
export interface LastKnownAnswer {
  /** Shared with every other reader: never written to. */
  readonly outputs: TensorMap
  /** Since it was computed. */
  readonly ageMs: number
  readonly version: VersionRef
}

/** The answers a server keeps. Leaves use it by themselves; a route asks it for what to say when nobody can answer. */
export interface PredictionCache {
  /** Undefined when there is none so young: at most `maxAgeMs` and at most the policy's `staleMs`. */
  lastKnown(policy: CachePolicy, input: LeafInput, maxAgeMs?: number): LastKnownAnswer | undefined
  /** Keeps the answer to a request that no single call gave as it is: one that was combined, or that fewer inputs went into. */
  remember(policy: CachePolicy, input: LeafInput, outputs: TensorMap, version: VersionRef): void
}

export interface LeafResult {
  readonly outputs: TensorMap
  /** From arrival at the leaf to the start of its run. */
  readonly queueMs: number
  /** Part of it: the wait for a version that rested to be loaded. Undefined when it was there. */
  readonly loadMs?: number
  readonly computeMs: number
  /** Rows in the batch that this input ran in. */
  readonly batchRows: number
  /** `hit`: from the cache; `coalesced`: from the run of an identical call. Undefined: from a run of its own. */
  readonly cached?: 'hit' | 'coalesced' | undefined
}

/** What a route calls: one version behind its cache and batcher. `call` rejects with a HeadraceError only. */
export interface Leaf {
  readonly version: VersionRef
  call(input: LeafInput, deadline: Deadline): Promise<LeafResult>
  /** How long a call of this many rows made now should take, queue and run; undefined while too little is known. */
  expectedMs?(rows: number): number | undefined
  /** Its version rests or is being loaded: calls wait for that. */
  readonly isLoading?: boolean
}

/** A leaf as the pool holds it. */
export interface PooledLeaf extends Leaf {
  /** Drops queued calls whose input says `cancelled`. */
  dropCancelled(): void
  /** Resolves when every call has its answer, and refuses all that come after that. */
  close(): Promise<void>
}

/** What the answers of a version depend on. */
export interface VersionIdentity {
  readonly version: VersionRef
  readonly digest: string
  /** Of the backend that runs it. */
  readonly kind: string
  readonly manifest: ModelManifest
}

/** Keeps answers in front of leaves. */
export interface LeafCache {
  /** Puts a leaf behind the cache; closing what it returns closes the leaf and drops its answers. */
  front(inner: PooledLeaf, identity: VersionIdentity, statistics: VersionStatistics): PooledLeaf
}

/**
 * `resting`: known, and loaded when a request asks for it; `unready`: loaded, but a run hangs; `unloaded` is only seen by watchers, as
 * a version's last state.
 */
export type VersionState = 'resting' | 'loading' | 'ready' | 'unready' | 'failed' | 'unloading' | 'unloaded'

/** A version in the pool, as routes and protocols see it. */
export interface ServedVersion {
  readonly ref: VersionRef
  /** `fraud/2`, kept because each record carries it. */
  readonly key: string
  readonly digest: string
  /** Kind of its backend: `onnx`, `script`, `remote` or `pipeline`. */
  readonly kind: string
  readonly signature: Signature
  readonly manifest: ModelManifest
  /** From model.json, or else from the graph. */
  readonly labels: readonly string[] | undefined
  readonly isolation: RunsIn
  /** What ONNX Runtime computes with, where it does. */
  readonly providers?: readonly string[] | undefined
  readonly leaf: Leaf
}

export interface VersionStatus {
  readonly ref: VersionRef
  readonly state: VersionState
  /** Why it is not ready. */
  readonly reason: string | undefined
  readonly error: HeadraceError | SerializedError | undefined
}

/** What one version takes. */
export interface VersionMemory {
  readonly ref: VersionRef
  readonly digest: Digest
  /** Of its budget now; 0 while it rests. */
  readonly usedBytes: number
  /** What it takes when it is loaded. */
  readonly sizeBytes: number
  /** False: `sizeBytes` is its backend's estimate, or one from its file. */
  readonly isMeasured: boolean
  /** Never unloaded to make room. */
  readonly isPinned: boolean
}

/** What the versions of a pool take, of what they may take. */
export interface PoolMemory {
  readonly budgetBytes: number
  readonly usedBytes: number
  /** By model, then number. */
  readonly versions: readonly VersionMemory[]
}

/** A version that is loaded and warm beside the one that is served under its number, or before there is one. */
export interface StagedVersion {
  readonly served: ServedVersion
  /** From here on it is the one that is served; resolves when the one before has finished its calls and is freed. */
  commit(): Promise<void>
  /** Frees it; nobody has called it. */
  discard(): Promise<void>
}

/** The versions a server holds, whatever state they are in. */
export interface Pool {
  /** Takes note of a version that is loaded when it is first asked for. What is there already stays as it is. */
  register(artifact: VersionArtifact): VersionStatus
  /**
   * Loads a version that was never loaded, so that it can be described: undefined when there is nothing to wait for. Rejects with what
   * its load failed with, or with SERVING_DEADLINE_EXCEEDED after `limitMs`; the load goes on.
   */
  wake(
    target: { readonly model: ModelName; readonly version: number | 'latest' },
    limitMs?: number,
  ): Promise<void> | undefined
  /** The version that `wake` would load. It is at rest, and nobody knows yet what it looks like. */
  asleep(model: ModelName, version: number | 'latest'): VersionRef | undefined
  memory(): PoolMemory
  /**
   * Loads, warms up and then serves a version. Never rejects: a load that fails leaves the state `failed` with its reason, and
   * every other version serving. Loading what is there already, or is being loaded, does nothing new; a failed one is tried again.
   */
  load(artifact: VersionArtifact): Promise<VersionStatus>
  /**
   * Loads a version anew, with another manifest for instance, while the one that is served under its number goes on: no call fails.
   * Rejects when it cannot be loaded; nothing has changed then.
   */
  stage(artifact: VersionArtifact): Promise<StagedVersion>
  /** Takes a version out of `get` and `latest` at once, lets its calls finish, then frees it. Unknown versions are ignored. */
  unload(ref: VersionRef): Promise<void>
  /** Loads a version anew whose backend was lost, to a dead thread for instance; until then it counts as loading. */
  restart(ref: VersionRef, error: HeadraceError): Promise<void>
  /** A version that is ready, rests (its leaf then wakes it) or is unready (its leaf refuses with SERVING_MODEL_UNREADY). */
  get(ref: VersionRef): ServedVersion | undefined
  /** Some version can be called. */
  readonly isServing: boolean
  /** The highest number of a model that is ready, or rests and was loaded well before. */
  latest(model: ModelName): ServedVersion | undefined
  /**
   * `get` or `latest` for a request: throws SERVING_MODEL_NOT_FOUND, SERVING_VERSION_NOT_FOUND or, when it is known but not
   * loaded, SERVING_MODEL_UNREADY.
   */
  resolve(model: ModelName, version: number | 'latest'): ServedVersion
  /**
   * What a version that is in the pool was when it was served last, for its signature and labels: while it is loaded again, and
   * after that has failed. Its leaf must not be called.
   */
  lastSeen(model: ModelName, version: number | 'latest'): ServedVersion | undefined
  status(ref: VersionRef): VersionStatus | undefined
  /** By model, then number. */
  statuses(): VersionStatus[]
  /** What a version has done since the server started, also when it was unloaded meanwhile; undefined when it was never loaded. */
  statistics(ref: VersionRef): VersionStatistics | undefined
  /** Those of every version that was ever loaded, in no order. */
  allStatistics(): readonly VersionRecord[]
  watch(change: (status: VersionStatus) => void): Stop
  /** Drops queued calls whose input says `cancelled`, instead of at their turn. The caller gathers calls of a few milliseconds into one. */
  dropCancelled(): void
  /** Unloads everything. */
  close(): Promise<void>
}

/** What is remembered of a version that was loaded once, so that it can rest and yet be described. */
export interface VersionDescription {
  /** Of its backend. */
  readonly signature: Signature
  readonly labels: readonly string[] | undefined
  readonly isolation: RunsIn
  readonly providers?: readonly string[] | undefined
  readonly memoryBytes: number
  /** False: `memoryBytes` is its backend's estimate. */
  readonly isMeasured: boolean
  readonly loadMs: number
}

/** Remembers descriptions, also beyond the end of the server. */
export interface VersionDescriptions {
  get(artifact: VersionArtifact): VersionDescription | undefined
  set(artifact: VersionArtifact, description: VersionDescription): void
}

/** Copies of what was loaded well, for the time when a version is loaded again and its files are gone or others. */
export interface KeptArtifacts {
  /** Never rejects: a copy is a help, not a condition. */
  keep(artifact: VersionArtifact): Promise<void>
  /** The copy, if the files themselves are not what they were when it was made. */
  find(artifact: VersionArtifact): Promise<VersionArtifact | undefined>
  forget(artifact: VersionArtifact): Promise<void>
}

export interface PoolOptions {
  readonly platform: Platform
  /** By backend kind: `onnx`. */
  readonly factories: ReadonlyMap<string, BackendFactory>
  /** Keeps answers of endpoints with a cache policy; without it every call asks its model. */
  readonly cache?: LeafCache | undefined
  /** Test predictions for a version with `manifest.warmup` rows; without it, or without rows, zeros are used. */
  readonly warmupInputs?: (artifact: VersionArtifact, signature: Signature) => readonly TensorMap[]
  /** Runs a callback at the end of this turn of the event loop; default `setImmediate`. */
  readonly defer?: (callback: () => void) => void
  /** Memory that all loaded versions may use together; default without limit. */
  readonly budgetBytes?: number
  /** Bytes of the budget that only some models may use. Throws SERVING_RESERVATIONS_TOO_LARGE. */
  readonly reservations?: readonly Reservation[]
  /** A version that was loaded on demand is unloaded when nobody has called it for so long; 0 never; default 3,600,000. */
  readonly idleMs?: number
  /** Models whose versions are never unloaded to make room, beside those whose model.json says so. `*` stands for any text. */
  readonly pinned?: readonly string[]
  /** What a loaded version takes; asked in the background, one at a time. Default: what its backend estimates. */
  readonly measure?: (artifact: VersionArtifact) => Promise<number>
  readonly descriptions?: VersionDescriptions
  readonly kept?: KeptArtifacts
  /** Resident memory of the process: when it grows far beyond the budget, versions are unloaded. Default: nobody looks. */
  readonly residentBytes?: () => number
  /** Longest a load may take; default 120,000. */
  readonly loadTimeoutMs?: number
  /** How long an unload waits for a backend to close before it is given up; default 10,000. */
  readonly closeTimeoutMs?: number
}
