// Joins tensors along axis 0 and takes rows out again. Rows come out as views on the same memory: nothing is copied.
import { allocate, type TensorData } from './datatype.js'
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
