// The seams of serving: a Backend sees only tensors; a Leaf is what a route calls (cache → batch → run).
import type { HeadraceError, Platform, SerializedError, VersionRef } from '../core/index.js'
import type { Deadline } from '../flow/index.js'
import type { ModelManifest, Signature, TensorMap, VersionArtifact } from '../tensor/index.js'

export interface RunContext {
  readonly deadline: Deadline
  /** Output names to compute; undefined means all. */
  readonly outputs: readonly string[] | undefined
}

/** Runs one version. It is called with validated tensors and never by two batches at once unless it says so. */
export interface Backend {
  readonly signature: Signature
  /** How many batches may be in flight at once; 1 for a single ONNX session. */
  readonly concurrency: number
  /** Class labels found in the artifact itself (a stripped ZipMap), if any. */
  readonly labels: readonly string[] | undefined
  /** `inline` backends block the event loop for the length of a run, so only tiny models may be. */
  readonly isolation: 'inline' | 'thread'
  run(batch: TensorMap, run: RunContext): Promise<TensorMap>
  memoryBytes(): number
  close(): Promise<void>
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
}

export interface LeafResult {
  readonly outputs: TensorMap
  /** From arrival at the leaf to the start of its run. */
  readonly queueMs: number
  readonly computeMs: number
  /** Rows in the batch that this input ran in. */
  readonly batchRows: number
}

/** What a route calls: one version behind its cache and batcher. `call` rejects with a HeadraceError only. */
export interface Leaf {
  readonly version: VersionRef
  call(input: LeafInput, deadline: Deadline): Promise<LeafResult>
}

export type VersionState = 'loading' | 'ready' | 'unready' | 'failed' | 'unloading'

/** A version in the pool, as routes and protocols see it. */
export interface ServedVersion {
  readonly ref: VersionRef
  readonly digest: string
  readonly signature: Signature
  readonly manifest: ModelManifest
  /** From model.json, or else from the graph. */
  readonly labels: readonly string[] | undefined
  readonly isolation: 'inline' | 'thread'
  readonly leaf: Leaf
}

export interface VersionStatus {
  readonly ref: VersionRef
  readonly state: VersionState
  /** Why it is not ready. */
  readonly reason: string | undefined
  readonly error: HeadraceError | SerializedError | undefined
}
