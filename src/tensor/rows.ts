// Rows of named features to tensors. The builder takes features one by one, so that a wire parser needs no objects in between.

import { didYouMean } from '../core/index.js'
import { allocate, EMPTY, type TensorData } from './datatype.js'
import { TensorErrors } from './errors.js'
import { numberToBfloat16, numberToFloat16 } from './half.js'
import { MAX_STRINGS } from './json-scan.js'
import type { FeatureSpec, RowSchema } from './row-schema.js'
import { elementCount, type Tensor, type TensorMap, type TensorSpec } from './tensor.js'

/**
 * What a feature may be. A whole number beyond 2^53 is a bigint or, for the 64-bit datatypes, a string of digits; null is a missing
 * number (NaN) and no other type's value; bytes that are not text are a Uint8Array; tensors are nested lists.
 */
export type FeatureValue = string | number | bigint | boolean | null | Uint8Array | readonly FeatureValue[]

/**
 * Tensors of all rows. Throws TENSOR_ROWS_EMPTY, TENSOR_ROWS_NOT_BATCHABLE, TENSOR_FEATURE_MISSING, TENSOR_FEATURE_UNKNOWN,
 * TENSOR_FEATURE_TYPE, TENSOR_FEATURE_SHAPE.
 */
export function rowsToTensors(rows: readonly Readonly<Record<string, FeatureValue>>[], schema: RowSchema): TensorMap {
  const builder = new RowBuilder(schema, rows.length)
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
    for (const name in row) {
      const value = row[name]
      if (value !== undefined) builder.put(name, value)
    }
    builder.endRow()
  }
  return builder.finish()
}

/** `put` each feature of a row, then `endRow`; after the last row, `finish`. */
export class RowBuilder {
  readonly #schema: RowSchema
  readonly #columns: Column[] = []
  /** By feature: the number of the row that has it, counted from 1. */
  readonly #lastRow: number[]
  #row = 0
  #features = 0

  /** `rows` is a guess that saves copying. Memory grows with the rows that are complete, not with the guess. */
  constructor(schema: RowSchema, rows: number) {
    this.#schema = schema
    const { inputs } = schema.signature
    for (let i = 0; i < inputs.length; i++) {
      const shape = schema.layout === 'matrix' ? [schema.features.length] : schema.features[i]!.shape
      this.#columns.push(new Column(inputs[i]!, shape, rows))
    }
    this.#lastRow = new Array<number>(schema.features.length).fill(0)
  }

  put(name: string, value: FeatureValue): void {
    const { features, featureIndex, layout, signature } = this.#schema
    const index = featureIndex.get(name)
    if (index === undefined) {
      if (layout === 'matrix' && name === signature.inputs[0]!.name) {
        this.#putWholeRow(name, value)
        return
      }
      throw TensorErrors.FEATURE_UNKNOWN({
        row: this.#row,
        feature: name.slice(0, 100),
        suggestion: didYouMean(name, [...featureIndex.keys()]),
        known: [...featureIndex.keys()],
      })
    }
    if (this.#lastRow[index] === this.#row + 1) throw TensorErrors.FEATURE_DUPLICATE({ row: this.#row, feature: name })
    this.#lastRow[index] = this.#row + 1
    this.#features++
    const feature = features[index]!
    if (layout === 'matrix') this.#columns[0]!.putScalar(this.#row, index, value, feature)
    else this.#columns[index]!.put(this.#row, value, feature)
  }

  /** All features of a matrix at once, in order, under the name of the graph's input. */
  #putWholeRow(name: string, value: FeatureValue): void {
    const { features } = this.#schema
    if (!Array.isArray(value) || value.length !== features.length)
      throw TensorErrors.FEATURE_SHAPE({
        row: this.#row,
        feature: name,
        expected: [features.length],
        arrived: shapeOf(value),
      })
    for (let i = 0; i < features.length; i++) this.put(features[i]!.name, value[i])
  }

