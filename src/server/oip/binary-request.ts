// What a request has beside or in place of JSON: tensors behind it, or nothing but the data of its single input.
import {
  BINARY_INLINE_BYTES,
  ELEMENT_BYTES,
  elementCount,
  MAX_STRINGS,
  readBinaryTensor,
  readBinaryTensorInTurns,
  type Signature,
  TensorErrors,
} from '../../tensor/index.js'
import { OipErrors } from './errors.js'
import type { InferRequest } from './types.js'

/** So many strings are read within 2 ms. */
const STRINGS_INLINE = 16_384

/**
 * The request with the data of its binary inputs, which follow each other in `binary`; they may be views of it. Rejects with
 * OIP_BINARY_TOO_SHORT, OIP_BINARY_TOO_LONG, TENSOR_SHAPE_INVALID, TENSOR_BINARY_LENGTH and TENSOR_STRINGS_TOO_MANY.
 */
export async function readBinaryInputs(request: InferRequest, binary: Uint8Array): Promise<InferRequest> {
  const inputs = new Map(request.inputs)
  let at = 0
  let strings = 0
  let bytesInTurn = 0
  for (const { name, sizeBytes } of request.binaryInputs) {
    const { datatype, shape } = inputs.get(name)!
    const leftBytes = binary.length - at
    if (sizeBytes > leftBytes) throw OipErrors.BINARY_TOO_SHORT({ input: name, sizeBytes, leftBytes })
    const bytes = binary.subarray(at, at + sizeBytes)
    at += sizeBytes
    const isText = datatype === 'BYTES'
    // No more than the bytes can hold, whatever the shape says.
    if (isText) strings += Math.min(elementCount(shape), sizeBytes / 4)
    if (strings > MAX_STRINGS) throw TensorErrors.STRINGS_TOO_MANY({ input: name, limit: MAX_STRINGS })
    bytesInTurn += sizeBytes
    const isLarge = bytesInTurn > BINARY_INLINE_BYTES || (isText && strings > STRINGS_INLINE)
    if (isLarge) {
      bytesInTurn = 0
      await new Promise((resolve) => setImmediate(resolve))
    }
    const data = isLarge
      ? await readBinaryTensorInTurns(bytes, name, datatype, shape)
      : readBinaryTensor(bytes, name, datatype, shape)
    inputs.set(name, { name, datatype, shape, data })
  }
  if (at < binary.length) throw OipErrors.BINARY_TOO_LONG({ leftBytes: binary.length - at })
  return { ...request, inputs }
}

/**
 * A body that is the data of a model's only input: one row of it, and the size of one axis follows from the body's. For BYTES it is
 * one element, without its length before it, as Triton has it. Rejects with OIP_RAW_UNSUPPORTED and as `readBinaryInputs`.
 */
export async function readRawRequest(body: Uint8Array, signature: Signature): Promise<InferRequest> {
  const { inputs, batchAxis } = signature
  const [spec] = inputs
  if (spec === undefined || inputs.length > 1)
    throw OipErrors.RAW_UNSUPPORTED({ reason: `the model has ${inputs.length} inputs` })
  const { name, datatype } = spec
  const shape = spec.shape.slice()
  if (batchAxis === 0) shape[0] = 1
  const request: InferRequest = {
    id: undefined,
    parameters: {},
    inputs: new Map(),
    outputs: undefined,
    outputParameters: new Map(),
    rawInputs: undefined,
    binaryInputs: [],
    isRaw: true,
  }
  if (datatype === 'BYTES') {
    const sizes = shape.map((size) => (size === -1 ? 1 : size))
    if (elementCount(sizes) !== 1)
      throw OipErrors.RAW_UNSUPPORTED({ reason: `its input "${name}" takes more than one element of BYTES` })
    const element = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    return { ...request, inputs: new Map([[name, { name, datatype, shape: sizes, data: [element] }]]) }
  }
  const axis = shape.indexOf(-1)
  if (axis !== shape.lastIndexOf(-1))
    throw OipErrors.RAW_UNSUPPORTED({ reason: `more than one axis of its input "${name}" is of any size` })
  if (axis !== -1) {
    shape[axis] = 1
    // What is no whole number is refused as a shape that the data does not fit.
    shape[axis] = Math.floor(body.length / (elementCount(shape) * ELEMENT_BYTES[datatype])) || 0
  }
  const data = await readBinaryTensorInTurns(body, name, datatype, shape)
  return { ...request, inputs: new Map([[name, { name, datatype, shape, data }]]) }
}
