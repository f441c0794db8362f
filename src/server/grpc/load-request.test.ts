import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { inferenceService, type ModelRepositoryParameter } from '../../oip/index.js'
import { decodeLoadRequest } from './load-request.js'

const text = fc.string({ unit: 'binary', maxLength: 100 })
const parameter: fc.Arbitrary<ModelRepositoryParameter> = fc
  .oneof(
    fc.record({ $case: fc.constant('boolParam' as const), value: fc.boolean() }),
    fc.record({
      $case: fc.constant('int64Param' as const),
      value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    }),
    fc.record({ $case: fc.constant('stringParam' as const), value: text }),
    fc.record({ $case: fc.constant('bytesParam' as const), value: fc.uint8Array().map((bytes) => Buffer.from(bytes)) }),
  )
  .map((parameterChoice) => ({ parameterChoice }))
const parameters = fc.array(fc.tuple(text, parameter), { maxLength: 5 }).map((entries) => new Map(entries))
const request = fc.record({ repositoryName: text, modelName: text, parameters })

const { requestSerialize, requestDeserialize } = inferenceService.RepositoryModelLoad

describe('decodeLoadRequest', () => {
  it('reads what the generated decoder reads', () => {
    fc.assert(
      fc.property(request, (message) => {
        const bytes = requestSerialize(message)
        expect(decodeLoadRequest(bytes)).toEqual(requestDeserialize(bytes))
      }),
    )
  })

  it.each([
    ['fields that nobody knows', [0x78, 0]],
    ['entries with nothing in them', [0x1a, 0]],
  ])('refuses a message of nothing but %s', (_, piece) => {
    const bytes = Buffer.alloc(2_000_000, Buffer.from(piece))
    expect(() => decodeLoadRequest(bytes)).toThrow(expect.objectContaining({ code: 'GRPC_MESSAGE_INVALID' }))
  })
})
