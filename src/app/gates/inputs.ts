// Made-up inputs for a version that brings no rows of its own.
import { allocate, elementCount, type Signature, type Tensor, type TensorMap } from '../../tensor/index.js'

/** Zeros, empty strings, and one of whatever the signature leaves open, for so many rows. */
export function zeroInputs(signature: Signature, rows = 1): TensorMap {
  const inputs = new Map<string, Tensor>()
  for (const { name, datatype, shape: spec } of signature.inputs) {
    const shape = spec.map((size, axis) => (axis === 0 && signature.batchAxis === 0 ? rows : size === -1 ? 1 : size))
    inputs.set(name, { name, datatype, shape, data: allocate(datatype, elementCount(shape)) })
  }
  return inputs
}
