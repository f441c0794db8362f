// Tensors and signatures: what every model consumes and produces.
import type { DataType, TensorData } from './datatype.js'

/** `data` is row-major and holds exactly `elementCount(shape)` elements of `datatype`. */
export interface Tensor {
  readonly name: string
  readonly datatype: DataType
  readonly shape: readonly number[]
  readonly data: TensorData
}

/** Tensors by name. */
export type TensorMap = ReadonlyMap<string, Tensor>

/** -1 in `shape` accepts any size. */
export interface TensorSpec {
  readonly name: string
  readonly datatype: DataType
  readonly shape: readonly number[]
  /** A request may leave this input out. Default false. */
  readonly isOptional?: boolean
}

export interface Signature {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  /** 0 when the first axis of every input and output is the batch; null when runs cannot be joined. */
  readonly batchAxis: 0 | null
}

/** Product of the sizes; 1 for a scalar. Not a safe integer when the shape is absurd: check before allocating. */
export function elementCount(shape: readonly number[]): number {
  let count = 1
  for (let i = 0; i < shape.length; i++) count *= shape[i]!
  return count
}
