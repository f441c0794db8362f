// Test predictions, through the whole leaf, before a version takes traffic: a model that cannot answer is found out here.
import type { Deadline } from '../flow/index.js'
import { allocate, elementCount, type Signature, type Tensor, type TensorMap } from '../tensor/index.js'
import type { Leaf } from './types.js'

/** Rejects with what the first failing prediction rejects with. */
export async function warmUp(
  leaf: Leaf,
  signature: Signature,
  inputs: readonly TensorMap[],
  deadline: Deadline,
): Promise<void> {
  const tests = inputs.length > 0 ? inputs : [zeroInputs(signature)]
  const call = (tensors: TensorMap) =>
    leaf.call({ tensors, rows: 1, outputs: undefined, cancelled: false, isTest: true }, deadline)
  for (const tensors of tests) await call(tensors)
  // Two at once share a run: a model that cannot be batched, whatever its signature says, gives itself away before a caller
  // pays for it.
  await Promise.all([call(tests[0]!), call(tests.at(-1)!)])
}

/** Zeros, empty strings and one of whatever the signature leaves open. */
export function zeroInputs(signature: Signature): TensorMap {
  const inputs = new Map<string, Tensor>()
  for (const { name, datatype, shape: spec } of signature.inputs) {
    const shape = spec.map((size) => (size === -1 ? 1 : size))
    inputs.set(name, { name, datatype, shape, data: allocate(datatype, elementCount(shape)) })
  }
  return inputs
}
