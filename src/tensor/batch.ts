// Joins tensors along axis 0 and takes rows out again. Rows come out as views on the same memory: nothing is copied.
import { allocate, ELEMENT_BYTES, type TensorData, viewData } from './datatype.js'
import { elementCount, type Tensor } from './tensor.js'

/** Whether tensors agree on datatype and on every axis but the first. */
export function canConcatenate(tensors: readonly Tensor[]): boolean {
  const first = tensors[0]!
  for (let i = 1; i < tensors.length; i++) {
    const { datatype, shape } = tensors[i]!
    if (datatype !== first.datatype || shape.length !== first.shape.length) return false
    for (let axis = 1; axis < shape.length; axis++) if (shape[axis] !== first.shape[axis]) return false
  }
  return true
}

/** One tensor with the rows of all, in order. Only for tensors that fit (`canConcatenate`); this is not checked again. */
export function concatenateRows(tensors: readonly Tensor[]): Tensor {
  const first = tensors[0]!
  if (tensors.length === 1) return first
  let rows = 0
  let length = 0
  for (let i = 0; i < tensors.length; i++) {
    rows += tensors[i]!.shape[0]!
    length += tensors[i]!.data.length
  }
  const { name, datatype } = first
  const data = allocate(datatype, length)
  let at = 0
  for (let i = 0; i < tensors.length; i++) {
    const part = tensors[i]!.data
    copyInto(data, part, at)
    at += part.length
  }
  return { name, datatype, shape: withRows(first.shape, rows), data }
}

/**
 * One tensor whose rows come in pieces, in any order. Each is copied to its place when it comes: copying 60 MB at the end would hold
 * the event loop for 100 ms.
 */
export class RowsInPieces {
  /** Not to be read before every row has come. */
  readonly tensor: Tensor
  readonly #rowLength: number

  /** For `rows` rows like those of `first`, which is not put yet. */
  constructor(first: Tensor, rows: number) {
    const { name, datatype, shape } = first
    this.#rowLength = elementCount(shape.slice(1))
    const length = rows * this.#rowLength
    const data =
      datatype === 'BYTES'
        ? allocate(datatype, length)
        : viewData(datatype, Buffer.allocUnsafeSlow(length * ELEMENT_BYTES[datatype]), length)
    this.tensor = { name, datatype, shape: withRows(shape, rows), data }
  }

  /** Takes exactly `rows` rows; false when the piece has others, or does not fit those before it. */
  put(piece: Tensor, startRow: number, rows: number): boolean {
    const { tensor } = this
    const isWhole = piece.shape[0] === rows && piece.data.length === rows * this.#rowLength
    if (!isWhole || !canConcatenate([tensor, piece])) return false
    copyInto(tensor.data, piece.data, startRow * this.#rowLength)
    return true
  }
}

/** Rows `start` to `start + rows` of a tensor, on the same memory; a list of BYTES is a new list of the same Buffers. */
export function sliceRows(tensor: Tensor, start: number, rows: number): Tensor {
  const { name, datatype, shape } = tensor
  const rowLength = elementCount(shape) / shape[0]!
  const from = start * rowLength
  const data = viewOf(tensor.data, from, from + rows * rowLength)
  return { name, datatype, shape: withRows(shape, rows), data }
}

function withRows(shape: readonly number[], rows: number): number[] {
  const copy = shape.slice()
  copy[0] = rows
  return copy
}

function copyInto(target: TensorData, part: TensorData, at: number): void {
  if (Array.isArray(target)) {
    for (let i = 0; i < part.length; i++) target[at + i] = part[i] as Buffer
  } else {
    // Both are the same kind of typed array; Float32Array stands for all of them.
    ;(target as Float32Array).set(part as Float32Array, at)
  }
}

function viewOf(data: TensorData, from: number, to: number): TensorData {
  return Array.isArray(data) ? data.slice(from, to) : (data as Float32Array).subarray(from, to)
}
