// How rows of named features map to a model's inputs, and its outputs back to names: worked out once per version, plain data.
import type { DataType } from './datatype.js'
import type { ModelManifest, OutputMeaning } from './manifest.js'
import type { Signature } from './tensor.js'

export type FeatureType = 'number' | 'integer' | 'string' | 'boolean'

/** One named feature of a row. */
export interface FeatureSpec {
  readonly name: string
  readonly datatype: DataType
  readonly type: FeatureType
  /** Shape of one row's value; [] for a scalar, -1 where any size goes. */
  readonly shape: readonly number[]
  /** Elements in one row's value: 1 for a scalar; -1 when it varies. */
  readonly size: number
}

/** One named output of a row. */
export interface OutputSpec {
  /** Output of the graph. */
  readonly tensor: string
  /** Key in the native reply. */
  readonly name: string
  readonly meaning: OutputMeaning
}

/** Plain data: crosses to the parse worker as it is. */
export interface RowSchema {
  readonly signature: Signature
  /** `matrix`: one [rows, features] input; `columns`: an input per feature, or per nested array. */
  readonly layout: 'matrix' | 'columns'
  readonly features: readonly FeatureSpec[]
  readonly outputs: readonly OutputSpec[]
  readonly labels: readonly string[] | undefined
}

export type NamedValue = string | number | boolean | null | readonly NamedValue[]
/** What the native reply says of one row: `{ label, probabilities: { class: p }, ... }`. */
export type NamedOutputs = Readonly<Record<string, NamedValue | Readonly<Record<string, number | null>>>>

/** `labels` are the ones in effect: the manifest's or else the graph's. */
export declare function describeRows(
  signature: Signature,
  manifest: Pick<ModelManifest, 'features' | 'outputs'>,
  labels: readonly string[] | undefined,
): RowSchema
export declare function describeFeatures(signature: Signature, manifest: Pick<ModelManifest, 'features'>): FeatureSpec[]
