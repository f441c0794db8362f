// The stored format of a row, version 1:
//
//   1, eventMs and knownMs as big-endian doubles, the number of values, the values; each value is a tag and what it says.
//
// Values say their own types, so that a row is read without its view; a whole number takes two or three bytes.
import { FeatureErrors } from '../errors.js'
import type { Scalar, Value } from '../value.js'
import { ByteReader, type ByteWriter } from './bytes.js'

export const ROW_FORMAT = 1

const NULL = 0
const FLOAT64 = 1
/** Zigzag: small numbers of both signs are short. */
const INT32 = 2
/** A number that is exact in 32 bits of floating point. */
const FLOAT32 = 3
const BIGINT = 4
const FALSE = 5
const TRUE = 6
const TEXT = 7
const LIST = 8
const VECTOR = 9

export interface DecodedRow {
  readonly eventMs: number
  readonly knownMs: number
  readonly values: readonly Value[]
}

export function encodeRow(into: ByteWriter, eventMs: number, knownMs: number, values: readonly Value[]): void {
  into.u8(ROW_FORMAT)
  into.f64be(eventMs)
  into.f64be(knownMs)
  encodeValues(into, values)
}

/** Throws FEATURE_ROW_CORRUPT. */
export function decodeRow(bytes: Buffer): DecodedRow {
  const from = new ByteReader(bytes)
  const row = readRow(from)
  if (from.left > 0) throw FeatureErrors.ROW_CORRUPT({ problem: `${from.left} bytes follow its end` })
  return row
}

export function readRow(from: ByteReader): DecodedRow {
  const format = from.u8()
  if (format !== ROW_FORMAT) throw FeatureErrors.ROW_CORRUPT({ problem: `its format is ${format}, not ${ROW_FORMAT}` })
  return { eventMs: from.f64be(), knownMs: from.f64be(), values: decodeValues(from) }
}

export function encodeValues(into: ByteWriter, values: readonly Value[]): void {
  into.varint(values.length)
  for (let i = 0; i < values.length; i++) encodeValue(into, values[i]!)
}

export function decodeValues(from: ByteReader): Value[] {
  const length = lengthOf(from)
  const values = new Array<Value>(length)
  for (let i = 0; i < length; i++) values[i] = decodeValue(from)
  return values
}

function encodeValue(into: ByteWriter, value: Value): void {
  switch (typeof value) {
    case 'number':
      encodeNumber(into, value)
      break
    case 'string':
      into.u8(TEXT)
      into.text(value)
      break
    case 'boolean':
      into.u8(value ? TRUE : FALSE)
      break
    case 'bigint':
      into.u8(BIGINT)
      into.i64(value)
      break
    default:
      if (value === null) {
        into.u8(NULL)
      } else if (value instanceof Float32Array) {
        into.u8(VECTOR)
        into.varint(value.length)
        for (let i = 0; i < value.length; i++) into.f32(value[i]!)
      } else {
        into.u8(LIST)
        encodeValues(into, value)
      }
  }
}

function encodeNumber(into: ByteWriter, value: number): void {
  if (Object.is(value | 0, value)) {
    into.u8(INT32)
    into.varint(((value << 1) ^ (value >> 31)) >>> 0)
  } else if (Math.fround(value) === value) {
    into.u8(FLOAT32)
    into.f32(value)
  } else {
    into.tagged(FLOAT64, value)
  }
}

function decodeValue(from: ByteReader): Value {
  const tag = from.u8()
  switch (tag) {
    case NULL:
      return null
    case FLOAT64:
      return from.f64()
    case INT32: {
      const zigzag = from.varint()
      return (zigzag >>> 1) ^ -(zigzag & 1)
    }
    case FLOAT32:
      return from.f32()
    case BIGINT:
      return from.i64()
    case FALSE:
      return false
    case TRUE:
      return true
    case TEXT:
      return from.text()
    case LIST:
      return decodeValues(from) as Scalar[]
    case VECTOR: {
      const vector = new Float32Array(lengthOf(from, 4))
      for (let i = 0; i < vector.length; i++) vector[i] = from.f32()
      return vector
    }
    default:
      throw FeatureErrors.ROW_CORRUPT({ problem: `it has a value of the unknown kind ${tag}` })
  }
}

/** Damage must not make us allocate more than could be there. */
function lengthOf(from: ByteReader, itemBytes = 1): number {
  const length = from.varint()
  if (length * itemBytes > from.left) throw FeatureErrors.ROW_CORRUPT({ problem: 'it ends too early' })
  return length
}
