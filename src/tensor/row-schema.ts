// How rows of named features map to a model's inputs, and its outputs back to names: worked out once per version, plain data.
import type { DataType } from './datatype.js'
import { TensorErrors } from './errors.js'
import type { ModelManifest, OutputMeaning } from './manifest.js'
import type { Signature, TensorSpec } from './tensor.js'

export type FeatureType = 'number' | 'integer' | 'string' | 'boolean'

/** One named feature of a row. */
export interface FeatureSpec {
  readonly name: string
  readonly datatype: DataType
  readonly type: FeatureType
  /** Shape of one row's value; [] and [1] are scalars, -1 is any size. */
  readonly shape: readonly number[]
  /** Elements in one row's value: 1 for a scalar; -1 when it varies. */
  readonly size: number
}

/** One named output of a row. */
export interface OutputSpec {
  /** Output of the graph. */
  readonly tensor: string
  /** Key in the native reply; no two outputs share one. */
  readonly name: string
  readonly meaning: OutputMeaning
}

/** Plain data: crosses to the parse worker as it is. */
export interface RowSchema {
  readonly signature: Signature
  /** `matrix`: the features are the columns of one [rows, features] input; `inputs`: each feature is an input. */
  readonly layout: 'matrix' | 'inputs'
  readonly features: readonly FeatureSpec[]
  /** Index into `features` by name. */
  readonly featureIndex: ReadonlyMap<string, number>
  readonly outputs: readonly OutputSpec[]
  /** Class names in the order of the class probabilities. */
  readonly labels: readonly string[] | undefined
}

/**
 * Call once per version. `labels` are the ones in effect: the manifest's or else the graph's. Throws TENSOR_FEATURES_MISMATCH when
 * the manifest's features are not the columns of the graph's input.
 */
export function describeRows(
  signature: Signature,
  manifest: Pick<ModelManifest, 'features' | 'outputs'>,
  labels: readonly string[] | undefined,
): RowSchema {
  const features = describeFeatures(signature, manifest)
  return {
    signature,
    layout: isMatrix(signature, manifest.features) ? 'matrix' : 'inputs',
    features,
    featureIndex: new Map(features.map(({ name }, index) => [name, index])),
    outputs: describeOutputs(signature, manifest.outputs, labels),
    labels,
  }
}

/** What a row is made of, in order: what `headrace types` and the OpenAPI description show. Throws TENSOR_FEATURES_MISMATCH. */
export function describeFeatures(signature: Signature, manifest: Pick<ModelManifest, 'features'>): FeatureSpec[] {
  if (isMatrix(signature, manifest.features)) {
    const { datatype } = signature.inputs[0]!
    return manifest.features.map((name) => ({ name, datatype, type: featureType(datatype), shape: [], size: 1 }))
  }
  return signature.inputs.map((input) => {
    const shape = rowShape(input, signature)
    const size = shape.includes(-1) ? -1 : shape.reduce((product, axis) => product * axis, 1)
    return { name: input.name, datatype: input.datatype, type: featureType(input.datatype), shape, size }
  })
}

/** Shape of one row of a tensor: without the batch axis, if there is one. */
export function rowShape(spec: TensorSpec, signature: Signature): readonly number[] {
  return signature.batchAxis === 0 ? spec.shape.slice(1) : spec.shape
}

function isMatrix(signature: Signature, features: readonly string[] | undefined): features is readonly string[] {
  if (features === undefined) return false
  const { inputs } = signature
  const [rows, columns] = inputs[0]?.shape ?? []
  if (inputs.length === 1 && inputs[0]!.shape.length === 2 && (rows === -1 || rows === 1)) {
    if (columns === -1 || columns === features.length) return true
  } else if (inputs.length === features.length && inputs.every(({ name }) => features.includes(name))) return false
  throw TensorErrors.FEATURES_MISMATCH({ features: features.length, inputs })
}

function featureType(datatype: DataType): FeatureType {
  switch (datatype) {
    case 'BOOL':
      return 'boolean'
    case 'BYTES':
      return 'string'
    case 'FP16':
    case 'BF16':
    case 'FP32':
    case 'FP64':
      return 'number'
    default:
      return 'integer'
  }
}

/** `label` and `probabilities` go to the best output of that meaning; the others, and all values, keep the graph's names. */
function describeOutputs(
  signature: Signature,
  meanings: Readonly<Record<string, OutputMeaning>>,
  labels: readonly string[] | undefined,
): OutputSpec[] {
  const specs = signature.outputs.map((output) => ({
    tensor: output.name,
    meaning: Object.hasOwn(meanings, output.name)
      ? meanings[output.name]!
      : inferMeaning(output, rowShape(output, signature), labels),
    isDeclared: Object.hasOwn(meanings, output.name),
  }))
  const taken = new Set(specs.filter(({ meaning }) => meaning === 'value').map(({ tensor }) => tensor))
  const names = new Map<string, string>()
  for (const key of ['label', 'probabilities'] as const) {
    const preference = (spec: (typeof specs)[number]): number =>
      (spec.isDeclared ? 4 : 0) + (spec.tensor === key ? 2 : 0) + (/label|prob/i.test(spec.tensor) ? 1 : 0)
    const best = specs.filter(({ meaning }) => meaning === key).sort((a, b) => preference(b) - preference(a))[0]
    if (best === undefined || taken.has(key)) continue
    names.set(best.tensor, key)
    taken.add(key)
  }
  return specs.map(({ tensor, meaning }) => {
    let name = names.get(tensor)
    if (name === undefined) {
      name = tensor
      while (meaning !== 'value' && taken.has(name)) name += '_'
      taken.add(name)
    }
    return { tensor, name, meaning }
  })
}

function inferMeaning(
  output: TensorSpec,
  shape: readonly number[],
  labels: readonly string[] | undefined,
): OutputMeaning {
  const type = featureType(output.datatype)
  const isScalar = shape.length === 0 || (shape.length === 1 && shape[0] === 1)
  if (isScalar && (type === 'integer' || type === 'string') && LABEL_NAMES.has(output.name.toLowerCase()))
    return 'label'
  if (labels === undefined || type !== 'number') return 'value'
  const isNamedProbability = /prob/i.test(output.name)
  if (shape.length === 1 && shape[0] === labels.length) return 'probabilities'
  if (shape.length === 1 && shape[0] === -1 && isNamedProbability) return 'probabilities'
  // One probability of the second of two classes.
  return isScalar && labels.length === 2 && isNamedProbability ? 'probabilities' : 'value'
}

const LABEL_NAMES: ReadonlySet<string> = new Set(['label', 'labels', 'output_label', 'class', 'predicted_label'])
