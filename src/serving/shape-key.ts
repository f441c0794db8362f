// Which calls can share a run: those that agree on every size the signature leaves open, the number of rows aside.
import type { Signature, TensorMap } from '../tensor/index.js'

export type ShapeKey = number | string

/** A function that gives calls of equal shape equal keys. The usual model, with only the rows open, has one key for all. */
export function createShapeKey(signature: Signature): (tensors: TensorMap) => ShapeKey {
  const open: { readonly input: string; readonly axis: number }[] = []
  for (const { name, shape } of signature.inputs)
    for (let axis = 1; axis < shape.length; axis++) if (shape[axis] === -1) open.push({ input: name, axis })
  const first = open[0]
  if (first === undefined) return () => 0
  if (open.length === 1) return (tensors) => tensors.get(first.input)!.shape[first.axis]!
  return (tensors) => {
    let key = ''
    for (let i = 0; i < open.length; i++) key += `${tensors.get(open[i]!.input)!.shape[open[i]!.axis]},`
    return key
  }
}
