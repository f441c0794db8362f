// Whether a file is a whole ONNX model, told from its outline: the lengths of the protobuf's fields are followed from one
// to the next and payloads are jumped over, so a file of gigabytes costs a few reads. A copy that is under way or was cut off
// fails, because a length then points past the end or the fields that exporters write last are missing.
import { type FileHandle, open } from 'node:fs/promises'

export type OnnxOutline =
  /** `externalFiles` are the names, relative to the model's folder, of the files that hold its large tensors. */
  | { readonly kind: 'whole'; readonly externalFiles: readonly ExternalFile[] }
  | { readonly kind: 'broken'; readonly reason: string }

export interface ExternalFile {
  readonly location: string
  /** The file must have at least this many bytes. */
  readonly leastBytes: number
}

/** Reads the outline of `file`; rejects with the file system's error when it cannot be read. */
export async function readOnnxOutline(file: string): Promise<OnnxOutline> {
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    return await outlineOf(new Reader(handle, size))
  } finally {
    await handle.close()
  }
}

/** A value at the boundary of a graph, as bytes of a ValueInfoProto. */
export interface OnnxBoundary {
  readonly inputs: readonly Uint8Array[]
  readonly outputs: readonly Uint8Array[]
  /** Names of tensors that have their value in the graph: until IR version 4 they were listed as inputs too. */
  readonly initialized: ReadonlySet<string>
}

/** What a whole file says of its inputs and outputs, without reading its tensors. */
export async function readOnnxBoundary(file: string): Promise<OnnxBoundary> {
  const inputs: Uint8Array[] = []
  const outputs: Uint8Array[] = []
  const initialized = new Set<string>()
  const handle = await open(file, 'r')
  try {
    const reader = new Reader(handle, (await handle.stat()).size)
    await reader.message(reader.size, async (field, end) => {
      if (field !== MODEL_GRAPH || end === 0) return
      await reader.message(end, async (field, end) => {
        if (field === GRAPH_INPUT && end > 0) inputs.push(await reader.bytes(end))
        else if (field === GRAPH_OUTPUT && end > 0) outputs.push(await reader.bytes(end))
        else if (field === GRAPH_INITIALIZER && end > 0)
          await reader.message(end, async (field, end) => {
            if (field === TENSOR_NAME && end > 0) initialized.add(await reader.text(end))
          })
      })
    })
  } finally {
    await handle.close()
  }
  return { inputs, outputs, initialized }
}

// onnx.proto: field numbers of ModelProto, GraphProto, TensorProto and StringStringEntryProto.
const MODEL_GRAPH = 7
const MODEL_OPSET_IMPORT = 8
const GRAPH_INITIALIZER = 5
const GRAPH_INPUT = 11
const GRAPH_OUTPUT = 12
const TENSOR_NAME = 8
const TENSOR_EXTERNAL_DATA = 13
const ENTRY_KEY = 1
const ENTRY_VALUE = 2

const VARINT = 0
const FIXED64 = 1
const LENGTH = 2
const FIXED32 = 5

class Broken extends Error {}

async function outlineOf(reader: Reader): Promise<OnnxOutline> {
  const external = new Map<string, number>()
  const seen = new Set<number>()
  try {
    await reader.message(reader.size, async (field, end) => {
      seen.add(field)
      if (field === MODEL_GRAPH && end > 0) await readGraph(reader, end, external)
    })
  } catch (error) {
    if (error instanceof Broken) return { kind: 'broken', reason: error.message }
    throw error
  }
  // The operator sets come after the graph in what every exporter writes, so they also show that the end was reached.
  if (!seen.has(MODEL_GRAPH)) return { kind: 'broken', reason: 'it has no graph' }
  if (!seen.has(MODEL_OPSET_IMPORT)) return { kind: 'broken', reason: 'it has no operator set' }
  return {
    kind: 'whole',
    externalFiles: [...external].map(([location, leastBytes]) => ({ location, leastBytes })),
  }
}

async function readGraph(reader: Reader, end: number, external: Map<string, number>): Promise<void> {
  await reader.message(end, async (field, end) => {
    if (field === GRAPH_INITIALIZER && end > 0) await readTensor(reader, end, external)
  })
}

