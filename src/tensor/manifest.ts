// What is known about a version beside its graph: how named features become tensors and what the outputs mean.
// The registry reads it from model.json, serving and the protocols use it; they meet here because neither imports the other.
import type { Digest, VersionRef } from '../core/index.js'

export type OutputMeaning = 'label' | 'probabilities' | 'value'
export type Isolation = 'auto' | 'inline' | 'thread'

export interface BatchingOptions {
  /** False runs every request alone. */
  readonly enabled: boolean
  /** Rows, default 32. */
  readonly maxBatchSize: number
  /** Upper bound on waiting for more rows, default 10; only for models where waiting is shown to pay. */
  readonly maxDelayMs: number
  /** Rows waiting before 429, default 1,024. */
  readonly maxQueueRows: number
}

/** A row of named features, as the native call takes it. */
export type FeatureRow = Readonly<Record<string, string | number | boolean | null>>

/** model.json with its defaults filled in. */
export interface ModelManifest {
  readonly description: string
  /** Column names of a single matrix input [rows, columns]; undefined when the graph has one input per feature. */
  readonly features: readonly string[] | undefined
  /** Class names in the order of the class probabilities; undefined when the graph or nobody names them. */
  readonly labels: readonly string[] | undefined
  /** Meaning of graph outputs by name; those not named here are inferred from name and shape. */
  readonly outputs: Readonly<Record<string, OutputMeaning>>
  readonly batching: BatchingOptions
  readonly isolation: Isolation
  /** A run longer than this is abandoned; default 30,000. */
  readonly timeoutMs: number
  /** A call that takes longer than this counts against the version's circuit; undefined: no call does. */
  readonly slowMs?: number | undefined
  /** Cost of a row in any unit, the same for all versions; undefined: not known. */
  readonly cost?: number | undefined
  readonly warmup: readonly { readonly inputs: FeatureRow }[]
  /** Free facts about training, shown to people: script, rows, metrics. */
  readonly trained: Readonly<Record<string, unknown>> | undefined
}

/** A version's files on local disk, complete and with a known digest. */
export interface VersionArtifact {
  readonly ref: VersionRef
  /** Which backend runs it: `onnx` or `script`. */
  readonly backend: string
  /** SHA-256 of the model file; checked again by whoever loads it. */
  readonly digest: Digest
  readonly file: string
  readonly sizeBytes: number
  readonly manifest: ModelManifest
}
