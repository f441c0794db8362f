import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import oracle from '../../test/fixtures/binary-tensors/binary-tensors.json' with { type: 'json' }
import { HeadraceError } from '../core/index.js'
import { readBinaryTensor } from './binary.js'
import type { DataType } from './datatype.js'
import { readTypedContents, type TypedContents, typedContents } from './typed-contents.js'

function failure(run: () => unknown): HeadraceError {
  try {
    run()
  } catch (error) {
    if (error instanceof HeadraceError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const typed = oracle.filter(({ datatype }) => datatype !== 'FP16' && datatype !== 'BF16')

describe('typedContents and readTypedContents', () => {
  it.each(typed)('bring $datatype back as it was', ({ datatype, shape, base64 }) => {
    const type = datatype as DataType
    const data = readBinaryTensor(Buffer.from(base64, 'base64'), 'x', type, shape)
    const contents = typedContents({ name: 'x', datatype: type, shape, data })
    expect(Object.values(contents).filter((list) => (list?.length ?? 0) > 0)).toHaveLength(1)
    expect(readTypedContents(contents, 'x', type, shape)).toEqual(data)
  })

  it.each([
    ['INT8', 'intContents', -128, 127],
    ['INT16', 'intContents', -32768, 32767],
    ['INT32', 'intContents', -2147483648, 2147483647],
    ['UINT8', 'uintContents', 0, 255],
    ['UINT16', 'uintContents', 0, 65535],
    ['UINT32', 'uintContents', 0, 4294967295],
  ] as const)('takes %s from %s and refuses what is out of its range', (datatype, field, least, most) => {
    fc.assert(
      fc.property(fc.integer({ min: -5_000_000_000, max: 5_000_000_000 }), (value) => {
        const read = () => readTypedContents({ [field]: [value] }, 'x', datatype, [1])
        if (value >= least && value <= most) expect(Number(read()[0])).toBe(value)
        else expect(failure(read)).toMatchObject({ code: 'TENSOR_CONTENTS_INVALID', status: 400 })
      }),
    )
    for (const value of [least, most]) {
      expect(Number(readTypedContents({ [field]: [value] }, 'x', datatype, [1])[0])).toBe(value)
    }
    for (const value of [least - 1, most + 1, Number.NaN]) {
      expect(failure(() => readTypedContents({ [field]: [value] }, 'x', datatype, [1])).code).toBe(
        'TENSOR_CONTENTS_INVALID',
      )
    }
  })

  it('refuses FP16 and BF16, which have no list', () => {
    for (const datatype of ['FP16', 'BF16'] as const) {
      expect(failure(() => readTypedContents({ fp32Contents: [1] }, 'x', datatype, [1])).message).toContain('raw')
      expect(failure(() => typedContents({ name: 'x', datatype, shape: [1], data: Uint16Array.of(1) })).code).toBe(
        'TENSOR_CONTENTS_INVALID',
      )
    }
  })

  it('refuses elements in another list, alone or beside the right one', () => {
    const wrong: TypedContents[] = [{ fp64Contents: [1, 2] }, { fp32Contents: [1, 2], intContents: [1] }]
    for (const contents of wrong) {
      const error = failure(() => readTypedContents(contents, 'x', 'FP32', [2]))
      expect(error.code).toBe('TENSOR_CONTENTS_INVALID')
      expect(error.message).toContain('fp32_contents')
    }
  })

  it('refuses another number of elements than the shape holds, and shapes that are none', () => {
    const contents = { fp32Contents: [1, 2, 3], boolContents: [], bytesContents: [] }
    expect(failure(() => readTypedContents(contents, 'x', 'FP32', [2])).code).toBe('TENSOR_LENGTH_MISMATCH')
    expect(failure(() => readTypedContents({}, 'x', 'FP32', [2 ** 40])).code).toBe('TENSOR_LENGTH_MISMATCH')
    expect(failure(() => readTypedContents(contents, 'x', 'FP32', [-3])).code).toBe('TENSOR_SHAPE_INVALID')
    expect(failure(() => readTypedContents(contents, 'x', 'FP32', [2 ** 30, 2 ** 30])).code).toBe(
      'TENSOR_SHAPE_INVALID',
    )
  })

  it('takes no list at all for a shape without elements', () => {
    expect(readTypedContents({}, 'x', 'INT64', [0, 3])).toEqual(new BigInt64Array(0))
    expect(readTypedContents({}, 'x', 'BYTES', [0])).toEqual([])
  })

  it('gives elements of BYTES as Buffers on the memory they came in', () => {
    const element = Uint8Array.of(1, 2, 255)
    const [read] = readTypedContents({ bytesContents: [element] }, 'x', 'BYTES', [1]) as Buffer[]
    expect(Buffer.isBuffer(read)).toBe(true)
    expect(read!.buffer).toBe(element.buffer)
  })
})
