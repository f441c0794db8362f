// Output tensors to what the native reply says of one row.
import { TensorErrors } from './errors.js'
import { bfloat16ToNumber, float16ToNumber } from './half.js'
import { utf8OrUndefined } from './json-write.js'
import type { RowSchema } from './row-schema.js'
import type { Tensor, TensorMap } from './tensor.js'

export type NamedValue = string | number | boolean | null | readonly NamedValue[]

/**
 * `{ label, probabilities: { class: p }, … }`, or plain values under the outputs' own names. NaN and infinities are null, because the
 * native reply is strict JSON; whole numbers beyond 2^53 are strings of digits.
 */
export type NamedOutputs = Readonly<Record<string, NamedValue | Readonly<Record<string, number | null>>>>

/** Outputs that the tensors lack (they were not asked for) are left out. Throws TENSOR_OUTPUT_NOT_TEXT. */
export function tensorsToNamedOutputs(outputs: TensorMap, row: number, schema: RowSchema): NamedOutputs {
  const named: Record<string, NamedValue | Record<string, number | null>> = {}
  const isBatched = schema.signature.batchAxis === 0
  for (let i = 0; i < schema.outputs.length; i++) {
    const { tensor: tensorName, name, meaning } = schema.outputs[i]!
    const tensor = outputs.get(tensorName)
    if (tensor === undefined) continue
    const size = isBatched ? tensor.data.length / tensor.shape[0]! : tensor.data.length
    const from = isBatched ? row * size : 0
    const probabilities = meaning === 'probabilities' ? probabilitiesOf(tensor, from, size, schema.labels) : undefined
    if (probabilities !== undefined) named[name] = probabilities
    else if (size !== 1) named[name] = nest(tensor, from, size, isBatched ? 1 : 0)
    else if (meaning === 'label') named[name] = labelOf(elementOf(tensor, from), schema.labels)
    else named[name] = elementOf(tensor, from)
  }
  return named
}

/** A class index becomes its label, unless the labels are numbers and have this one: then the graph already gives classes. */
function labelOf(value: NamedValue, labels: readonly string[] | undefined): NamedValue {
  if (labels === undefined || typeof value !== 'number' || labels.includes(String(value))) return value
  return labels[value] ?? value
}

/** Undefined when the sizes do not allow it. */
function probabilitiesOf(
  tensor: Tensor,
  from: number,
  size: number,
  labels: readonly string[] | undefined,
): Record<string, number | null> | undefined {
  if (labels === undefined) return undefined
  const byClass: Record<string, number | null> = {}
  if (size === labels.length) {
    for (let c = 0; c < size; c++) byClass[labels[c]!] = numberOf(tensor, from + c)
    return byClass
  }
  if (size !== 1 || labels.length !== 2) return undefined
  // One column: the probability of the second class, as for a sigmoid.
  const second = numberOf(tensor, from)
  byClass[labels[0]!] = second === null ? null : 1 - second
  byClass[labels[1]!] = second
  return byClass
}

function numberOf(tensor: Tensor, index: number): number | null {
  const value = elementOf(tensor, index)
  return typeof value === 'number' ? value : null
}

/** Elements nested as the tensor's shape says from `axis` on. */
function nest(tensor: Tensor, from: number, size: number, axis: number): NamedValue {
  if (axis === tensor.shape.length) return elementOf(tensor, from)
  const length = tensor.shape[axis]!
  const innerSize = size / length
  const list: NamedValue[] = []
  for (let i = 0; i < length; i++) list.push(nest(tensor, from + i * innerSize, innerSize, axis + 1))
  return list
}

function elementOf(tensor: Tensor, index: number): NamedValue {
  const { data } = tensor
  switch (tensor.datatype) {
    case 'FP32':
    case 'FP64':
      return finiteOrNull((data as Float64Array)[index]!)
    case 'FP16':
      return finiteOrNull(float16ToNumber((data as Uint16Array)[index]!))
    case 'BF16':
      return finiteOrNull(bfloat16ToNumber((data as Uint16Array)[index]!))
    case 'INT64':
    case 'UINT64': {
      const exact = (data as BigInt64Array)[index]!
      const number = Number(exact)
      return Number.isSafeInteger(number) ? number : String(exact)
    }
    case 'BOOL':
      return (data as Uint8Array)[index] !== 0
    case 'BYTES': {
      const text = utf8OrUndefined((data as Buffer[])[index]!)
      if (text === undefined) throw TensorErrors.OUTPUT_NOT_TEXT({ output: tensor.name, index })
      return text
    }
    default:
      return (data as Int32Array)[index]!
  }
}

function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null
}
