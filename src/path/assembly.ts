// A version's tensors from what the request brings and what its feature service says. What goes where is worked out once per version.
import { type HeadraceError, toHeadraceError } from '../core/index.js'
import { FeatureErrors, type ReadPlan, type ServedFeatures, type Value } from '../features/index.js'
import type { ServedVersion } from '../serving/index.js'
import {
  describeRows,
  type FeatureSpec,
  type FeatureValue,
  RowBuilder,
  type RowSchema,
  type Tensor,
  type TensorMap,
  validateInputs,
} from '../tensor/index.js'
import { PathErrors } from './errors.js'
import type { Given } from './given.js'

/** So many take one or two milliseconds; more are put in turns. */
const VALUES_A_TURN = 20_000

export class Assembly {
  readonly schema: RowSchema
  /** Name of the version's service; undefined: it has none, or the project does not know it. */
  readonly service: string | undefined
  /** By feature of the schema: its column in the plan, -1 for what only the request can bring. */
  readonly #columns: Int32Array

  constructor(
    readonly served: ServedVersion,
    plan: ReadPlan | undefined,
  ) {
    const { signature, manifest, labels } = served
    this.schema = describeRows(signature, manifest, labels)
    const named = manifest.featureService
    this.service = plan?.services.some(({ name }) => name === named) ? named : undefined
    const columns = this.service === undefined ? undefined : plan!.columnsOf(this.service)
    this.#columns = Int32Array.from(this.schema.features, ({ name }) => columns?.get(name) ?? -1)
  }

  /** Whether the request brings every input as a tensor: there is nothing to look up. */
  isComplete({ tensors }: Given): boolean {
    const { inputs } = this.schema.signature
    if (tensors.size < inputs.length) return false
    for (let i = 0; i < inputs.length; i++)
      if (!tensors.has(inputs[i]!.name) && inputs[i]!.isOptional !== true) return false
    return true
  }

  /** The tensors of `rows` rows from `first` on. Throws, or rejects with, TENSOR_…, FEATURE_… for what is lacking, and PATH_VERSION_UNFIT for what was served but does not fit. */
  tensors(
    given: Given,
    features: ServedFeatures | undefined,
    first: number,
    rows: number,
  ): TensorMap | Promise<TensorMap> {
    if (this.isComplete(given)) return this.#pick(given.tensors)
    const { manifest, ref } = this.served
    if (this.service === undefined && manifest.featureService !== undefined) {
      const error = FeatureErrors.SERVICE_UNKNOWN({ service: manifest.featureService, known: [] })
      throw PathErrors.VERSION_UNFIT({ ...ref, problem: error.message }, error)
    }
    const lack = this.service === undefined ? undefined : features?.lacking.get(this.service)
    if (lack !== undefined) throw lack
    const builder = new RowBuilder(this.schema, rows)
    const rowsATurn = Math.ceil(VALUES_A_TURN / Math.max(1, this.schema.features.length))
    if (rows > rowsATurn) return this.#inTurns(builder, given, features, first, rows, rowsATurn)
    this.#putRows(builder, given, features, first, first + rows)
    return builder.finish()
  }

  async #inTurns(
    builder: RowBuilder,
    given: Given,
    features: ServedFeatures | undefined,
    first: number,
    rows: number,
    rowsATurn: number,
  ): Promise<TensorMap> {
    const end = first + rows
    for (let row = first; row < end; row += rowsATurn) {
      this.#putRows(builder, given, features, row, Math.min(row + rowsATurn, end))
      await new Promise((resolve) => setImmediate(resolve))
    }
    return builder.finish()
  }

  #putRows(builder: RowBuilder, given: Given, features: ServedFeatures | undefined, from: number, to: number): void {
    const { features: specs, layout, signature } = this.schema
    const whole = layout === 'matrix' ? given.column(signature.inputs[0]!.name) : undefined
    for (let row = from; row < to; row++) {
      const wholeRow = whole?.[row]
      if (wholeRow !== undefined) builder.put(signature.inputs[0]!.name, wholeRow)
      else
        for (let i = 0; i < specs.length; i++) {
          const spec = specs[i]!
          const column = this.#columns[i]!
          if (column !== -1) this.#putServed(builder, spec, features!, column, row)
          else {
            const value = given.column(spec.name)?.[row]
            if (value !== undefined) builder.put(spec.name, value)
          }
        }
      builder.endRow()
    }
  }

  #putServed(builder: RowBuilder, spec: FeatureSpec, features: ServedFeatures, column: number, row: number): void {
    try {
      builder.put(spec.name, fitted(features.values[column]![row]!, spec))
    } catch (error) {
      // What the request brings in place of a stored value is the caller's.
      if (features.sources[column]![row] === 'request') throw error
      throw this.unfit(toHeadraceError(error))
    }
  }

  unfit(error: HeadraceError): HeadraceError {
    const { ref } = this.served
    return PathErrors.VERSION_UNFIT({ model: ref.model, version: ref.version, problem: error.message }, error)
  }

  #pick(tensors: TensorMap): TensorMap {
    const { signature } = this.schema
    const taken = new Map<string, Tensor>()
    for (const { name } of signature.inputs) {
      const tensor = tensors.get(name)
      if (tensor !== undefined) taken.set(name, tensor)
    }
    validateInputs(taken, signature)
    return taken
  }
}

/**
 * A feature's value as an input takes it. Where there is none, a number is NaN; what has no such value is 0, false or empty text. Lists that
 * are shorter than the input are filled up the same way; true and false are 1 and 0 where a number is wanted.
 */
function fitted(value: Value, spec: FeatureSpec): FeatureValue {
  if (typeof value === 'number' || typeof value === 'string') return value
  if (value === null) return spec.size === 1 ? nothing(spec) : filled([], spec)
  if (typeof value === 'boolean') return spec.type === 'boolean' ? value : value ? 1 : 0
  if (typeof value === 'bigint') return value
  const list = (value instanceof Float32Array ? Array.from(value) : value) as readonly (
    | string
    | number
    | bigint
    | boolean
  )[]
  const fit = spec.type === 'boolean' ? list : list.map((each) => (typeof each === 'boolean' ? Number(each) : each))
  return filled(fit, spec)
}

function filled(list: readonly FeatureValue[], spec: FeatureSpec): FeatureValue {
  if (spec.shape.length !== 1 || list.length >= spec.size) {
    return list.length === 0 && spec.size > 0 ? nested(spec.shape, nothing(spec)) : list
  }
  const whole = [...list]
  while (whole.length < spec.size) whole.push(nothing(spec))
  return whole
}

function nested(shape: readonly number[], value: FeatureValue): FeatureValue {
  const [size, ...inner] = shape
  return size === undefined ? value : Array.from({ length: size }, () => nested(inner, value))
}

function nothing({ type }: FeatureSpec): FeatureValue {
  return type === 'number' ? null : type === 'string' ? '' : type === 'boolean' ? false : 0
}
