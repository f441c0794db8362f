// One value of an answer to compare distributions by: the label, the number, or of a vector its first element (a class's probability) or,
// beyond 16 elements (an embedding), its length. Of several rows the first.
import type { StoredPayload, StoredTensor } from '../../log/index.js'

export type OutputValue =
  | { readonly kind: 'number'; readonly name: string; readonly value: number }
  | { readonly kind: 'label'; readonly name: string; readonly value: string }
  /** A number that is not finite, or a vector that holds one. */
  | { readonly kind: 'invalid'; readonly name: string }

/** Longer vectors are read as embeddings, and only so far. */
const MAX_ELEMENTS_AS_CLASSES = 16
const MAX_ELEMENTS_READ = 4096
const MAX_LABEL_LENGTH = 200

/** Undefined where the record has no payload, not this output, or a value that was redacted. `call` is an index into the record's calls. */
export function outputValue(payload: StoredPayload, call: number, name: string | undefined): OutputValue | undefined {
  for (const output of payload.outputs) {
    if (output.call !== call) continue
    const tensor = name === undefined ? output.tensors[0] : output.tensors.find((one) => one.name === name)
    return tensor && readValue(tensor)
  }
  return undefined
}

function readValue({ name, datatype, shape, data }: StoredTensor): OutputValue | undefined {
  const elements = Math.min(
    shape.length < 2 ? 1 : shape.slice(1).reduce((product, size) => product * size, 1),
    data.length,
  )
  const first = data[0]
  if (first === undefined || first === null) return undefined
  if (datatype === 'BYTES' || datatype === 'BOOL' || /^U?INT/.test(datatype)) {
    const text = typeof first === 'string' ? first : String(typeof first === 'object' ? JSON.stringify(first) : first)
    return { kind: 'label', name, value: text.slice(0, MAX_LABEL_LENGTH) }
  }
  let squares = 0
  for (let i = 0; i < Math.min(elements, MAX_ELEMENTS_READ); i++) {
    // NaN and infinities are stored as text.
    const value = data[i]
    if (typeof value !== 'number') return { kind: 'invalid', name }
    squares += value * value
  }
  return { kind: 'number', name, value: elements > MAX_ELEMENTS_AS_CLASSES ? Math.sqrt(squares) : (first as number) }
}
