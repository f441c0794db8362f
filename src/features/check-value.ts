// Untrusted values (JSON, files, messages) as values of a declared type. The one place that says what fits which type.
import { FeatureErrors } from './errors.js'
import type { Scalar, ScalarType, Value, ValueType } from './value.js'

/**
 * The value as one of `type`; null where there is none (null, undefined, NaN). Whole numbers may come as decimal text and leave as bigints
 * beyond 2^53 only; a timestamp may be milliseconds, a Date or ISO 8601 text, without a zone in UTC. `what` names the value in the message.
 * Throws FEATURE_VALUE_TYPE.
 */
export function checkValue(type: ValueType, value: unknown, what = 'The value'): Value {
  if (value === null || value === undefined) return null
  switch (type) {
    case 'float64':
    case 'float32':
    case 'int64':
    case 'int32':
    case 'bool':
    case 'string':
    case 'timestamp': {
      if (typeof value === 'number' && Number.isNaN(value)) return null
      const scalar = scalarOf(type, value)
      return scalar === undefined ? refuse(type, value, what) : scalar
    }
    case 'float64[]':
    case 'int64[]':
    case 'string[]':
    case 'bool[]':
      return checkList(type, value, what)
    default:
      return checkVector(type, value, what)
  }
}

/**
 * The same of what comes from outside: a moment may be a number in any unit, as `millisecondsOf` has it. What this process made or kept
 * is in milliseconds, and goes through `checkValue`. Text with half a character is refused: no file that others read can hold it. Throws
 * FEATURE_VALUE_TYPE.
 */
export function checkArrived(type: ValueType, value: unknown, what = 'The value'): Value {
  const checked = checkValue(type, type === 'timestamp' ? inMilliseconds(value) : value, what)
  if (type === 'string') return wellFormed(type, checked, what)
  if (type === 'string[]') for (const text of (checked ?? []) as readonly string[]) wellFormed(type, text, what)
  return checked
}

function wellFormed(type: ValueType, text: Value, what: string): Value {
  return typeof text !== 'string' || isWellFormed(text) ? text : refuse(type, text, what)
}

const LONE_SURROGATE = /\p{Surrogate}/u

export function isWellFormed(text: string): boolean {
  return !LONE_SURROGATE.test(text)
}

const NUMBER_TEXT = /^\s*[+-]?\d+(\.\d+)?\s*$/

function inMilliseconds(value: unknown): unknown {
  if (typeof value === 'number' || typeof value === 'bigint') return millisecondsOf(Number(value))
  return typeof value === 'string' && NUMBER_TEXT.test(value) ? millisecondsOf(Number(value)) : value
}

/**
 * Milliseconds since the epoch of a number whose unit shows by its size: below 10^11 seconds, below 10^14 milliseconds, below 10^17
 * microseconds, else nanoseconds. Whole; what a double cannot hold of a unit is rounded to microseconds first. Sources that are read in
 * SQL do the very same (offline/value-sql.ts, offline/postgres-sql.ts), or a column would mean one thing in a stream and another in a file.
 */
export function millisecondsOf(number: number): number {
  const size = Math.abs(number)
  if (size < 1e11) return Math.floor(Math.floor(number * 1e6 + 0.5) / 1e3)
  if (size < 1e14) return Math.floor(number)
  if (size < 1e17) return Math.floor(number / 1e3)
  return Math.floor(Math.floor(number / 1e3 + 0.5) / 1e3)
}

const SCALARS: readonly string[] = ['float64', 'float32', 'int64', 'int32', 'bool', 'string', 'timestamp']
const LISTS: readonly string[] = ['float64[]', 'int64[]', 'string[]', 'bool[]']
const MAX_VECTOR = 65_536

export function isValueType(type: unknown): type is ValueType {
  return (
    typeof type === 'string' && (SCALARS.includes(type) || LISTS.includes(type) || vectorLength(type) !== undefined)
  )
}

/** n of `float32[n]`, from 1 to 65,536; undefined for every other type. */
export function vectorLength(type: string): number | undefined {
  const known = lengths.get(type)
  if (known !== undefined) return known === 0 ? undefined : known
  const match = /^float32\[([1-9]\d{0,5})\]$/.exec(type)
  const length = match && Number(match[1]) <= MAX_VECTOR ? Number(match[1]) : 0
  if (lengths.size < 10_000) lengths.set(type, length)
  return length === 0 ? undefined : length
}
const lengths = new Map<string, number>()

const MIN_INT64 = -(2n ** 63n)
const MAX_INT64 = 2n ** 63n - 1n
const MAX_DATE_MS = 8.64e15
const FLOAT32_MAX = 3.4028234663852886e38

