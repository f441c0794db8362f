// Which calls can share a run: those that agree on every size the signature leaves open, the number of rows aside.

import type { Signature, TensorMap } from '../tensor/index.js'
import type { Padding } from './padding.js'

export type ShapeKey = number | string

/**
 * A function that gives calls of equal shape equal keys. The usual model, with only the rows open, has one key for all. With padding,
 * lengths of one class are equal.
 */
export function createShapeKey(signature: Signature, padding?: Padding): (tensors: TensorMap) => ShapeKey {
  const open: { readonly input: string; readonly axis: number }[] = []
  for (const { name, shape } of signature.inputs)
    for (let axis = 1; axis < shape.length; axis++)
      if (shape[axis] === -1 && padding?.isPadded(name, axis) !== true) open.push({ input: name, axis })
  if (padding !== undefined) {
    const rest = open.length === 0 ? undefined : keyOf(open)
    return (tensors) => {
      const lengthClass = padding.lengthClass(padding.lengthOf(tensors))
      return rest === undefined ? lengthClass : `${lengthClass}/${rest(tensors)}`
    }
  }
  return keyOf(open)
}

function keyOf(open: readonly { readonly input: string; readonly axis: number }[]): (tensors: TensorMap) => ShapeKey {
  const first = open[0]
  if (first === undefined) return () => 0
  if (open.length === 1) return (tensors) => tensors.get(first.input)!.shape[first.axis]!
  return (tensors) => {
    let key = ''
    for (let i = 0; i < open.length; i++) key += `${tensors.get(open[i]!.input)!.shape[open[i]!.axis]},`
    return key
  }
}
