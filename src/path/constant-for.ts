// A constant's answer in the place of a version: its outputs may go by the names of the graph or by those of the native reply.
import { type Constant, type ConstantValue, constantAnswer } from '../route/index.js'
import type { ServedVersion } from '../serving/index.js'
import type { TensorMap } from '../tensor/index.js'
import { outputsOf } from './outputs-of.js'

/** Throws ROUTE_CONSTANT_MISMATCH. */
export function constantFor(constant: Constant, served: ServedVersion, rows: number): TensorMap {
  const specs = outputsOf(served)
  const outputs: Record<string, ConstantValue> = {}
  for (const [name, value] of Object.entries(constant.outputs)) {
    const isGraphs = served.signature.outputs.some((output) => output.name === name)
    outputs[isGraphs ? name : (specs.find((spec) => spec.name === name)?.tensor ?? name)] = value
  }
  return constantAnswer({ ...constant, outputs }, served.signature, rows)
}
