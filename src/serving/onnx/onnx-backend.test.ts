import { afterAll, describe, expect, it } from 'vitest'
import { backendContract } from '../../../test/contract/backend.js'
import { tensors } from '../../../test/support/fake-backend.js'
import { type OnnxArtifactParts, onnxArtifact } from '../../../test/support/onnx-artifact.js'
import * as models from '../../../test/support/onnx-models.js'
import { type HeadraceError, systemClock, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import type { DataOf, DataType, Isolation, Tensor, TensorMap } from '../../tensor/index.js'
import type { OnnxBackend } from './backend.js'
import { createOnnxBackends } from './create-onnx-backends.js'

const platform = testPlatform()
const onnx = createOnnxBackends({ threads: 2 })
afterAll(() => onnx.close())

const load = (bytes: Uint8Array, parts?: OnnxArtifactParts) => onnx.load(onnxArtifact(bytes, parts), { platform })
const context = { deadline: Deadline.none(systemClock), outputs: undefined }
const run = (backend: OnnxBackend, ...inputs: Tensor[]): Promise<TensorMap> => backend.run(tensors(...inputs), context)

function tensor<D extends DataType>(name: string, datatype: D, shape: readonly number[], data: DataOf[D]): Tensor {
  return { name, datatype, shape, data }
}

async function refusal(promise: Promise<unknown>): Promise<HeadraceError> {
  return promise.then(
    () => {
      throw new Error('it was not refused')
    },
    (error: HeadraceError) => error,
  )
}

const ISOLATIONS: readonly Isolation[] = ['inline', 'thread']

describe.each(ISOLATIONS)('a backend %s', (isolation) => {
  backendContract(async () => {
    const backend = await load(models.doublerModel(), { manifest: { isolation } })
    expect(backend.isolation).toBe(isolation)
    const poison = tensors(tensor('x', 'FP32', [1, 1, 1], Float32Array.of(1)))
    return { backend, poison }
  })

  const SAMPLES: { readonly [D in DataType]: DataOf[D] } = {
    BOOL: Uint8Array.of(0, 1, 1, 0),
    UINT8: Uint8Array.of(0, 1, 254, 255),
    UINT16: Uint16Array.of(0, 1, 65534, 65535),
    UINT32: Uint32Array.of(0, 1, 2 ** 32 - 2, 2 ** 32 - 1),
    UINT64: BigUint64Array.of(0n, 1n, 2n ** 53n + 1n, 2n ** 64n - 1n),
    INT8: Int8Array.of(-128, -1, 0, 127),
    INT16: Int16Array.of(-32768, -1, 0, 32767),
    INT32: Int32Array.of(-(2 ** 31), -1, 0, 2 ** 31 - 1),
    INT64: BigInt64Array.of(-(2n ** 63n), -1n, 2n ** 53n + 1n, 2n ** 63n - 1n),
    // Zero, one, the smallest subnormal, infinity.
    FP16: Uint16Array.of(0x8000, 0x3c00, 0x0001, 0x7c00),
    BF16: Uint16Array.of(0x8000, 0x3f80, 0x0001, 0x7f80),
    FP32: Float32Array.of(-0, Math.fround(0.1), 2 ** -149, Number.NEGATIVE_INFINITY),
    FP64: Float64Array.of(-0, 0.1, 5e-324, Number.NaN),
    BYTES: ['', 'é😀\ufeff', 'a b', '\u{10ffff}'].map((text) => Buffer.from(text)),
  }

  it.each(Object.keys(SAMPLES) as DataType[])('gives %s back bit by bit', async (datatype) => {
    const backend = await load(models.identityModel(datatype), { manifest: { isolation } })
    expect(backend.signature).toEqual({
      inputs: [{ name: 'x', datatype, shape: [-1, 4] }],
      outputs: [{ name: 'y', datatype, shape: [-1, 4] }],
      batchAxis: 0,
    })
    const data = SAMPLES[datatype]
    expect((await run(backend, tensor('x', datatype, [1, 4], data))).get('y')).toEqual(
      tensor('y', datatype, [1, 4], data),
    )
    const none = data.slice(0, 0) as typeof data
    expect((await run(backend, tensor('x', datatype, [0, 4], none))).get('y')).toEqual(
      tensor('y', datatype, [0, 4], none),
    )

    const scalar = await load(models.identityModel(datatype, []), { manifest: { isolation } })
    expect(scalar.signature.batchAxis).toBeNull()
    expect(scalar.notBatchedBecause).toBe('the input "x" has no axes')
    const one = data.slice(1, 2) as typeof data
    expect((await run(scalar, tensor('x', datatype, [], one))).get('y')).toEqual(tensor('y', datatype, [], one))
  })

  it('refuses BYTES that would be changed on the way, naming the element', async () => {
    const backend = await load(models.identityModel('BYTES', ['rows']), { manifest: { isolation } })
    const send = (bytes: Buffer) => refusal(run(backend, tensor('x', 'BYTES', [2], [Buffer.from('fine'), bytes])))
    for (const [bytes, reason] of [
      [Buffer.of(0xff, 0xfe), 'is not valid UTF-8'],
      [Buffer.from('a\0b'), 'contains a NUL'],
    ] as const) {
      const error = await send(bytes)
      expect(error).toMatchObject({ code: 'ONNX_BYTES_NOT_TEXT', status: 400, retry: false })
      expect(error.message).toContain(`Element 1 of the input "x" of fraud/1 ${reason}`)
    }
  })

  it('runs two inputs and computes only the output asked for', async () => {
    const backend = await load(models.twoInputsModel(), { manifest: { isolation } })
    const inputs = tensors(
      tensor('INPUT0', 'INT32', [1, 16], new Int32Array(16).fill(5)),
      tensor('INPUT1', 'INT32', [1, 16], new Int32Array(16).fill(3)),
    )
    const both = await backend.run(inputs, context)
    expect(both.get('OUTPUT0')!.data).toEqual(new Int32Array(16).fill(8))
    expect(both.get('OUTPUT1')!.data).toEqual(new Int32Array(16).fill(2))
    const one = await backend.run(inputs, { ...context, outputs: ['OUTPUT1'] })
    expect([...one.keys()]).toEqual(['OUTPUT1'])
  })

  it('says of a failed run whose fault it may be', async () => {
    const gather = await load(models.failingModel(), { manifest: { isolation } })
    const index = (...indices: number[]) =>
      tensor('index', 'INT64', [indices.length, 1], BigInt64Array.from(indices.map(BigInt)))
    expect((await run(gather, index(2, 0))).get('y')!.data).toEqual(Float32Array.of(30, 10))

    const values = await refusal(run(gather, index(0, 7)))
    expect(values).toMatchObject({ code: 'ONNX_VALUES_REFUSED', status: 422, retry: false })
    expect(values.message).toContain(
      'The operator Gather of fraud/1 cannot compute with these values: indices element out',
    )

    const shape = await refusal(run(gather, tensor('index', 'INT64', [1, 2], BigInt64Array.of(0n, 1n))))
    expect(shape).toMatchObject({ code: 'ONNX_INPUT_REFUSED', status: 400, retry: false })
    expect(shape.message).toContain('index: 1 Got: 2 Expected: 1')

    const type = await refusal(run(gather, tensor('index', 'INT32', [1, 1], Int32Array.of(0))))
    expect(type).toMatchObject({ status: 500 })
  })
})
