// The data of a tensor from JSON, directed by its datatype: exact 64-bit integers, flat or nested lists, bounded memory.
// Nothing is allocated from a declared shape before the text is seen to be long enough to hold that many elements.
import { allocateUnset, type DataType, type TensorData } from './datatype.js'
import { TensorErrors } from './errors.js'
import { numberToBfloat16, numberToFloat16 } from './half.js'
import { Byte, isWhole, type JsonReader } from './json-reader.js'
import { checkedCount } from './shape.js'

/** Strings in one request: each is an object of its own on the event loop's heap, some 200 bytes however short it is. */
export const MAX_STRINGS = 131_072

export interface TensorDataOptions {
  /** BYTES may also come as `{"b64": "…"}`, as KServe's version 1 has them. */
  readonly acceptsBase64: boolean
}

const PLAIN: TensorDataOptions = { acceptsBase64: false }

/**
 * Reads the data of tensor `name`: a flat list, or lists nested as `shape` says; a scalar's may stand alone. FP16 and BF16 are
 * rounded to their nearest pattern, FP32 to its nearest value, and a number too large for its type is an error. Float types also
 * take "NaN", "Infinity" and "-Infinity" as strings, for clients whose JSON has no such tokens. A whole number may be written with a
 * fraction or exponent (1.0, 1e3); beyond 2^53 only its digits are exact, so only they are taken.
 *
 * Throws TENSOR_JSON_INVALID, TENSOR_SHAPE_INVALID, TENSOR_LENGTH_MISMATCH, TENSOR_NESTING_MISMATCH, TENSOR_ELEMENT_INVALID,
 * TENSOR_STRINGS_TOO_MANY.
 */
export function readTensorData(
  reader: JsonReader,
  name: string,
  datatype: DataType,
  shape: readonly number[],
  options: TensorDataOptions = PLAIN,
): TensorData {
  const count = checkedCount(name, shape)
  // Every element takes a character and a separator, so the body's length bounds what is allocated: at most four bytes for each of its own.
  const isShort = count > (reader.bytes.length - reader.position) / 2 + 1
  if (isShort) throw lengthMismatch(reader, name, shape, count)
  if (datatype === 'BYTES' && reader.buffersMade + count > MAX_STRINGS)
    throw TensorErrors.STRINGS_TOO_MANY({ input: name, limit: MAX_STRINGS })
  const target: Target = { name, datatype, shape, data: allocateUnset(datatype, count), options }

  if (reader.peek() !== Byte.OPEN_LIST) {
    if (shape.length > 0) throw reader.unexpected(`The data of input "${name}"`, 'a list')
    readElement(reader, target, 0)
    return target.data
  }
  if (reader.isNestedListNext()) readNested(reader, target, 0, 0)
  else {
    const arrived = readRun(reader, target, 0, count)
    if (arrived !== count)
      throw TensorErrors.LENGTH_MISMATCH({ input: name, shape, expected: count, elements: arrived })
  }
  return target.data
}

/** The shape that the next value's nesting shows: the length of each list that is the first in its own. Reads nothing. */
export function inferShape(reader: JsonReader): number[] {
  const start = reader.position
  const shape: number[] = []
  inferAxis(reader, shape, 0)
  reader.position = start
  return shape
}

interface Target {
  readonly name: string
  readonly datatype: DataType
  readonly shape: readonly number[]
  readonly data: TensorData
  readonly options: TensorDataOptions
}

/** Reads a list's elements to `from` and on, at most `room` of them; returns how many there were. */
function readRun(reader: JsonReader, target: Target, from: number, room: number): number {
  let arrived = 0
  if (reader.takeList())
    do {
      if (arrived < room) readElement(reader, target, from + arrived)
      else reader.skipValue()
      arrived++
    } while (reader.moreElements())
  return arrived
}

