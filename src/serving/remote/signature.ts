// A signature from what a server says about its model.
import type { RemoteModel, Signature, TensorSpec } from '../../tensor/index.js'
import { datatypeNamed, MAX_DIMENSIONS, shapeText } from '../../tensor/index.js'
import type { RemoteDescription } from './transport.js'

/** A tensor as metadata has it; `undefined` when that is no tensor. */
export function specOf(tensor: {
  readonly name: unknown
  readonly datatype: unknown
  readonly shape: unknown
}): TensorSpec | undefined {
  const { name, shape } = tensor
  const datatype = datatypeNamed(String(tensor.datatype))
  if (typeof name !== 'string' || name === '' || datatype === undefined || !Array.isArray(shape)) return undefined
  // Protobuf's JSON has 64-bit integers as text.
  const sizes = shape.map(Number)
  const isShape = sizes.length <= MAX_DIMENSIONS && sizes.every((size) => Number.isSafeInteger(size) && size >= -1)
  return isShape ? { name, datatype, shape: sizes } : undefined
}

/** What the version takes and gives; a text says why that cannot be known. */
export function signatureOf(remote: RemoteModel, description: RemoteDescription): Signature | string {
  const { inputs, outputs } = remote.signature ?? description
  if (inputs.length === 0) return 'its metadata lists no inputs'
  if (outputs.length === 0) return 'its metadata lists no outputs'
  const all = [...inputs, ...outputs]
  // MLServer has models whose tensors are listed without sizes.
  const isOpen = all.every(({ shape }) => shape[0] === -1)
  const { maxBatchSize } = description
  const guessed = maxBatchSize === undefined ? isOpen : maxBatchSize > 0 && isOpen
  return { inputs, outputs, batchAxis: remote.batchAxis === undefined ? (guessed ? 0 : null) : remote.batchAxis }
}

/** How two descriptions of a model differ, as a sentence without its full stop; undefined when they do not. */
export function descriptionDifference(before: RemoteDescription, now: RemoteDescription): string | undefined {
  if (before.maxBatchSize !== now.maxBatchSize)
    return `its max_batch_size was ${before.maxBatchSize} and is now ${now.maxBatchSize}`
  return tensorDifference('input', before.inputs, now.inputs) ?? tensorDifference('output', before.outputs, now.outputs)
}

function tensorDifference(what: string, before: readonly TensorSpec[], now: readonly TensorSpec[]): string | undefined {
  for (const spec of before) {
    const other = now.find(({ name }) => name === spec.name)
    if (other === undefined) return `its ${what} "${spec.name}" is gone`
    if (textOf(other) !== textOf(spec))
      return `its ${what} "${spec.name}" was ${textOf(spec)} and is now ${textOf(other)}`
  }
  const added = now.find(({ name }) => !before.some((spec) => spec.name === name))
  return added && `it has a new ${what} "${added.name}"`
}

function textOf({ datatype, shape, isOptional }: TensorSpec): string {
  return `${datatype} ${shapeText(shape)}${isOptional === true ? ' (optional)' : ''}`
}
