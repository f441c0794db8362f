import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type InferTensorContents, ModelInferRequest } from '../../oip/index.js'
import { type DataType, MAX_STRINGS } from '../../tensor/index.js'
import { decodeContents, decodeContentsInTurns } from './contents.js'
import { decodeInferRequest } from './infer-request.js'

const contents: fc.Arbitrary<InferTensorContents> = fc.record({
  boolContents: fc.array(fc.boolean()),
  intContents: fc.array(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
  int64Contents: fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  uintContents: fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 })),
  uint64Contents: fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  fp32Contents: fc.array(fc.float()),
  fp64Contents: fc.array(fc.double()),
  bytesContents: fc.array(fc.uint8Array()),
})

/** The bytes of the field as they arrive, inside a request. */
function encoded(message: InferTensorContents): Buffer {
  const request = ModelInferRequest.decode(new Uint8Array())
  request.inputs.push({ name: '', datatype: '', shape: [], parameters: new Map(), contents: message })
  return decodeInferRequest(Buffer.from(ModelInferRequest.encode(request).finish())).inputs[0]!.contents!
}

const DATATYPES = {
  boolContents: 'BOOL',
  intContents: 'INT32',
  int64Contents: 'INT64',
  uintContents: 'UINT32',
  uint64Contents: 'UINT64',
  fp32Contents: 'FP32',
  fp64Contents: 'FP64',
  bytesContents: 'BYTES',
} as const
type Field = keyof typeof DATATYPES

/** Typed arrays as lists. */
function list(elements: ArrayLike<unknown> | undefined, field: Field): unknown[] {
  return Array.from(elements ?? [], (element) => {
    if (element instanceof Uint8Array) return Buffer.from(element).toString('hex')
    return field === 'boolContents' ? element === true || element === 1 : element
  })
}

/** What is read as the data of each datatype is its list, and of the others there is the length. */
async function expectRead(message: InferTensorContents, decode: typeof decodeContentsInTurns): Promise<void> {
  const bytes = encoded(message)
  for (const [own, datatype] of Object.entries(DATATYPES) as [Field, DataType][]) {
    const read = await decode(bytes, datatype, message[own].length)
    expect(list(read[own], own)).toEqual(list(message[own], own))
    for (const other of Object.keys(DATATYPES) as Field[]) expect(read[other]?.length ?? 0).toBe(message[other].length)
  }
}

const atOnce: typeof decodeContentsInTurns = async (...of) => decodeContents(...of)

describe('decodeContents', () => {
  it('reads what was encoded, at once and in turns', async () => {
    await fc.assert(
      fc.asyncProperty(contents, async (message) => {
        await expectRead(message, atOnce)
        await expectRead(message, decodeContentsInTurns)
      }),
      { numRuns: 100 },
    )
  })

  it('reads long lists in turns', async () => {
    const none = { boolContents: [], uintContents: [], uint64Contents: [], fp32Contents: [], fp64Contents: [] }
    const message = {
      ...none,
      intContents: Array.from({ length: 100_000 }, (_, i) => i - 50_000),
      int64Contents: Array.from({ length: 100_000 }, (_, i) => BigInt(i) << 30n),
      bytesContents: Array.from({ length: 1000 }, (_, i) => Buffer.alloc(i % 300, i)),
    }
    let turns = 0
    const timer = setInterval(() => turns++, 0)
    await expectRead(message, decodeContentsInTurns)
    clearInterval(timer)
    expect(turns).toBeGreaterThan(0)
  })

  it('reads numbers that are not packed', () => {
    expect(decodeContents(Buffer.from([0x10, 5, 0x10, 6]), 'INT8', 2)).toEqual({ intContents: Int32Array.of(5, 6) })
    const one = Buffer.from([0x35, 0, 0, 0x80, 0x3f])
    expect(decodeContents(one, 'FP32', 1)).toEqual({ fp32Contents: Float32Array.of(1) })
  })

  it.each([
    ['a list longer than the shape', 'INT32', 1, { intContents: { length: 3 } }],
    ['a list of another datatype', 'INT64', 3, { intContents: { length: 3 } }],
    ['a list of a datatype that has none', 'FP16', 3, { intContents: { length: 3 } }],
  ] as const)('keeps nothing but the length of %s', (_, datatype, count, expected) => {
    expect(decodeContents(Buffer.from([0x12, 3, 1, 2, 3]), datatype, count)).toEqual(expected)
  })

  it('makes no room for elements that cannot have come, and for no more strings than are taken', () => {
    expect(decodeContents(Buffer.from([0x10, 5]), 'INT64', 2 ** 50)).toEqual({ intContents: { length: 1 } })
    const empty = Buffer.alloc(2 * (MAX_STRINGS + 1), Buffer.from([0x42, 0]))
    expect(decodeContents(empty, 'BYTES', MAX_STRINGS + 1)).toEqual({ bytesContents: { length: MAX_STRINGS + 1 } })
  })

  it.each([
    ['a list beyond its message', [0x12, 9, 1]],
    ['an element beyond its list', [0x12, 2, 0x80, 0x80, 1]],
    ['half a float', [0x32, 3, 0, 0, 0]],
    ['a number that goes on for ever', [0x12, 11, ...new Array(11).fill(0x80)]],
  ])('refuses %s', (_, bytes) => {
    expect(() => decodeContents(Buffer.from(bytes), 'INT32', 9)).toThrow(
      expect.objectContaining({ code: 'GRPC_MESSAGE_INVALID' }),
    )
  })
})