/** Reads the list on `axis` whose first element is number `from`; returns the number after its last. */
function readNested(reader: JsonReader, target: Target, axis: number, from: number): number {
  const { shape } = target
  const offset = reader.position
  const size = shape[axis]!
  if (axis === shape.length) throw nestingMismatch(target, axis, 'a list', reader.position)
  if (axis === shape.length - 1) {
    const arrived = readRun(reader, target, from, size)
    if (arrived !== size) throw nestingMismatch(target, axis, `a list of ${arrived}`, offset)
    return from + size
  }
  let arrived = 0
  let next = from
  if (reader.takeList())
    do {
      if (reader.peek() !== Byte.OPEN_LIST) throw nestingMismatch(target, axis + 1, 'a single element', reader.position)
      if (arrived < size) next = readNested(reader, target, axis + 1, next)
      else reader.skipValue()
      arrived++
    } while (reader.moreElements())
  if (arrived !== size) throw nestingMismatch(target, axis, `a list of ${arrived}`, offset)
  return next
}

function nestingMismatch(target: Target, axis: number, arrived: string, offset: number): Error {
  const { name, shape } = target
  return TensorErrors.NESTING_MISMATCH({ input: name, shape, axis, arrived, offset })
}

function lengthMismatch(reader: JsonReader, name: string, shape: readonly number[], expected: number): Error {
  return TensorErrors.LENGTH_MISMATCH({ input: name, shape, expected, elements: countLeaves(reader) })
}

function countLeaves(reader: JsonReader): number {
  if (reader.peek() !== Byte.OPEN_LIST) {
    reader.skipValue()
    return 1
  }
  let count = 0
  if (reader.takeList())
    do count += countLeaves(reader)
    while (reader.moreElements())
  return count
}

function inferAxis(reader: JsonReader, shape: number[], axis: number): void {
  if (reader.peek() !== Byte.OPEN_LIST) {
    reader.skipValue()
    return
  }
  let size = 0
  shape.push(0)
  if (reader.takeList())
    do {
      if (size++ === 0) inferAxis(reader, shape, axis + 1)
      else reader.skipValue()
    } while (reader.moreElements())
  shape[axis] = size
}

function readElement(reader: JsonReader, target: Target, index: number): void {
  const { data, datatype } = target
  switch (datatype) {
    case 'FP32':
      ;(data as Float32Array)[index] = readFloat32(reader, target, index)
      return
    case 'FP64':
      ;(data as Float64Array)[index] = readFloat(reader, target, index, 'a number within the range of FP64')
      return
    case 'INT64':
      ;(data as BigInt64Array)[index] = readInteger64(reader, target, index, MIN_INT64, MAX_INT64)
      return
    case 'UINT64':
      ;(data as BigUint64Array)[index] = readInteger64(reader, target, index, 0n, MAX_UINT64)
      return
    case 'INT32':
      ;(data as Int32Array)[index] = readInteger(reader, target, index, -2147483648, 2147483647)
      return
    case 'UINT32':
      ;(data as Uint32Array)[index] = readInteger(reader, target, index, 0, 4294967295)
      return
    case 'INT16':
      ;(data as Int16Array)[index] = readInteger(reader, target, index, -32768, 32767)
      return
    case 'UINT16':
      ;(data as Uint16Array)[index] = readInteger(reader, target, index, 0, 65535)
      return
    case 'INT8':
      ;(data as Int8Array)[index] = readInteger(reader, target, index, -128, 127)
      return
    case 'UINT8':
      ;(data as Uint8Array)[index] = readInteger(reader, target, index, 0, 255)
      return
    case 'BOOL': {
      const byte = reader.peek()
      if (byte !== Byte.t && byte !== Byte.f) throw invalidElement(reader, target, index, 'true or false')
      ;(data as Uint8Array)[index] = reader.takeBoolean() ? 1 : 0
      return
    }
    case 'BYTES':
      ;(data as Buffer[])[index] = readBytes(reader, target, index)
      return
    case 'FP16':
      ;(data as Uint16Array)[index] = readHalf(reader, target, index, numberToFloat16, 0x7c00, 'from -65504 to 65504')
      return
    case 'BF16':
      ;(data as Uint16Array)[index] = readHalf(
        reader,
        target,
        index,
        numberToBfloat16,
        0x7f80,
        'within the range of BF16',
      )
      return
    default:
      datatype satisfies never
  }
}

function readFloat32(reader: JsonReader, target: Target, index: number): number {
  if (!reader.isNumberNext()) return readNonFiniteString(reader, target, index, 'a number')
  const start = reader.position
  const value = reader.takeFloat32()
  if (!Number.isFinite(value)) checkNonFinite(reader, target, index, start, 'a number within the range of FP32')
  return value
}