  endRow(): void {
    const { features } = this.#schema
    if (this.#features !== features.length) {
      const missing = features.filter((_, index) => this.#lastRow[index] !== this.#row + 1).map(({ name }) => name)
      throw TensorErrors.FEATURE_MISSING({ row: this.#row, missing, of: features.length })
    }
    this.#features = 0
    this.#row++
  }

  /** The rows ended so far. */
  get rows(): number {
    return this.#row
  }

  finish(): TensorMap {
    const rows = this.#row
    const { signature, layout } = this.#schema
    if (rows === 0) throw TensorErrors.ROWS_EMPTY()
    if (rows > 1 && signature.batchAxis === null) throw TensorErrors.ROWS_NOT_BATCHABLE({ rows })
    const hasRowAxis = signature.batchAxis === 0 || layout === 'matrix'
    const tensors = new Map<string, Tensor>()
    for (let i = 0; i < this.#columns.length; i++) {
      const tensor = this.#columns[i]!.toTensor(rows, hasRowAxis)
      tensors.set(tensor.name, tensor)
    }
    return tensors
  }
}

/** The rows of one input of the graph, growing. */
class Column {
  readonly #spec: TensorSpec
  /** Shape of a row; sizes that vary are known from the first row on. */
  #shape: readonly number[]
  /** Elements in a row; -1 until known. */
  #width: number
  /** How many rows are expected; a guess. */
  readonly #rows: number
  #capacityRows = 0
  #data: TensorData | undefined

  constructor(spec: TensorSpec, shape: readonly number[], rows: number) {
    this.#spec = spec
    this.#shape = shape
    this.#width = shape.includes(-1) ? -1 : elementCount(shape)
    this.#rows = rows
  }

  putScalar(row: number, at: number, value: FeatureValue, feature: FeatureSpec): void {
    const data = this.#room(row)
    if (!store(data, this.#spec.datatype, row * this.#width + at, value)) throw wrongType(row, feature, value)
  }

  put(row: number, value: FeatureValue, feature: FeatureSpec): void {
    if (!Array.isArray(value) && feature.size === 1) {
      this.putScalar(row, 0, value, feature)
      return
    }
    const arrived = shapeOf(value)
    const isFlat = arrived.length === 1 && arrived[0] === this.#width
    // The first lists may promise more than the others keep: where they set the size, all are counted before any memory is taken.
    const isRagged = this.#width === -1 && countLeaves(value) !== elementCount(arrived)
    if (isRagged || (!isFlat && !fits(arrived, this.#shape)))
      throw TensorErrors.FEATURE_SHAPE({ row, feature: feature.name, expected: this.#shape, arrived })
    if (this.#width === -1) {
      this.#shape = arrived
      this.#width = elementCount(arrived)
    }
    const data = this.#room(row)
    this.#storeNested(data, row, row * this.#width, value, 0, isFlat ? arrived : this.#shape, feature)
  }

  toTensor(rows: number, hasRowAxis: boolean): Tensor {
    const { name, datatype } = this.#spec
    const length = rows * Math.max(0, this.#width)
    const data = this.#data ?? allocate(datatype, 0)
    return {
      name,
      datatype,
      shape: hasRowAxis ? [rows, ...this.#shape] : this.#shape,
      data: data.length === length ? data : data.slice(0, length),
    }
  }

  /** The storage, grown until it holds `row`. */
  #room(row: number): TensorData {
    if (this.#data !== undefined && row < this.#capacityRows) return this.#data
    const { name, datatype } = this.#spec
    const width = Math.max(1, this.#width)
    const most = datatype === 'BYTES' ? Math.floor(MAX_STRINGS / width) : Number.POSITIVE_INFINITY
    if (row >= most) throw TensorErrors.STRINGS_TOO_MANY({ input: name, limit: MAX_STRINGS })
    // A request of many rows, each of them broken, must not cost the memory of good ones.
    const first = Math.min(this.#rows, Math.floor(FIRST_ELEMENTS / width))
    this.#capacityRows = Math.min(most, Math.max(row + 1, first, this.#capacityRows * 2))
    const grown = allocate(datatype, this.#capacityRows * this.#width)
    const old = this.#data
    if (Array.isArray(grown)) for (let i = 0; i < (old?.length ?? 0); i++) grown[i] = (old as Buffer[])[i]!
    // Both are the same kind of typed array; Float32Array stands for all of them.
    else if (old !== undefined) (grown as Float32Array).set(old as Float32Array)
    this.#data = grown
    return grown
  }

  #storeNested(
    data: TensorData,
    row: number,
    from: number,
    value: FeatureValue,
    axis: number,
    shape: readonly number[],
    feature: FeatureSpec,
  ): number {
    if (axis === shape.length) {
      if (!store(data, this.#spec.datatype, from, value)) throw wrongType(row, feature, value)
      return from + 1
    }
    if (!Array.isArray(value) || value.length !== shape[axis])
      throw TensorErrors.FEATURE_SHAPE({ row, feature: feature.name, expected: shape, arrived: shapeOf(value) })
    let next = from
    for (let i = 0; i < value.length; i++) next = this.#storeNested(data, row, next, value[i], axis + 1, shape, feature)
    return next
  }
}

/** Elements that a column's first allocation holds at most, unless one row has more. */
const FIRST_ELEMENTS = 65_536

/** Puts a value where it belongs; false when the datatype cannot hold it. */
function store(data: TensorData, datatype: TensorSpec['datatype'], at: number, value: FeatureValue): boolean {
  switch (datatype) {
    case 'FP32': {
      const number = toNumber(value)
      const rounded = Math.fround(number)
      ;(data as Float32Array)[at] = rounded
      return isNumber(value) && (Number.isFinite(rounded) || !Number.isFinite(number))
    }
    case 'FP64':
      ;(data as Float64Array)[at] = toNumber(value)
      return isNumber(value)
    case 'FP16':
      return storeHalf(data as Uint16Array, at, value, numberToFloat16, 0x7c00)
    case 'BF16':
      return storeHalf(data as Uint16Array, at, value, numberToBfloat16, 0x7f80)
    case 'INT64':
      return storeInteger64(data as BigInt64Array, at, value, -(2n ** 63n), 2n ** 63n - 1n)
    case 'UINT64':
      return storeInteger64(data as BigUint64Array, at, value, 0n, 2n ** 64n - 1n)
    case 'BOOL':
      ;(data as Uint8Array)[at] = value === true ? 1 : 0
      return typeof value === 'boolean'
    case 'BYTES':
      if (typeof value === 'string') (data as Buffer[])[at] = value === '' ? EMPTY : Buffer.from(value)
      else if (value instanceof Uint8Array)
        (data as Buffer[])[at] = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      else return false
      return true
    default:
      // The store itself wraps around: a whole number that comes back unchanged was in range.
      if (typeof value !== 'number') return false
      ;(data as Int32Array)[at] = value
      return data[at] === value
  }
}

function isNumber(value: FeatureValue): boolean {
  return typeof value === 'number' || value === null || typeof value === 'bigint'
}

function toNumber(value: FeatureValue): number {
  return typeof value === 'number' ? value : typeof value === 'bigint' ? Number(value) : Number.NaN
}

function storeHalf(
  data: Uint16Array,
  at: number,
  value: FeatureValue,
  round: (value: number) => number,
  infinity: number,
): boolean {
  const number = toNumber(value)
  const bits = round(number)
  data[at] = bits
  return isNumber(value) && ((bits & 0x7fff) !== infinity || !Number.isFinite(number))
}

function storeInteger64(
  data: BigInt64Array | BigUint64Array,
  at: number,
  value: FeatureValue,
  min: bigint,
  max: bigint,
): boolean {
  let exact: bigint
  if (typeof value === 'bigint') exact = value
  else if (typeof value === 'number' && Number.isSafeInteger(value)) exact = BigInt(value)
  else if (typeof value === 'string' && /^-?[0-9]{1,20}$/.test(value)) exact = BigInt(value)
  else return false
  if (exact < min || exact > max) return false
  data[at] = exact
  return true
}

function wrongType(row: number, feature: FeatureSpec, value: FeatureValue): Error {
  const { name, datatype } = feature
  return TensorErrors.FEATURE_TYPE({ row, feature: name, expected: EXPECTED[datatype], arrived: describe(value) })
}

const EXPECTED: { readonly [D in FeatureSpec['datatype']]: string } = {
  BOOL: 'true or false',
  UINT8: 'a whole number from 0 to 255',
  UINT16: 'a whole number from 0 to 65535',
  UINT32: 'a whole number from 0 to 4294967295',
  UINT64: 'a whole number from 0 to 18446744073709551615 (as a string of digits beyond 2^53)',
  INT8: 'a whole number from -128 to 127',
  INT16: 'a whole number from -32768 to 32767',
  INT32: 'a whole number from -2147483648 to 2147483647',
  INT64: 'a whole number of 64 bits (as a string of digits beyond 2^53)',
  FP16: 'a number from -65504 to 65504, or null',
  BF16: 'a number within the range of BF16, or null',
  FP32: 'a number within the range of FP32, or null',
  FP64: 'a number, or null',
  BYTES: 'a string',
}

function describe(value: FeatureValue): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (value instanceof Uint8Array) return `${value.length} bytes`
  if (typeof value === 'string') return `the string ${JSON.stringify(value.slice(0, 40))}`
  if (typeof value === 'object') return 'an object'
  return typeof value === 'boolean' ? String(value) : `the number ${value}`
}

/** How lists are nested, by the first element of each. */
function shapeOf(value: FeatureValue): number[] {
  const shape: number[] = []
  for (let inner = value; Array.isArray(inner); inner = inner[0]) shape.push(inner.length)
  return shape
}

function countLeaves(value: FeatureValue): number {
  if (!Array.isArray(value)) return 1
  let count = 0
  for (let i = 0; i < value.length; i++) count += countLeaves(value[i])
  return count
}

function fits(shape: readonly number[], expected: readonly number[]): boolean {
  return (
    shape.length === expected.length && shape.every((size, axis) => expected[axis] === -1 || expected[axis] === size)
  )
}
