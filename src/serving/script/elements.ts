// How a script's thread holds and checks elements of each datatype. Not imported from tensor: its error table would bring the
// logger and the metrics library into every thread, 90 ms of its start (2026-11-22).
import type { DataType } from '../../tensor/index.js'
import type { RawData } from '../onnx/session.js'

interface Elements {
  /** What an element has to be, as in "each value must be …". */
  readonly expected: string
  create(length: number): RawData
  /** One element as a row has it. */
  get(data: RawData, at: number): number | boolean | string
  /** False when the value does not fit. */
  set(data: RawData, at: number, value: unknown): boolean
  owns(data: unknown): boolean
}

type NumberArray = Float64Array
type NumberArrayConstructor = new (length: number) => unknown

function numbers(array: NumberArrayConstructor, expected: string, isFloat: boolean): Elements {
  return {
    expected,
    create: (length) => new array(length) as NumberArray,
    get: (data, at) => (data as NumberArray)[at]!,
    set(data, at, value) {
      if (typeof value !== 'number') return false
      const list = data as NumberArray
      list[at] = value
      return isFloat || list[at] === value
    },
    owns: (data) => data instanceof array,
  }
}

function bigints(array: NumberArrayConstructor, expected: string): Elements {
  return {
    expected,
    create: (length) => new array(length) as BigInt64Array,
    get: (data, at) => Number((data as BigInt64Array)[at]!),
    set(data, at, value) {
      const isWhole = typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value))
      if (!isWhole) return false
      const list = data as BigInt64Array
      const exact = BigInt(value)
      list[at] = exact
      return list[at] === exact
    },
    owns: (data) => data instanceof array,
  }
}

const BOOLS: Elements = {
  expected: 'true or false',
  create: (length) => new Uint8Array(length),
  get: (data, at) => (data as Uint8Array)[at] !== 0,
  set(data, at, value) {
    ;(data as Uint8Array)[at] = value === true ? 1 : 0
    return typeof value === 'boolean'
  },
  owns: (data) => data instanceof Uint8Array,
}

const TEXTS: Elements = {
  expected: 'text',
  create: (length) => new Array<string>(length).fill(''),
  get: (data, at) => (data as string[])[at]!,
  set(data, at, value) {
    ;(data as unknown[])[at] = value
    return typeof value === 'string'
  },
  owns: (data) => Array.isArray(data) && data.every((element) => typeof element === 'string'),
}

const bitPatterns = numbers(Uint16Array, 'the bits of a 16-bit float', false)

export const ELEMENTS: { readonly [D in DataType]: Elements } = {
  BOOL: BOOLS,
  UINT8: numbers(Uint8Array, 'a whole number from 0 to 255', false),
  UINT16: numbers(Uint16Array, 'a whole number from 0 to 65535', false),
  UINT32: numbers(Uint32Array, 'a whole number from 0 to 4294967295', false),
  UINT64: bigints(BigUint64Array, 'a whole number from 0 to 2^64 - 1'),
  INT8: numbers(Int8Array, 'a whole number from -128 to 127', false),
  INT16: numbers(Int16Array, 'a whole number from -32768 to 32767', false),
  INT32: numbers(Int32Array, 'a whole number from -2^31 to 2^31 - 1', false),
  INT64: bigints(BigInt64Array, 'a whole number from -2^63 to 2^63 - 1'),
  FP16: bitPatterns,
  BF16: bitPatterns,
  FP32: numbers(Float32Array, 'a number', true),
  FP64: numbers(Float64Array, 'a number', true),
  BYTES: TEXTS,
}
