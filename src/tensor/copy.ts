// Copies of large data in slices, so that other work gets its turn: 13 MB at once hold the event loop for 5 to 10 ms.
import type { TensorData } from './datatype.js'

type Numbers = Exclude<TensorData, Buffer[]>

const SLICE_BYTES = 1024 * 1024

/** A copy in memory of its own; what is no larger than a slice is copied at once. */
export async function copyData<T extends Numbers>(data: T): Promise<T> {
  if (data.byteLength <= SLICE_BYTES) return data.slice() as T
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const copy = new Uint8Array(data.byteLength)
  for (let start = 0; start < bytes.length; start += SLICE_BYTES) {
    copy.set(bytes.subarray(start, start + SLICE_BYTES), start)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const Same = data.constructor as new (buffer: ArrayBuffer) => T
  return new Same(copy.buffer)
}
