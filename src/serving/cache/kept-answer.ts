// Answers as the cache keeps them: in memory of their own. What a leaf answers with are views on a whole batch's outputs, which
// would keep the batch alive, and memory that somebody may write again.
import type { Tensor, TensorData, TensorMap } from '../../tensor/index.js'

/**
 * What an entry of the cache weighs without its data and key, and what each tensor and each element of BYTES adds: objects, array
 * headers, its place in the map and its share of the sketch. Measured on Node 20 with bench/cache, 22 November 2026.
 */
const ENTRY_BYTES = 420
const TENSOR_BYTES = 380
const ELEMENT_BYTES = 100

/** Bytes that keeping this answer under this key costs. */
export function keptBytes(outputs: TensorMap, key: string): number {
  let sizeBytes = ENTRY_BYTES + key.length
  for (const { data } of outputs.values()) {
    sizeBytes += TENSOR_BYTES
    if (!Array.isArray(data)) sizeBytes += data.byteLength
    else for (let i = 0; i < data.length; i++) sizeBytes += ELEMENT_BYTES + data[i]!.length
  }
  return sizeBytes
}

/** A copy that shares nothing with the original. */
export function keepAnswer(outputs: TensorMap): TensorMap {
  const kept = new Map<string, Tensor>()
  for (const [name, { datatype, shape, data }] of outputs)
    kept.set(name, { name, datatype, shape: shape.slice(), data: copyOf(data) })
  return kept
}

function copyOf(data: TensorData): TensorData {
  if (!Array.isArray(data)) return data.slice()
  let sizeBytes = 0
  for (let i = 0; i < data.length; i++) sizeBytes += data[i]!.length
  // Not from Node's shared pool, of which an entry would keep 8 KiB.
  const all = Buffer.allocUnsafeSlow(sizeBytes)
  let at = 0
  return data.map((bytes) => {
    const end = at + bytes.copy(all, at)
    const element = all.subarray(at, end)
    at = end
    return element
  })
}