/** undefined: it is none. */
function scalarOf(type: ScalarType, value: unknown): Scalar | undefined {
  switch (type) {
    case 'float64':
      return typeof value === 'number' ? value : typeof value === 'bigint' ? Number(value) : undefined
    case 'float32': {
      const number = typeof value === 'bigint' ? Number(value) : value
      // A finite number that has no float32 would silently become Infinity.
      if (typeof number !== 'number' || (Number.isFinite(number) && Math.abs(number) > FLOAT32_MAX)) return undefined
      return Math.fround(number)
    }
    case 'int64':
      return parseInt64(value)
    case 'int32': {
      const number = parseInt64(value)
      return typeof number === 'number' && number === (number | 0) ? number : undefined
    }
    case 'bool':
      return typeof value === 'boolean' ? value : undefined
    case 'string':
      return typeof value === 'string' ? value : undefined
    case 'timestamp':
      return parseTimestampMs(value)
  }
}

/** A number where that is exact, else a bigint; undefined for what is no whole number of 64 bits. Numbers beyond 2^53 are refused: they may have been rounded on their way. */
export function parseInt64(value: unknown): number | bigint | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value + 0 : undefined
  if (typeof value === 'string') return /^[+-]?\d{1,20}$/.test(value) ? narrow(BigInt(value)) : undefined
  return typeof value === 'bigint' ? narrow(value) : undefined
}

function narrow(value: bigint): number | bigint | undefined {
  if (value < MIN_INT64 || value > MAX_INT64) return undefined
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

const ISO = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)?\s*(Z|z|[+-]\d{2}(?::?\d{2})?)?$/

/** Milliseconds since the epoch, whole; undefined for what is no moment. */
export function parseTimestampMs(value: unknown): number | undefined {
  if (typeof value === 'number' || typeof value === 'bigint') {
    const ms = Math.floor(Number(value))
    return Math.abs(ms) <= MAX_DATE_MS ? ms + 0 : undefined
  }
  if (value instanceof Date) return parseTimestampMs(value.getTime())
  if (typeof value !== 'string') return undefined
  const match = ISO.exec(value)
  if (!match) return undefined
  // Without a zone JavaScript would take the machine's.
  const zone = match[1]
  const local = (zone === undefined ? value : value.slice(0, -zone.length)).trim().replace(' ', 'T').replace(',', '.')
  const ms = Date.parse(local.length === 10 ? `${local}T00:00:00${zoneOf(zone)}` : `${local}${zoneOf(zone)}`)
  return Number.isNaN(ms) ? undefined : ms
}

/** As Date.parse takes it: `+02` and `+0200` are `+02:00`. */
function zoneOf(zone: string | undefined): string {
  if (zone === undefined || zone === 'z' || zone === 'Z') return 'Z'
  return `${zone.slice(0, 3)}:${zone.length > 3 ? zone.slice(-2) : '00'}`
}

function checkList(type: ValueType, value: unknown, what: string): readonly Scalar[] {
  const element = type.slice(0, -2) as ScalarType
  const list = Array.isArray(value) ? value : ArrayBuffer.isView(value) ? Array.from(value as Float64Array) : undefined
  if (list === undefined) return refuse(type, value, what)
  const checked = new Array<Scalar>(list.length)
  for (let i = 0; i < list.length; i++) {
    const scalar = scalarOf(element, list[i])
    if (scalar === undefined || Number.isNaN(scalar)) return refuse(type, list[i], `Entry ${i} of ${lower(what)}`)
    checked[i] = scalar
  }
  return checked
}

function checkVector(type: ValueType, value: unknown, what: string): Float32Array {
  const length = vectorLength(type)
  const list = Array.isArray(value) || ArrayBuffer.isView(value) ? (value as ArrayLike<unknown>) : undefined
  if (length === undefined || list === undefined || list.length !== length) return refuse(type, value, what)
  if (value instanceof Float32Array && !value.some(Number.isNaN)) return value
  const vector = new Float32Array(length)
  for (let i = 0; i < length; i++) {
    const number = scalarOf('float32', list[i])
    if (typeof number !== 'number' || Number.isNaN(number)) return refuse(type, list[i], `Entry ${i} of ${lower(what)}`)
    vector[i] = number
  }
  return vector
}

const lower = (what: string) => what.replace(/^(The|Column) /, (word) => word.toLowerCase())

function refuse(type: ValueType, value: unknown, what: string): never {
  const isRounded = type.startsWith('int64') && Number.isInteger(value) && !Number.isSafeInteger(value)
  const arrived = isRounded
    ? `${value}, a number that may have been rounded (text is taken beyond 2^53),`
    : describeArrived(value)
  throw FeatureErrors.VALUE_TYPE({ what, type, arrived })
}

/** What arrived, for a message: its kind, and short values as they are. */
export function describeArrived(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (ArrayBuffer.isView(value)) return `a list of ${(value as Float32Array).length}`
  switch (typeof value) {
    case 'string':
      if (!isWellFormed(value)) return 'text with half a character (a lone surrogate)'
      return `the text ${JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)}`
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value)
    case 'object':
      return 'an object'
    default:
      return `a ${typeof value}`
  }
}
