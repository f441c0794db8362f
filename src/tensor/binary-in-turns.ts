// Reads and writes a large binary tensor a slice at a time, so that other work gets its turn: copying 13 MB, looking at 4 million flags or
// making 50,000 Buffers each hold the event loop for some 5 ms.
import {
  BytesReader,
  binarySizeBytes,
  binaryTensor,
  bytesOf,
  checkedBinary,
  onlyZeroAndOne,
  readBinaryTensor,
  writeBinaryTensor,
} from './binary.js'
import { copyData } from './copy.js'
import { type DataType, ELEMENT_BYTES, type TensorData } from './datatype.js'
import type { Tensor } from './tensor.js'

/** Up to this many bytes everything is read at once. */
export const BINARY_INLINE_BYTES = 1024 * 1024
const SLICE_FLAGS = 1024 * 1024
const SLICE_STRINGS = 8192

/** As `readBinaryTensor`; rejects with what that throws. */
export async function readBinaryTensorInTurns(
  bytes: Uint8Array,
  name: string,
  datatype: DataType,
  shape: readonly number[],
): Promise<TensorData> {
  const count = checkedBinary(bytes, name, datatype, shape)
  switch (datatype) {
    case 'BYTES': {
      const reader = new BytesReader(bytes, name, shape, count)
      for (let end = Math.min(SLICE_STRINGS, count); end < count; end += SLICE_STRINGS) {
        reader.read(end)
        await nextTurn()
      }
      reader.read(count)
      return reader.finish()
    }
    case 'BOOL': {
      const flags = new Uint8Array(count)
      for (let start = 0; start < count; start += SLICE_FLAGS) {
        flags.set(onlyZeroAndOne(bytes.subarray(start, start + SLICE_FLAGS)), start)
        await nextTurn()
      }
      return flags
    }
    default: {
      const isAligned = bytes.byteOffset % ELEMENT_BYTES[datatype] === 0
      return readBinaryTensor(isAligned ? bytes : await copyData(bytesOf(bytes)), name, datatype, shape)
    }
  }
}

/** As `binaryTensor`. */
export async function binaryTensorInTurns(tensor: Tensor): Promise<Uint8Array> {
  const { data } = tensor
  if (!Array.isArray(data) || data.length <= SLICE_STRINGS) return binaryTensor(tensor)
  const bytes = Buffer.allocUnsafeSlow(binarySizeBytes(tensor))
  let at = 0
  for (let start = 0; start < data.length; start += SLICE_STRINGS) {
    at = writeBinaryTensor({ ...tensor, data: data.slice(start, start + SLICE_STRINGS) }, bytes, at)
    await nextTurn()
  }
  return bytes
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
