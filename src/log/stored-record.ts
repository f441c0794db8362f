// A line of a segment as a record again.
import type { StoredPayload, StoredRecord, StoredTensor } from './types.js'

/** Undefined when the bytes are no JSON, which a raw slice that was not valid JSON can cause. */
export function parseRecord(lines: Buffer, start: number, end: number): StoredRecord | undefined {
  let record: StoredRecord
  try {
    record = JSON.parse(lines.toString('utf8', start, end)) as StoredRecord
  } catch {
    return undefined
  }
  if ((record.kind === 'prediction' || record.kind === 'call') && record.payload) flattenPayload(record.payload)
  return record
}

/** The protocol lets callers nest `data` by row, and raw inputs are stored as they came: readers get it flat. */
function flattenPayload(payload: StoredPayload): void {
  flattenTensors(payload.inputs)
  for (const output of payload.outputs) flattenTensors(output.tensors)
}

function flattenTensors(tensors: readonly StoredTensor[]): void {
  for (const tensor of tensors as readonly { data: readonly unknown[] }[]) {
    if (Array.isArray(tensor.data?.[0])) tensor.data = tensor.data.flat(Number.POSITIVE_INFINITY)
  }
}
