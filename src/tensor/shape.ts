// Whether a shape that arrived can be one: asked before anything is allocated or multiplied.
import { MAX_DIMENSIONS, TensorErrors } from './errors.js'
import { elementCount } from './tensor.js'

/** The number of elements, for a shape that can be one. Throws TENSOR_SHAPE_INVALID. */
export function checkedCount(name: string, shape: readonly number[]): number {
  if (shape.length > MAX_DIMENSIONS)
    throw TensorErrors.SHAPE_INVALID({ input: name, problem: `has ${shape.length} sizes` })
  for (let i = 0; i < shape.length; i++) {
    const size = shape[i]!
    if (!Number.isSafeInteger(size) || size < 0)
      throw TensorErrors.SHAPE_INVALID({ input: name, problem: `has the size ${size} on axis ${i}` })
  }
  const count = elementCount(shape)
  if (!Number.isSafeInteger(count))
    throw TensorErrors.SHAPE_INVALID({ input: name, problem: 'holds more elements than can be counted' })
  return count
}
