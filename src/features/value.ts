// What a feature's value can be. One set of types for files, streams, the online store, transforms and tensors.

/**
 * `int64` and `timestamp` are numbers where those are exact, which timestamps (milliseconds since the Unix epoch, UTC) always are, and
 * bigints beyond 2^53. `float32[n]` is a vector of n numbers: an embedding.
 */
export type ScalarType = 'float64' | 'float32' | 'int64' | 'int32' | 'bool' | 'string' | 'timestamp'
export type ListType = 'float64[]' | 'int64[]' | 'string[]' | 'bool[]'
export type VectorType = `float32[${number}]`
export type ValueType = ScalarType | ListType | VectorType

export type Scalar = number | bigint | string | boolean
/** null is "there is none". NaN in a source means the same and is read as null: nothing downstream ever sees NaN. */
export type Value = Scalar | readonly Scalar[] | Float32Array | null

/** The TypeScript type of a value of a type, without null. */
export type ValueOf<T extends ValueType> = T extends 'float64' | 'float32' | 'int32' | 'timestamp'
  ? number
  : T extends 'int64'
    ? number | bigint
    : T extends 'bool'
      ? boolean
      : T extends 'string'
        ? string
        : T extends 'float64[]'
          ? readonly number[]
          : T extends 'int64[]'
            ? readonly (number | bigint)[]
            : T extends 'string[]'
              ? readonly string[]
              : T extends 'bool[]'
                ? readonly boolean[]
                : Float32Array

export type KeyType = 'string' | 'int64'
