// Arrays of numbers cross threads by handing over their memory, after which this side cannot read them any more. An array that
// somebody else still reads (a fallback, a shadow, the log), or that shows only a part of a larger buffer, is copied first.
import type { RawTensor } from './session.js'

/** `tensors` with each array alone in its buffer, and those buffers added to `transfer`. Strings are cloned by the message. */
export function transferable(tensors: readonly RawTensor[], transfer: ArrayBuffer[], isOwned: boolean): RawTensor[] {
  const sent: RawTensor[] = []
  for (const { shape, data } of tensors) {
    if (Array.isArray(data)) sent.push({ shape, data })
    else {
      const isAlone = isOwned && data.byteLength === data.buffer.byteLength
      const alone = isAlone ? data : data.slice()
      transfer.push(alone.buffer as ArrayBuffer)
      sent.push({ shape, data: alone })
    }
  }
  return sent
}