function readFloat(reader: JsonReader, target: Target, index: number, expected: string): number {
  if (!reader.isNumberNext()) return readNonFiniteString(reader, target, index, 'a number')
  const start = reader.position
  const value = reader.takeNumber()
  if (!Number.isFinite(value)) checkNonFinite(reader, target, index, start, expected)
  return value
}

function readHalf(
  reader: JsonReader,
  target: Target,
  index: number,
  round: (value: number) => number,
  infinity: number,
  range: string,
): number {
  const expected = `a number ${range}`
  const start = reader.start()
  const value = readFloat(reader, target, index, expected)
  const bits = round(value)
  if ((bits & 0x7fff) === infinity && Number.isFinite(value)) {
    reader.position = start
    throw invalidElement(reader, target, index, expected)
  }
  return bits
}

function readInteger(reader: JsonReader, target: Target, index: number, min: number, max: number): number {
  if (reader.isNumberNext()) {
    const start = reader.position
    const value = reader.takeNumber()
    if (value >= min && value <= max && Number.isInteger(value)) return value
    reader.position = start
  }
  throw invalidElement(reader, target, index, `a whole number from ${min} to ${max}`)
}

const MIN_INT64 = -(2n ** 63n)
const MAX_INT64 = 2n ** 63n - 1n
const MAX_UINT64 = 2n ** 64n - 1n

function readInteger64(reader: JsonReader, target: Target, index: number, min: bigint, max: bigint): bigint {
  if (reader.isNumberNext()) {
    const start = reader.position
    const value = reader.takeNumber()
    if (Number.isSafeInteger(value) && (value >= 0 || min !== 0n)) return BigInt(value)
    const literal = reader.literalSince(start)
    if (Number.isFinite(value) && isWhole(literal)) {
      const exact = BigInt(literal)
      if (exact >= min && exact <= max) return exact
    }
    reader.position = start
  }
  throw invalidElement(reader, target, index, `a whole number from ${min} to ${max}`)
}

function readBytes(reader: JsonReader, target: Target, index: number): Buffer {
  const byte = reader.peek()
  if (byte === Byte.QUOTE) return reader.takeUtf8()
  const { acceptsBase64 } = target.options
  if (byte !== Byte.OPEN_OBJECT || !acceptsBase64)
    throw invalidElement(reader, target, index, acceptsBase64 ? 'a string or {"b64": "…"}' : 'a string')
  const start = reader.position
  let bytes: Buffer | undefined
  if (reader.takeObject())
    do {
      if (reader.readKey() === 'b64' && bytes === undefined && reader.peek() === Byte.QUOTE)
        bytes = decodeBase64(reader.takeString())
      else {
        bytes = undefined
        break
      }
    } while (reader.moreMembers())
  if (bytes !== undefined) return bytes
  reader.position = start
  throw invalidElement(reader, target, index, 'a string or {"b64": "…"} with valid base64')
}

/** Undefined when the text is not base64 (either alphabet, padding optional). */
export function decodeBase64(text: string): Buffer | undefined {
  return /^[A-Za-z0-9+/_-]*={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined
}

function readNonFiniteString(reader: JsonReader, target: Target, index: number, expected: string): number {
  if (reader.peek() === Byte.QUOTE) {
    const start = reader.position
    const text = reader.takeString()
    if (text === 'NaN') return Number.NaN
    if (text === 'Infinity') return Number.POSITIVE_INFINITY
    if (text === '-Infinity') return Number.NEGATIVE_INFINITY
    reader.position = start
  }
  throw invalidElement(reader, target, index, expected)
}

/** An infinity is right where the token says so, and wrong where a number was too large. */
function checkNonFinite(reader: JsonReader, target: Target, index: number, start: number, expected: string): void {
  if (reader.isTokenAt(start)) return
  reader.position = start
  throw invalidElement(reader, target, index, expected)
}

/** Passes over the element, so that a broken document is reported as that. */
function invalidElement(reader: JsonReader, target: Target, index: number, expected: string): Error {
  const { name, datatype, shape } = target
  const isList = reader.peek() === Byte.OPEN_LIST
  const offset = reader.position
  reader.skipValue()
  if (isList) return nestingMismatch(target, shape.length, 'a list', offset)
  const near = reader.near(offset, reader.position)
  return TensorErrors.ELEMENT_INVALID({ input: name, index, datatype, expected, offset, near })
}
