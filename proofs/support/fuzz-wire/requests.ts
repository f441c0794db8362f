// An inference request before it has a wire form: right, or wrong in one of the ways that a request can be wrong. HTTP and gRPC
// write it down each in their own way.
import { below, chance, HOSTILE_INTEGERS, pick, type Random, randomBytes } from './random.js'

export interface InputDraft {
  name: string
  datatype: string
  shape: bigint[]
  /** Its binary form. */
  raw: Buffer
  /** Its elements, as JSON and as typed contents have them. */
  elements: readonly (number | string)[]
}

export interface RequestDraft {
  model: string
  inputs: InputDraft[]
  outputs: string[]
}

const DATATYPES = [
  'BOOL',
  'UINT8',
  'INT16',
  'INT32',
  'INT64',
  'UINT64',
  'FP16',
  'BF16',
  'FP32',
  'FP64',
  'BYTES',
  'STRING',
  '',
]

/** What the server of this proof answers rightly. */
export function rightRequest(random: Random): RequestDraft {
  const kind = below(random, 3)
  if (kind === 0) {
    const values = Int32Array.from({ length: 16 }, (_, i) => i)
    const input = (name: string) => ({
      name,
      datatype: 'INT32',
      shape: [1n, 16n],
      raw: Buffer.from(values.buffer.slice(0)),
      elements: [...values],
    })
    return {
      model: 'simple',
      inputs: [input('INPUT0'), input('INPUT1')],
      outputs: pick(random, [[], ['OUTPUT0'], ['OUTPUT1', 'OUTPUT0']]),
    }
  }
  if (kind === 1) {
    const texts = ['', 'a', 'water', 'é']
    const raw = Buffer.concat(texts.flatMap((text) => [lengthOf(Buffer.byteLength(text)), Buffer.from(text)]))
    const input = { name: 'x', datatype: 'BYTES', shape: [2n, 2n], raw, elements: texts }
    return { model: 'texts', inputs: [input], outputs: [] }
  }
  const rows = 1 + below(random, 3)
  const values = Float32Array.from({ length: rows * 4 }, (_, i) => i / 2)
  const raw = Buffer.from(values.buffer.slice(0))
  const input = { name: 'x', datatype: 'FP32', shape: [BigInt(rows), 4n], raw, elements: [...values] }
  return { model: 'numbers', inputs: [input], outputs: pick(random, [[], ['y']]) }
}

/** Breaks one thing of it; the result may still be right. */
export function breakRequest(random: Random, request: RequestDraft): void {
  const input = request.inputs[0]
  switch (random.uint32() % 13) {
    case 0:
      request.model = pick(random, [
        '',
        'nowhere',
        '../simple',
        'simple\0',
        'x'.repeat(300),
        '__proto__',
        'simple/versions/9',
      ])
      return
    case 1:
      request.inputs = []
      return
    case 2:
      if (input) request.inputs.push({ ...input })
      return
    case 3:
      if (input) input.name = pick(random, ['', 'nowhere', '__proto__', 'x\0', 'y'.repeat(10_000)])
      return
    case 4:
      if (input) input.datatype = pick(random, DATATYPES)
      return
    case 5:
    case 6:
      if (input) input.shape[below(random, input.shape.length)] = pick(random, HOSTILE_INTEGERS)
      return
    case 7:
      if (input) input.shape = Array.from({ length: below(random, 6) }, () => pick(random, HOSTILE_INTEGERS))
      return
    case 8:
      // The product wraps around to what arrived when it is kept in 64 bits.
      if (input) input.shape = [2n ** 32n, 2n ** 32n, ...input.shape]
      return
    case 9:
      if (input) input.raw = resize(random, input.raw)
      return
    case 10:
      if (input && input.raw.length >= 4) {
        input.raw = Buffer.from(input.raw)
        input.raw.writeUInt32LE(
          Number(pick(random, HOSTILE_INTEGERS) & 0xffffffffn),
          below(random, input.raw.length - 3),
        )
      }
      return
    case 11:
      if (input) input.elements = chance(random, 0.5) ? input.elements.slice(1) : [...input.elements, ...input.elements]
      return
    default:
      request.outputs = pick(random, [
        ['nowhere'],
        [''],
        [...request.outputs, ...request.outputs],
        ['__proto__'],
        Array(500).fill('y') as string[],
      ])
  }
}

function resize(random: Random, bytes: Buffer): Buffer {
  const how = below(random, 4)
  if (how === 0) return bytes.subarray(0, below(random, bytes.length))
  if (how === 1) return Buffer.concat([bytes, randomBytes(random, 1 + below(random, 9))])
  if (how === 2) return Buffer.alloc(0)
  return Buffer.alloc(100_000)
}

export function lengthOf(bytes: number): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(bytes)
  return length
}
