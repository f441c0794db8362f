// Whether a served value is the one that history gives, and how far off it is.
import type { Scalar, Value, ValueType } from '../value.js'
import { cosineDistance, editDistance, relativeError, vectorError } from './distances.js'

export interface Difference {
  readonly kind: 'mismatch' | 'missing' | 'extra'
  readonly served: Value
  readonly offline: Value
  readonly relativeError: number | undefined
  readonly editDistance: number | undefined
  readonly cosineDistance: number | undefined
}

/** undefined: they are the same, floats up to `tolerance`. */
export function differenceOf(
  type: ValueType,
  served: Value,
  offline: Value,
  tolerance: number,
): Difference | undefined {
  if (served === null || offline === null) {
    if (served === offline) return undefined
    return {
      kind: served === null ? 'missing' : 'extra',
      served,
      offline,
      relativeError: undefined,
      editDistance: undefined,
      cosineDistance: undefined,
    }
  }
  const mismatch = (parts: Partial<Difference>): Difference => ({
    kind: 'mismatch',
    served,
    offline,
    relativeError: undefined,
    editDistance: undefined,
    cosineDistance: undefined,
    ...parts,
  })
  if (type.startsWith('float32[')) {
    const a = vectorOf(served)
    const b = vectorOf(offline)
    const error = vectorError(a, b)
    return error <= tolerance ? undefined : mismatch({ relativeError: error, cosineDistance: cosineDistance(a, b) })
  }
  if (Array.isArray(served) || Array.isArray(offline)) {
    if (!Array.isArray(served) || !Array.isArray(offline)) return mismatch({ editDistance: 1 })
    const isSame = type === 'float64[]' ? (x: Scalar, y: Scalar) => isClose(x, y, tolerance) : isEqual
    const a: readonly Scalar[] = served
    const b: readonly Scalar[] = offline
    if (a.length === b.length && a.every((item, i) => isSame(item, b[i]!))) return undefined
    return mismatch({ editDistance: editDistance(a, b, isSame) })
  }
  const isFloat = type === 'float64' || type === 'float32'
  if (isFloat || type === 'int64' || type === 'int32') {
    if (!isNumber(served) || !isNumber(offline)) return mismatch({ relativeError: 1 })
    const [a, b] = type === 'float32' ? [Math.fround(Number(served)), Math.fround(Number(offline))] : [served, offline]
    const error = relativeError(a, b)
    return error === 0 || (isFloat && error <= tolerance) ? undefined : mismatch({ relativeError: error })
  }
  return isEqual(served as Scalar, offline as Scalar) ? undefined : mismatch({})
}

const isNumber = (value: Value): value is number | bigint => typeof value === 'number' || typeof value === 'bigint'

/** A log may give 3 where history gives 3n. */
const isEqual = (a: Scalar, b: Scalar): boolean =>
  a === b ||
  (isNumber(a) && isNumber(b) && typeof a !== typeof b && relativeError(a, b) === 0 && BigInt(a) === BigInt(b))

const isClose = (a: Scalar, b: Scalar, tolerance: number): boolean =>
  isNumber(a) && isNumber(b) ? relativeError(a, b) <= tolerance : a === b

const vectorOf = (value: Value): Float32Array =>
  value instanceof Float32Array ? value : Float32Array.from(Array.isArray(value) ? value.map(Number) : [])
