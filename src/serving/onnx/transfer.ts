// Arrays of numbers cross threads by handing over their memory; an array that shows only a part of a larger buffer, or that
// somebody else still reads, is copied first.
import type { RawTensor } from './session.js'

/** `tensors` with each array alone in its buffer, and those buffers added to `transfer`. Strings are cloned by the message. */
export function transferable(tensors: readonly RawTensor[], transfer: ArrayBuffer[], copy = false): RawTensor[] {
  return tensors.map((tensor) => {
    const { data } = tensor
    if (Array.isArray(data)) return tensor
    const alone = copy || data.byteLength !== data.buffer.byteLength ? data.slice() : data
    transfer.push(alone.buffer as ArrayBuffer)
    return alone === data ? tensor : { shape: tensor.shape, data: alone }
  })
}
