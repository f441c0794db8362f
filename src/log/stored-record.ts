// A line of a segment as a record again.
import type { StoredPayload, StoredRecord, StoredTensor } from './types.js'

/** Undefined when the bytes are not the JSON of a record, which a raw slice that was no valid JSON can cause. */
export function parseRecord(lines: Buffer, start: number, end: number): StoredRecord | undefined {
  try {
    const record = JSON.parse(lines.toString('utf8', start, end)) as StoredRecord
    if ((record.kind === 'prediction' || record.kind === 'call') && record.payload) flattenPayload(record.payload)
    return record
  } catch {
    return undefined
  }
}

// More axes than any tensor has; without a limit, deeply nested data from outside would overflow the stack.
const MAX_DEPTH = 32

/** The protocol lets callers nest `data` by row, and raw inputs are stored as they came: readers get it flat. */
function flattenPayload(payload: StoredPayload): void {
  flattenTensors(payload.inputs)
  for (const output of payload.outputs) flattenTensors(output.tensors)
}

function flattenTensors(tensors: readonly StoredTensor[]): void {
  for (const tensor of tensors as readonly { data: readonly unknown[] }[]) {
    if (Array.isArray(tensor.data?.[0])) tensor.data = tensor.data.flat(MAX_DEPTH)
  }
}
