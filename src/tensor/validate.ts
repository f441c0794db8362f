// Tensors of a request against a model's signature, before anything is queued: a bad request must never reach a batch.
import { TensorErrors } from './errors.js'
import { elementCount, type Signature, type Tensor, type TensorMap, type TensorSpec } from './tensor.js'

/** Tensors by name; throws TENSOR_INPUT_DUPLICATE when two have the same one. */
export function tensorMap(tensors: readonly Tensor[]): TensorMap {
  const map = new Map<string, Tensor>()
  for (let i = 0; i < tensors.length; i++) map.set(tensors[i]!.name, tensors[i]!)
  if (map.size !== tensors.length) throw TensorErrors.INPUT_DUPLICATE({ input: firstDuplicate(tensors) })
  return map
}

/**
 * The number of rows in inputs that fit the signature; 1 for a model without a batch axis. Throws TENSOR_INPUT_MISSING,
 * TENSOR_INPUT_UNKNOWN, TENSOR_DATATYPE_MISMATCH, TENSOR_SHAPE_MISMATCH, TENSOR_LENGTH_MISMATCH, TENSOR_ROWS_MISMATCH,
 * TENSOR_ROWS_MISSING.
 */
export function validateInputs(inputs: TensorMap, signature: Signature): number {
  const specs = signature.inputs
  const batched = signature.batchAxis === 0
  let rows = 1
  let first: TensorSpec | undefined
  let present = 0
  for (let i = 0; i < specs.length; i++) {
    const spec = specs[i]!
    const tensor = inputs.get(spec.name)
    if (tensor === undefined) {
      if (spec.isOptional === true) continue
      throw TensorErrors.INPUT_MISSING({ input: spec.name, arrived: [...inputs.keys()] })
    }
    present++
    validateInput(tensor, spec, batched)
    if (!batched) continue
    if (first === undefined) {
      first = spec
      rows = tensor.shape[0]!
    } else if (tensor.shape[0] !== rows)
      throw TensorErrors.ROWS_MISMATCH({
        first: first.name,
        rows,
        input: spec.name,
        shape: tensor.shape,
      })
  }
  if (inputs.size !== present) {
    const known = specs.map((spec) => spec.name)
    const unknown = [...inputs.keys()].find((name) => !known.includes(name))!
    throw TensorErrors.INPUT_UNKNOWN({ input: unknown, known })
  }
  return rows
}

/** Throws TENSOR_OUTPUT_UNKNOWN for a requested output that the model does not have; undefined asks for all. */
export function validateOutputNames(names: readonly string[] | undefined, signature: Signature): void {
  if (names === undefined) return
  const specs = signature.outputs
  for (let i = 0; i < names.length; i++) {
    let found = false
    for (let j = 0; j < specs.length && !found; j++) found = specs[j]!.name === names[i]
    if (!found) throw TensorErrors.OUTPUT_UNKNOWN({ output: names[i]!, known: specs.map((spec) => spec.name) })
  }
}

function validateInput(tensor: Tensor, spec: TensorSpec, batched: boolean): void {
  const { name, datatype, shape } = tensor
  if (datatype !== spec.datatype)
    throw TensorErrors.DATATYPE_MISMATCH({ input: name, datatype, expected: spec.datatype })
  if (!fits(shape, spec.shape))
    throw TensorErrors.SHAPE_MISMATCH({ input: name, shape, expected: spec.shape, isBatched: batched })
  const expected = elementCount(shape)
  if (tensor.data.length !== expected)
    throw TensorErrors.LENGTH_MISMATCH({ input: name, shape, expected, elements: tensor.data.length })
  if (batched && shape[0] === 0) throw TensorErrors.ROWS_MISSING({ input: name, shape })
}

function fits(shape: readonly number[], expected: readonly number[]): boolean {
  if (shape.length !== expected.length) return false
  for (let i = 0; i < shape.length; i++) {
    const size = shape[i]!
    if (!Number.isSafeInteger(size) || size < 0) return false
    if (expected[i] !== -1 && expected[i] !== size) return false
  }
  return true
}

function firstDuplicate(tensors: readonly Tensor[]): string {
  const seen = new Set<string>()
  return tensors.find(({ name }) => seen.size === seen.add(name).size)!.name
}
