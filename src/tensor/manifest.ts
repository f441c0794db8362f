// What is known about a version beside its graph: how named features become tensors and what the outputs mean.
// The registry reads it from model.json, serving and the protocols use it; they meet here because neither imports the other.
import type { Digest, VersionRef } from '../core/index.js'
import type { PipelineModel, RemoteModel } from './described.js'

export type OutputMeaning = 'label' | 'probabilities' | 'value'
/** `process`: in a child process, with the other versions of its `group`. */
export type Isolation = 'auto' | 'inline' | 'thread' | 'process'

export interface BatchingOptions {
  /** False runs every request alone. */
  readonly enabled: boolean
  /** Rows, default 32. */
  readonly maxBatchSize: number
  /** Upper bound on waiting for more rows, default 10; only for models where waiting is shown to pay. */
  readonly maxDelayMs: number
  /** Rows waiting before 429, default 1,024. */
  readonly maxQueueRows: number
  /** Rows of a run while more rows wait than that; default twice `maxBatchSize`. */
  readonly maxBatchSizeUnderPressure?: number | undefined
  /** Nobody later passes a call that has waited this long, whatever its deadline or priority; default 5,000. */
  readonly maxWaitMs?: number | undefined
  /** Sizes at which a run ends when it can be filled to one, ascending. */
  readonly preferredBatchSizes?: readonly number[] | undefined
  /** The only numbers of rows the model is given, ascending: smaller runs are filled up. */
  readonly allowedBatchSizes?: readonly number[] | undefined
  /** What runs are filled up with: their last row again, the default, or zeros. */
  readonly padRows?: 'repeat' | 'zeros' | undefined
  /** How calls of different lengths share a run. */
  readonly padding?: PaddingRules | undefined
}

/** How inputs whose length differs from call to call are made equal. One length per call. */
export interface PaddingRules {
  /** Inputs that have the length as a size: on which axis (1 or more), and what they are filled with (default 0). */
  readonly inputs: Readonly<Record<string, { readonly axis: number; readonly value: number }>>
  /** Lengths are rounded up to a multiple of this; default 1. */
  readonly multipleOf: number
  /** An input of the shape [rows, length] that is 1 where a call has something and 0 elsewhere; made when a call leaves it out. */
  readonly mask?: string | undefined
  /** An input of the shape [rows] or [rows, 1] that holds each row's length; made when a call leaves it out. */
  readonly lengths?: string | undefined
  /** The axis of an output that has the length, or null; by default each open axis that is as long as the padded inputs. */
  readonly outputs: Readonly<Record<string, number | null>>
}

/** One of ONNX Runtime's execution providers, with its own options. */
export interface ExecutionProvider {
  readonly name: 'cpu' | 'cuda' | 'tensorrt'
  readonly options: Readonly<Record<string, string | number | boolean>>
}

/** The file of another library that an ONNX model was made from. */
export interface ConvertedFrom {
  readonly format: 'xgboost' | 'lightgbm'
  /** As far as the file says. */
  readonly libraryVersion: string
  readonly objective: string
  /** Of that file. */
  readonly digest: string
  /** On which ONNX Runtime and the trees of that file answered the same. */
  readonly rowsCompared: number
}

/** A row of named features, as the native call takes it. */
export type FeatureRow = Readonly<Record<string, string | number | boolean | null>>

/** model.json with its defaults filled in. */
export interface ModelManifest {
  readonly description: string
  /** Column names of a single matrix input [rows, columns]; undefined when the graph has one input per feature. */
  readonly features: readonly string[] | undefined
  /** The feature service that gives this version what a request does not bring; see the features domain. */
  readonly featureService?: string | undefined
  /** Class names in the order of the class probabilities; undefined when the graph or nobody names them. */
  readonly labels: readonly string[] | undefined
  /** Meaning of graph outputs by name; those not named here are inferred from name and shape. */
  readonly outputs: Readonly<Record<string, OutputMeaning>>
  readonly batching: BatchingOptions
  /** Sessions of the version, each on a thread of its own when there are several; default 1. */
  readonly instances?: number | undefined
  readonly isolation: Isolation
  /** Versions of one group share a child process; default the model's name. Only with `isolation: 'process'`. */
  readonly group?: string | undefined
  /** Whether it is loaded before it is asked for; undefined: as the configuration's `serving.pool.load` says. */
  readonly load?: 'preload' | 'lazy' | undefined
  /** Never unloaded to make room; default false. */
  readonly pinned?: boolean | undefined
  /** What ONNX Runtime computes with, in order of preference; undefined: the configuration's, which is the CPU by default. */
  readonly providers?: readonly ExecutionProvider[] | undefined
  /** A run longer than this is abandoned; default 30,000. */
  readonly timeoutMs: number
  /** A call that takes longer than this counts against the version's circuit; undefined: no call does. */
  readonly slowMs?: number | undefined
  /** Cost of a row in any unit, the same for all versions; undefined: not known. */
  readonly cost?: number | undefined
  readonly warmup: readonly { readonly inputs: FeatureRow }[]
  /** Free facts about training, shown to people: script, rows, metrics. */
  readonly trained: Readonly<Record<string, unknown>> | undefined
  /** Undefined for a model that was ONNX when it was pushed. */
  readonly convertedFrom?: ConvertedFrom | undefined
}

/** A version's files on local disk, complete and with a known digest. */
export interface VersionArtifact {
  readonly ref: VersionRef
  /** Which backend runs it: `onnx`, `script`, `remote` or `pipeline`. */
  readonly backend: string
  /** SHA-256 of the model file; checked again by whoever loads it. */
  readonly digest: Digest
  readonly file: string
  readonly sizeBytes: number
  readonly manifest: ModelManifest
  /** What `remote.json` says; undefined for every other backend. */
  readonly remote?: RemoteModel | undefined
  /** What `pipeline.json` says; undefined for every other backend. */
  readonly pipeline?: PipelineModel | undefined
}
