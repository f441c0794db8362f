// A constant as tensors: one row's values, repeated for every row, in the datatypes the endpoint's outputs have.
import {
  allocate,
  type DataType,
  numberToBfloat16,
  numberToFloat16,
  type Signature,
  type Tensor,
  type TensorData,
  type TensorMap,
  type TensorSpec,
} from '../tensor/index.js'
import { RouteErrors } from './errors.js'
import type { Constant } from './types.js'

type Scalar = number | string | boolean

/**
 * Throws ROUTE_CONSTANT_MISMATCH when an output is unknown or missing, or a value does not fit its datatype or shape.
 * With rows 0 it only checks.
 */
export function constantAnswer(constant: Constant, signature: Signature, rows: number): TensorMap {
  const known = signature.outputs.map(({ name }) => name)
  for (const output of Object.keys(constant.outputs))
    if (!known.includes(output)) throw mismatch(constant, output, `the outputs are ${known.join(', ')}`)
  const answer = new Map<string, Tensor>()
  for (const spec of signature.outputs) {
    const value = constant.outputs[spec.name]
    if (value === undefined) throw mismatch(constant, spec.name, 'it gives no value for it')
    answer.set(spec.name, repeat(constant, spec, value, signature.batchAxis === 0, rows))
  }
  return answer
}

function repeat(
  constant: Constant,
  { name, datatype, shape }: TensorSpec,
  value: Scalar | readonly Scalar[],
  isBatched: boolean,
  rows: number,
): Tensor {
  const elements: readonly Scalar[] = isList(value) ? value : [value]
  const row = elements.map((element) => encode(constant, name, datatype, element))
  const inner = fill(isBatched ? shape.slice(1) : shape, row.length)
  if (inner === undefined)
    throw mismatch(
      constant,
      name,
      `a row of it has shape [${(isBatched ? shape.slice(1) : shape).join(', ')}], but ${row.length} values are given`,
    )
  const count = isBatched ? rows : 1
  const data = allocate(datatype, count * row.length)
  for (let i = 0; i < data.length; i++) data[i] = row[i % row.length]!
  return { name, datatype, shape: isBatched ? [count, ...inner] : inner, data }
}

/** The shape with its one open size worked out; undefined when `length` values cannot fill it. */
function fill(shape: readonly number[], length: number): readonly number[] | undefined {
  const known = shape.filter((size) => size >= 0).reduce((product, size) => product * size, 1)
  const open = shape.filter((size) => size < 0).length
  if (open === 0) return known === length ? shape : undefined
  if (known === 0 || length % known !== 0) return undefined
  // Of several open sizes the last takes all of it.
  const last = shape.findLastIndex((size) => size < 0)
  return shape.map((size, axis) => (size >= 0 ? size : axis === last ? length / known : 1))
}

const INTEGER_BITS: Partial<Record<DataType, number>> = {
  UINT8: 8,
  UINT16: 16,
  UINT32: 32,
  UINT64: 64,
  INT8: 8,
  INT16: 16,
  INT32: 32,
  INT64: 64,
}

function encode(constant: Constant, output: string, datatype: DataType, value: Scalar): TensorData[number] {
  const fail = (expected: string) =>
    mismatch(constant, output, `it is ${datatype}, so ${expected} was expected instead of ${JSON.stringify(value)}`)
  if (datatype === 'BYTES') {
    if (typeof value !== 'string') throw fail('a text')
    return Buffer.from(value)
  }
  if (datatype === 'BOOL') {
    if (typeof value !== 'boolean') throw fail('true or false')
    return value ? 1 : 0
  }
  if (typeof value !== 'number') throw fail('a number')
  const bits = INTEGER_BITS[datatype]
  if (bits === undefined)
    return datatype === 'FP16' ? numberToFloat16(value) : datatype === 'BF16' ? numberToBfloat16(value) : value
  const isUnsigned = datatype.startsWith('U')
  const least = isUnsigned ? 0 : -(2 ** (bits - 1))
  const most = isUnsigned ? 2 ** bits : 2 ** (bits - 1)
  if (!Number.isSafeInteger(value) || value < least || value >= most) throw fail('an integer in its range')
  return bits === 64 ? BigInt(value) : value
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value)
}

function mismatch(constant: Constant, output: string, problem: string): Error {
  return RouteErrors.CONSTANT_MISMATCH({ constant: constant.name, output, problem })
}
