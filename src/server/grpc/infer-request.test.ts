import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type InferParameter, ModelInferRequest } from '../../oip/index.js'
import { decodeInferRequest, type WireInferRequest } from './infer-request.js'

const int64 = fc.bigInt({ min: -(2n ** 53n), max: 2n ** 53n })
const parameter: fc.Arbitrary<InferParameter> = fc.oneof(
  fc.boolean().map((value) => ({ parameterChoice: { $case: 'boolParam' as const, value } })),
  int64.map((value) => ({ parameterChoice: { $case: 'int64Param' as const, value } })),
  fc.string({ unit: 'binary' }).map((value) => ({ parameterChoice: { $case: 'stringParam' as const, value } })),
  fc.double({ noNaN: true }).map((value) => ({ parameterChoice: { $case: 'doubleParam' as const, value } })),
  fc
    .bigInt({ min: 0n, max: 2n ** 53n })
    .map((value) => ({ parameterChoice: { $case: 'uint64Param' as const, value } })),
)
const parameters = fc
  .array(
    fc.tuple(
      fc.string({ unit: 'binary' }).filter((key) => key !== '__proto__'),
      parameter,
    ),
    { maxLength: 4 },
  )
  .map((entries) => new Map(entries))
const text = fc.string({ unit: 'binary', maxLength: 200 })
const shape = fc.array(int64, { maxLength: 5 })
const request = fc.record({
  modelName: text,
  modelVersion: text,
  id: text,
  parameters,
  inputs: fc.array(fc.record({ name: text, datatype: text, shape, parameters, contents: fc.constant(undefined) }), {
    maxLength: 4,
  }),
  outputs: fc.array(fc.record({ name: text, parameters }), { maxLength: 4 }),
  rawInputContents: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 }),
})

function valueIn({ parameterChoice: choice }: InferParameter): string | number | boolean {
  return typeof choice!.value === 'bigint' ? Number(choice!.value) : choice!.value
}

const plain = (map: ReadonlyMap<string, InferParameter>) =>
  Object.fromEntries([...map].map(([key, value]) => [key, valueIn(value)]))

/** What the generated decoder reads, in the form of ours. */
function viaGenerated(bytes: Uint8Array): WireInferRequest {
  const read = ModelInferRequest.decode(bytes)
  return {
    modelName: read.modelName,
    modelVersion: read.modelVersion,
    id: read.id,
    parameters: plain(read.parameters),
    inputs: read.inputs.map(({ name, datatype, shape, parameters }) => ({
      name,
      datatype,
      shape: shape.map(Number),
      parameters: plain(parameters),
      contents: undefined,
    })),
    outputs: read.outputs.map(({ name, parameters }) => ({ name, parameters: plain(parameters) })),
    raw: read.rawInputContents.map((raw) => Buffer.from(raw)),
  }
}

describe('decodeInferRequest', () => {
  it('reads what the generated decoder reads', () => {
    fc.assert(
      fc.property(request, (message) => {
        const bytes = Buffer.from(ModelInferRequest.encode(message).finish())
        expect(decodeInferRequest(bytes)).toEqual(viaGenerated(bytes))
      }),
      { numRuns: 300 },
    )
  })

  it('refuses damaged messages with a code, or reads them, and never throws anything else', () => {
    fc.assert(
      fc.property(
        request,
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }),
        fc.nat(),
        (message, damages, cut) => {
          const bytes = Buffer.from(ModelInferRequest.encode(message).finish())
          for (const [at, value] of damages) if (bytes.length > 0) bytes[at % bytes.length] = value
          const end = cut % 3 === 0 ? cut % (bytes.length + 1) : bytes.length
          try {
            decodeInferRequest(bytes.subarray(0, end))
          } catch (error) {
            expect(['GRPC_MESSAGE_INVALID', 'TENSOR_SHAPE_INVALID', 'OIP_TOO_MANY']).toContain(
              (error as { code?: string }).code,
            )
          }
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('joins contents that come in two parts', () => {
    const half = (value: number) => {
      const bytes = ModelInferRequest.encode({
        modelName: '',
        modelVersion: '',
        id: '',
        parameters: new Map(),
        inputs: [],
        outputs: [],
        rawInputContents: [],
      }).finish()
      // inputs { contents { int_contents: value } }
      return Buffer.concat([bytes, Buffer.from([0x2a, 0x04, 0x2a, 0x02, 0x10, value])])
    }
    const twice = Buffer.from([0x2a, 0x08, 0x2a, 0x02, 0x10, 1, 0x2a, 0x02, 0x10, 2])
    expect(decodeInferRequest(half(1)).inputs[0]!.contents).toEqual(Buffer.from([0x10, 1]))
    expect(decodeInferRequest(twice).inputs[0]!.contents).toEqual(Buffer.from([0x10, 1, 0x10, 2]))
  })

  it('reads negative and absurd sizes as what they are, for the shape check to refuse', () => {
    // inputs { shape: -1 }, and 2^63 - 1.
    const negative = Buffer.from([0x2a, 0x0b, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])
    const huge = Buffer.from([0x2a, 0x0a, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])
    expect(decodeInferRequest(negative).inputs[0]!.shape).toEqual([-1])
    expect(decodeInferRequest(huge).inputs[0]!.shape).toEqual([2 ** 63])
  })

  it('bounds the number of parameters', () => {
    const many = new Map(
      Array.from({ length: 200 }, (_, i) => [
        `p${i}`,
        { parameterChoice: { $case: 'boolParam' as const, value: true } },
      ]),
    )
    const bytes = ModelInferRequest.encode({ ...ModelInferRequest.decode(new Uint8Array()), parameters: many }).finish()
    expect(() => decodeInferRequest(Buffer.from(bytes))).toThrow(expect.objectContaining({ code: 'OIP_TOO_MANY' }))
  })

  it.each([
    ['fields that nobody knows', Buffer.from([0x78, 0])],
    ['parameters without a value', Buffer.from([0x22, 0])],
    ['parameters of one name', Buffer.from([0x22, 7, 0x0a, 1, 0x61, 0x12, 2, 0x08, 1])],
    ['parts of contents', Buffer.from([0x2a, 2, 0x2a, 0])],
  ])('refuses a message of nothing but %s before it holds up others', (_, piece) => {
    const bytes = Buffer.alloc(piece.length * 1_000_000, piece)
    expect(() => decodeInferRequest(bytes)).toThrow(
      expect.objectContaining({ code: expect.stringMatching('GRPC_MESSAGE_INVALID|OIP_TOO_MANY') }),
    )
  })
})