async function readTensor(reader: Reader, end: number, external: Map<string, number>): Promise<void> {
  let location: string | undefined
  let leastBytes = 0
  await reader.message(end, async (field, end) => {
    if (field !== TENSOR_EXTERNAL_DATA || end === 0) return
    const [key, value] = await readEntry(reader, end)
    if (key === 'location') location = value
    else if (key === 'offset' || key === 'length') leastBytes += Number(value)
  })
  if (location === undefined) return
  const parts = location.split(/[/\\]/)
  if (location === '' || parts.includes('..') || parts[0] === '' || /^[A-Za-z]:/.test(location)) {
    throw new Broken(`it keeps tensors in "${location}", which is outside its own folder`)
  }
  external.set(location, Math.max(external.get(location) ?? 0, leastBytes))
}

async function readEntry(reader: Reader, end: number): Promise<[string, string]> {
  let key = ''
  let value = ''
  await reader.message(end, async (field, end) => {
    if (field === ENTRY_KEY && end > 0) key = await reader.text(end)
    else if (field === ENTRY_VALUE && end > 0) value = await reader.text(end)
  })
  return [key, value]
}

/** Protobuf's wire format over a file, through a window that moves. */
class Reader {
  #position = 0
  #windowStart = 0
  #window = Buffer.alloc(0)

  constructor(
    private readonly handle: FileHandle,
    readonly size: number,
  ) {}

  /**
   * Walks the fields from here to `end`. `visit` gets a field's number and, when it has a length, where it ends (0
   * otherwise); what it leaves unread is jumped over.
   */
  async message(end: number, visit: (field: number, end: number) => Promise<void>): Promise<void> {
    while (this.#position < end) {
      const start = this.#position
      const tag = await this.#varint(end)
      const field = Math.floor(tag / 8)
      let next: number
      let fieldEnd = 0
      switch (tag % 8) {
        case VARINT:
          await this.#varint(end)
          next = this.#position
          break
        case FIXED64:
          next = this.#position + 8
          break
        case FIXED32:
          next = this.#position + 4
          break
        case LENGTH: {
          const length = await this.#varint(end)
          next = this.#position + length
          fieldEnd = next
          break
        }
        default:
          throw new Broken(`byte ${start} does not start a field`)
      }
      if (field === 0) throw new Broken(`byte ${start} does not start a field`)
      if (next > end) {
        throw new Broken(
          end === this.size
            ? `it ends at byte ${this.size}, before the field that starts at byte ${start} does`
            : `the field at byte ${start} is longer than what it is in`,
        )
      }
      await visit(field, fieldEnd)
      this.#position = next
    }
  }

  async text(end: number): Promise<string> {
    return Buffer.from(await this.bytes(end)).toString('utf8')
  }

  async bytes(end: number): Promise<Uint8Array> {
    const length = end - this.#position
    if (length > 4096) throw new Broken(`the text at byte ${this.#position} is ${length} bytes long`)
    await this.#load(length)
    const from = this.#position - this.#windowStart
    return Uint8Array.prototype.slice.call(this.#window, from, from + length)
  }

  /** Exact up to 2^53; what is larger cannot be a length in a file. */
  async #varint(end: number): Promise<number> {
    await this.#load(Math.min(10, end - this.#position))
    let value = 0
    let scale = 1
    for (let i = 0; i < 10; i++) {
      if (this.#position >= end) throw new Broken(`it ends at byte ${end}, in the middle of a number`)
      const byte = this.#window[this.#position - this.#windowStart]!
      this.#position++
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
    throw new Broken(`the number before byte ${this.#position} has more than ten bytes`)
  }

  /** Makes sure that `length` bytes from the position are in the window. */
  async #load(length: number): Promise<void> {
    const from = this.#position - this.#windowStart
    if (from >= 0 && from + length <= this.#window.length) return
    const window = Buffer.allocUnsafe(Math.max(length, Math.min(16_384, this.size - this.#position)))
    let filled = 0
    while (filled < window.length) {
      const { bytesRead } = await this.handle.read(window, filled, window.length - filled, this.#position + filled)
      if (bytesRead === 0) throw new Broken('it became shorter while it was read')
      filled += bytesRead
    }
    this.#window = window
    this.#windowStart = this.#position
  }
}
