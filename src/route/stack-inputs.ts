// What a stacked meta-model eats: for each of its inputs, the output of that name of every arm, joined along the last axis.
import { allocate, type Signature, shapeText, type Tensor, type TensorMap } from '../tensor/index.js'
import { RouteErrors } from './errors.js'

/**
 * An output [rows] counts as a column [rows, 1], so three arms give [rows, 3]. Throws ROUTE_COMBINE_MISMATCH when an arm lacks an
 * output or their datatypes or other axes differ.
 */
export function stackInputs(node: string, answers: readonly TensorMap[], signature: Signature): TensorMap {
  const inputs = new Map<string, Tensor>()
  for (const { name } of signature.inputs) {
    const columns = answers.map((answer) => {
      const output = answer.get(name)
      if (output) return output
      throw RouteErrors.COMBINE_MISMATCH({
        node,
        output: name,
        problem: `the meta-model has an input of that name, but an arm has only ${[...answer.keys()].join(', ')}`,
      })
    })
    inputs.set(name, joinLastAxis(node, columns))
  }
  return inputs
}

function joinLastAxis(node: string, tensors: readonly Tensor[]): Tensor {
  const { name, datatype } = tensors[0]!
  const shapes = tensors.map(({ shape }) => (shape.length < 2 ? [shape[0] ?? 1, 1] : shape))
  const outer = shapes[0]!.slice(0, -1)
  for (let i = 1; i < tensors.length; i++) {
    const shape = shapes[i]!
    const fits = shape.length === outer.length + 1 && outer.every((size, axis) => size === shape[axis])
    if (!fits || tensors[i]!.datatype !== datatype)
      throw RouteErrors.COMBINE_MISMATCH({
        node,
        output: name,
        problem: `${datatype} ${shapeText(tensors[0]!.shape)} and ${tensors[i]!.datatype} ${shapeText(tensors[i]!.shape)} cannot be joined`,
      })
  }
  const widths = shapes.map((shape) => shape.at(-1)!)
  const width = widths.reduce((sum, size) => sum + size, 0)
  const lines = outer.reduce((product, size) => product * size, 1)
  const data = allocate(datatype, lines * width)
  let at = 0
  for (let line = 0; line < lines; line++)
    for (let i = 0; i < tensors.length; i++) {
      const from = tensors[i]!.data
      const size = widths[i]!
      for (let j = 0; j < size; j++) data[at++] = from[line * size + j]!
    }
  return { name, datatype, shape: [...outer, width], data }
}
