// A line of a segment as a record again.
import type { StoredPayload, StoredRecord, StoredTensor } from './types.js'

/** Undefined when the bytes are not the JSON of a record, which a raw slice that was no valid JSON can cause. */
export function parseRecord(lines: Buffer, start: number, end: number): StoredRecord | undefined {
  try {
    const text = lines.toString('utf8', start, end)
    const record = JSON.parse(text) as StoredRecord
    if ((record.kind === 'prediction' || record.kind === 'call') && record.payload) {
      flattenPayload(record.payload)
      if (text.includes('INT64') && LONG_INTEGER.test(text)) keepExact(record.payload, text)
    }
    return record
  } catch {
    return undefined
  }
}

/** Sixteen digits may be more than 2^53. */
const LONG_INTEGER = /(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/
const TEXT_OR_LONG_INTEGER = new RegExp(`"[^"\\\\]*(?:\\\\.[^"\\\\]*)*"|${LONG_INTEGER.source}`, 'g')

/** JSON.parse rounds whole numbers beyond 2^53, which stand exactly in the line: those of 64-bit tensors become text, as everywhere. */
function keepExact(payload: StoredPayload, text: string): void {
  const quoted = text.replace(TEXT_OR_LONG_INTEGER, (token) =>
    token.startsWith('"') || Number.isSafeInteger(Number(token)) ? token : `"${token}"`,
  )
  const exact = (JSON.parse(quoted) as { payload: StoredPayload }).payload
  flattenPayload(exact)
  takeExact(payload.inputs, exact.inputs)
  for (const [i, output] of payload.outputs.entries()) takeExact(output.tensors, exact.outputs[i]!.tensors)
}

function takeExact(tensors: readonly StoredTensor[], exact: readonly StoredTensor[]): void {
  for (const [i, tensor] of (tensors as readonly { datatype: string; data: readonly unknown[] }[]).entries()) {
    if (tensor.datatype === 'INT64' || tensor.datatype === 'UINT64') tensor.data = exact[i]!.data
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
