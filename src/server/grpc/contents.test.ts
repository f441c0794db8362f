import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type InferTensorContents, ModelInferRequest } from '../../oip/index.js'
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

/** Typed arrays as lists, and nothing for what is empty. */
function lists(message: object): object {
  return Object.fromEntries(
    Object.entries(message)
      .filter(([, list]) => (list as ArrayLike<unknown>).length > 0)
      .map(([name, list]) => [
        name,
        Array.from(list as ArrayLike<unknown>, (element) =>
          element instanceof Uint8Array ? Buffer.from(element).toString('hex') : element,
        ),
      ]),
  )
}

describe('decodeContents', () => {
  it('reads what was encoded, at once and in turns', async () => {
    await fc.assert(
      fc.asyncProperty(contents, async (message) => {
        const bytes = encoded(message)
        expect(lists(decodeContents(bytes))).toEqual(lists(message))
        expect(lists(await decodeContentsInTurns(bytes))).toEqual(lists(message))
      }),
      { numRuns: 200 },
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
    const read = await decodeContentsInTurns(encoded(message))
    clearInterval(timer)
    expect(lists(read)).toEqual(lists(message))
    expect(turns).toBeGreaterThan(0)
  })

  it('reads numbers that are not packed', () => {
    expect(decodeContents(Buffer.from([0x10, 5, 0x10, 6]))).toEqual({ intContents: [5, 6] })
    expect(decodeContents(Buffer.from([0x35, 0, 0, 0x80, 0x3f]))).toEqual({ fp32Contents: [1] })
  })

  it.each([
    ['a list beyond its message', [0x12, 9, 1]],
    ['an element beyond its list', [0x12, 2, 0x80, 0x80, 1]],
    ['half a float', [0x32, 3, 0, 0, 0]],
    ['a number that goes on for ever', [0x12, 11, ...new Array(11).fill(0x80)]],
  ])('refuses %s', (_, bytes) => {
    expect(() => decodeContents(Buffer.from(bytes))).toThrow(expect.objectContaining({ code: 'GRPC_MESSAGE_INVALID' }))
  })
})
