// Whether callers of an endpoint can go on as they are when another version answers. Callers depend on what they send (inputs), on what they
// read (outputs, labels and their order) and on what a feature service fetches for them.
import type { DataType, OutputSpec, RowSchema, TensorSpec } from '../../tensor/index.js'

/** What a caller can see of a version. */
export interface CallersView {
  readonly schema: RowSchema
  readonly featureService: string | undefined
}

export interface SignatureChange {
  readonly isBreaking: boolean
  /** One sentence. */
  readonly text: string
}

/**
 * Every difference. Breaking: an input that callers do not send yet and that is not optional; an input that is gone (calls that send it are refused);
 * a datatype that does not hold every value of the old one; a shape that no longer accepts what it did; an output that is gone, renamed, of
 * another kind of value, shape or meaning; labels that are gone, new, or in another order; another feature service. Not breaking: an
 * optional input more, a wider input datatype, a freer input shape, an output more, wider floating-point outputs, fewer needs of features.
 */
export function compareSignatures(now: CallersView, next: CallersView): SignatureChange[] {
  const changes: SignatureChange[] = []
  const breaking = (text: string) => void changes.push({ isBreaking: true, text })
  const harmless = (text: string) => void changes.push({ isBreaking: false, text })
  inputs(now, next, breaking, harmless)
  outputs(now.schema, next.schema, breaking, harmless)
  labels(now.schema.labels, next.schema.labels, breaking, harmless)
  const { featureService: was } = now
  const { featureService: is } = next
  if (was === undefined && is !== undefined)
    breaking(`It needs feature service "${is}", so callers have to send its entity keys.`)
  else if (was !== undefined && is === undefined)
    breaking(`It has no feature service any more ("${was}" before), so callers have to send every feature.`)
  else if (was !== is) breaking(`Its feature service is "${is}" and no longer "${was}"; entity keys may differ.`)
  if (now.schema.signature.batchAxis === 0 && next.schema.signature.batchAxis === null)
    breaking('It takes one row at a time: calls of several rows are refused.')
  return changes
}

type Tell = (text: string) => void

function inputs(now: CallersView, next: CallersView, breaking: Tell, harmless: Tell): void {
  const before = new Map(inputsOf(now.schema).map((spec) => [spec.name, spec]))
  const after = new Map(inputsOf(next.schema).map((spec) => [spec.name, spec]))
  for (const [name, spec] of before) {
    const other = after.get(name)
    if (other === undefined) {
      breaking(`Input "${name}" is gone: calls that send it are refused.`)
      continue
    }
    if (other.datatype !== spec.datatype) {
      const text = `Input "${name}" is ${other.datatype} and was ${spec.datatype}`
      if (holds(other.datatype, spec.datatype))
        harmless(`${text}: named rows go on; tensors must say ${other.datatype}.`)
      else breaking(`${text}, which does not hold every value of it.`)
    }
    if (!accepts(other.shape, spec.shape))
      breaking(`Input "${name}" takes shape [${other.shape}] and took [${spec.shape}].`)
    else if (String(other.shape) !== String(spec.shape))
      harmless(`Input "${name}" takes shape [${other.shape}], which [${spec.shape}] fits.`)
    if (spec.isOptional && !other.isOptional) breaking(`Input "${name}" is no longer optional.`)
  }
  for (const [name, { isOptional }] of after) {
    if (before.has(name)) continue
    if (isOptional) harmless(`Input "${name}" is new and optional.`)
    else if (next.featureService !== undefined)
      harmless(`Input "${name}" is new; feature service "${next.featureService}" has to give it.`)
    else breaking(`Input "${name}" is new and required: calls without it are refused.`)
  }
  const order = (schema: RowSchema) => schema.features.map(({ name }) => name).join(', ')
  const isMatrix = now.schema.layout === 'matrix' && next.schema.layout === 'matrix'
  const hasSame = before.size === after.size && [...before.keys()].every((name) => after.has(name))
  if (isMatrix && hasSame && order(now.schema) !== order(next.schema))
    breaking(
      `The columns of the input matrix are in another order (${order(next.schema)}): callers who send it as a tensor get other answers.`,
    )
  const tensorOf = ({ signature }: RowSchema) => signature.inputs[0]!.name
  if (isMatrix && tensorOf(now.schema) !== tensorOf(next.schema))
    breaking(
      `The input tensor is called "${tensorOf(next.schema)}" and was "${tensorOf(now.schema)}"; named rows go on, tensors do not.`,
    )
  if (now.schema.layout !== next.schema.layout)
    breaking(
      next.schema.layout === 'matrix'
        ? 'Its features are columns of one input and were inputs each; named rows go on, tensors do not.'
        : 'Its features are inputs each and were columns of one input; named rows go on, tensors do not.',
    )
}

/** What a caller names: features of a matrix, or inputs. Shapes are of one row. */
function inputsOf({ layout, features, signature }: RowSchema): TensorSpec[] {
  return features.map(({ name, datatype, shape }, i) => ({
    name,
    datatype,
    shape,
    isOptional: layout === 'inputs' && signature.inputs[i]!.isOptional === true,
  }))
}

function outputs(now: RowSchema, next: RowSchema, breaking: Tell, harmless: Tell): void {
  const specs = new Map(next.outputs.map((output) => [output.name, output]))
  const tensors = new Map(next.signature.outputs.map((spec) => [spec.name, spec]))
  const gone: OutputSpec[] = []
  for (const output of now.outputs) {
    const spec = now.signature.outputs.find(({ name }) => name === output.tensor)!
    const other = specs.get(output.name)
    if (other === undefined) {
      gone.push(output)
      continue
    }
    if (other.tensor !== output.tensor)
      breaking(`Output tensor "${output.tensor}" is called "${other.tensor}" now; callers who read tensors miss it.`)
    if (other.meaning !== output.meaning)
      breaking(`Output "${output.name}" means ${other.meaning} and meant ${output.meaning}.`)
    const tensor = tensors.get(other.tensor)!
    if (tensor.datatype !== spec.datatype) {
      const text = `Output "${output.name}" is ${tensor.datatype} and was ${spec.datatype}`
      if (FLOATS.includes(tensor.datatype) && FLOATS.includes(spec.datatype))
        harmless(`${text}: named answers stay numbers; callers who read tensors see another datatype.`)
      else breaking(`${text}.`)
    }
    if (!accepts(spec.shape.slice(1), tensor.shape.slice(1)))
      breaking(`Output "${output.name}" has shape [${tensor.shape}] and had [${spec.shape}].`)
  }
  const news = next.outputs.filter(({ name }) => !now.outputs.some((output) => output.name === name))
  for (const { name, meaning } of gone) {
    const renamed = news.find((other) => other.meaning === meaning)
    breaking(
      renamed === undefined
        ? `Output "${name}" is gone.`
        : `Output "${name}" is gone; "${renamed.name}" may be its new name, and callers read the old one.`,
    )
  }
  for (const { name } of news) harmless(`Output "${name}" is new.`)
}

function labels(
  now: readonly string[] | undefined,
  next: readonly string[] | undefined,
  breaking: Tell,
  harmless: Tell,
): void {
  if (now === undefined && next === undefined) return
  if (now === undefined) harmless(`Its classes have names now: ${next?.join(', ')}.`)
  else if (next === undefined) breaking(`Its classes have no names any more; they were ${now.join(', ')}.`)
  if (now === undefined || next === undefined) return
  const gone = now.filter((label) => !next.includes(label))
  const fresh = next.filter((label) => !now.includes(label))
  if (gone.length > 0) breaking(`Label${gone.length > 1 ? 's' : ''} ${quoted(gone)} can no longer be answered.`)
  if (fresh.length > 0)
    breaking(`Label${fresh.length > 1 ? 's' : ''} ${quoted(fresh)} may be answered, which callers do not know.`)
  if (gone.length === 0 && fresh.length === 0 && now.join('\n') !== next.join('\n'))
    breaking(
      `The labels are in another order (${next.join(', ')}; before: ${now.join(', ')}): probabilities by position swap meaning.`,
    )
}

function quoted(texts: readonly string[]): string {
  return texts.map((text) => `"${text}"`).join(', ')
}

/** Whether an axis list takes every shape that another describes; -1 takes any size. */
function accepts(wide: readonly number[], narrow: readonly number[]): boolean {
  if (isScalar(wide) && isScalar(narrow)) return true
  return wide.length === narrow.length && wide.every((size, axis) => size === -1 || size === narrow[axis])
}

function isScalar(shape: readonly number[]): boolean {
  return shape.length === 0 || (shape.length === 1 && shape[0] === 1)
}

const FLOATS: readonly DataType[] = ['FP16', 'BF16', 'FP32', 'FP64']

/** Datatypes that hold every value of a datatype. */
const WIDER: Readonly<Record<DataType, readonly DataType[]>> = {
  BOOL: [],
  UINT8: ['UINT16', 'UINT32', 'UINT64', 'INT16', 'INT32', 'INT64', 'FP16', 'BF16', 'FP32', 'FP64'],
  UINT16: ['UINT32', 'UINT64', 'INT32', 'INT64', 'FP32', 'FP64'],
  UINT32: ['UINT64', 'INT64', 'FP64'],
  UINT64: [],
  INT8: ['INT16', 'INT32', 'INT64', 'FP16', 'FP32', 'FP64', 'BF16'],
  INT16: ['INT32', 'INT64', 'FP32', 'FP64'],
  INT32: ['INT64', 'FP64'],
  INT64: [],
  FP16: ['FP32', 'FP64'],
  BF16: ['FP32', 'FP64'],
  FP32: ['FP64'],
  FP64: [],
  BYTES: [],
}

function holds(wide: DataType, narrow: DataType): boolean {
  return WIDER[narrow].includes(wide)
}
