import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeadraceError } from '../core/index.js'
import { DATATYPES, type DataType } from './datatype.js'
import { describeRows, type RowSchema } from './row-schema.js'
import { type FeatureValue, RowBuilder, rowsToTensors } from './rows.js'
import type { TensorSpec } from './tensor.js'
import { validateInputs } from './validate.js'

const spec = (name: string, datatype: DataType, shape: number[]): TensorSpec => ({ name, datatype, shape })

function schemaOf(inputs: TensorSpec[], features?: string[], batchAxis: 0 | null = 0): RowSchema {
  return describeRows({ inputs, outputs: [], batchAxis }, { features, outputs: {} }, undefined)
}

const matrix = schemaOf([spec('x', 'FP32', [-1, 3])], ['amount', 'age', 'is_new'])
const columns = schemaOf([
  spec('amount', 'FP32', [-1, 1]),
  spec('country', 'BYTES', [-1]),
  spec('visits', 'INT64', [-1, 1]),
  spec('is_new', 'BOOL', [-1, 1]),
])
const one = (datatype: DataType): RowSchema => schemaOf([spec('f', datatype, [-1])])

function failure(rows: readonly Record<string, FeatureValue>[], schema: RowSchema): HeadraceError {
  try {
    rowsToTensors(rows, schema)
  } catch (error) {
    if (error instanceof HeadraceError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('rowsToTensors', () => {
  it('lays the features of a matrix out in their order, whatever the order of arrival', () => {
    const tensors = rowsToTensors(
      [
        { amount: 1, age: 2, is_new: 3 },
        { is_new: 6, amount: 4, age: null },
      ],
      matrix,
    )
    expect([...tensors.values()]).toEqual([
      { name: 'x', datatype: 'FP32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, Number.NaN, 6) },
    ])
  })

  it('gives each feature its input, in the shape the input has', () => {
    const tensors = rowsToTensors(
      [
        { amount: 12.5, country: 'DE', visits: 3, is_new: true },
        { amount: 7, country: 'é', visits: 9007199254740993n, is_new: false },
      ],
      columns,
    )
    expect(Object.fromEntries(tensors)).toEqual({
      amount: { name: 'amount', datatype: 'FP32', shape: [2, 1], data: Float32Array.of(12.5, 7) },
      country: { name: 'country', datatype: 'BYTES', shape: [2], data: [Buffer.from('DE'), Buffer.from('é')] },
      visits: { name: 'visits', datatype: 'INT64', shape: [2, 1], data: BigInt64Array.of(3n, 9007199254740993n) },
      is_new: { name: 'is_new', datatype: 'BOOL', shape: [2, 1], data: Uint8Array.of(1, 0) },
    })
    expect(validateInputs(tensors, columns.signature)).toBe(2)
  })

  it('equals the obvious way for any number of rows, and fits the signature', () => {
    const row = fc.record({
      amount: fc.float({ noNaN: true }),
      age: fc.option(fc.integer({ max: 99 })),
      is_new: fc.nat(1),
    })
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 200 }), (rows) => {
        const tensors = rowsToTensors(rows, matrix)
        const flat = rows.flatMap(({ amount, age, is_new }) => [amount, age ?? Number.NaN, is_new])
        expect(tensors.get('x')!.data).toEqual(Float32Array.from(flat))
        expect(validateInputs(tensors, matrix.signature)).toBe(rows.length)
      }),
    )
  })

  it('lists every feature that a row lacks', () => {
    expect(failure([{ amount: 1, age: 2, is_new: 3 }, { age: 1 }], matrix)).toMatchObject({
      code: 'TENSOR_FEATURE_MISSING',
      status: 400,
      message: 'Row 1 lacks 2 of 3 features: "amount", "is_new". Send each of them; null means a missing number.',
    })
    expect(failure([{}], columns).params).toMatchObject({ missing: ['amount', 'country', 'visits', 'is_new'] })
  })

  it('names the feature that was probably meant, or else the ones there are', () => {
    expect(failure([{ Amuont: 1, age: 2, is_new: 3 }], matrix)).toMatchObject({
      code: 'TENSOR_FEATURE_UNKNOWN',
      message: 'Row 0 has "Amuont", which is no feature of this model. Did you mean "amount"?',
    })
    expect(failure([{ zzz: 1 }], matrix).message).toContain('Its features are "amount", "age", "is_new".')
    for (const name of ['__proto__', 'constructor', 'toString'])
      expect(failure([JSON.parse(`{"${name}": 1}`)], matrix).code).toBe('TENSOR_FEATURE_UNKNOWN')
  })

  it('says the feature, what it must be and what arrived', () => {
    expect(failure([{ amount: '12', age: 2, is_new: 3 }], matrix).message).toBe(
      'Feature "amount" of row 0 must be a number within the range of FP32, or null, but the string "12" arrived.',
    )
  })

  it.each([
    ['FP32', [true, '1', 1e39, [1, 2], undefined], [1, null, 5n]],
    ['FP64', [true, '1', []], [1, null, 1e300]],
    ['FP16', ['1', 65520], [65504, null]],
    ['BF16', ['1', 3.4e38], [3e38, null]],
    ['INT8', [128, 1.5, null, '1', true, 1n], [-128, 127, -0]],
    ['UINT8', [256, -1, Number.NaN], [0, 255]],
    ['INT16', [32768], [-32768]],
    ['UINT16', [65536], [65535]],
    ['INT32', [2 ** 31, null, 0.1], [-(2 ** 31)]],
    ['UINT32', [-1, 2 ** 32], [2 ** 32 - 1]],
    ['INT64', [2 ** 53, 1.5, null, '1.0', '', 2n ** 63n], [5, -(2n ** 63n), '-9223372036854775808']],
    ['UINT64', [-1, '-1', 2n ** 64n], [0, '18446744073709551615']],
    ['BOOL', [1, 'true', null], [true, false]],
    ['BYTES', [1, null, true], ['', 'é', new Uint8Array([255])]],
  ] as const)('takes and refuses for %s what the type says', (datatype, bad, good) => {
    for (const value of bad) {
      if (value === undefined)
        expect(failure([{ f: value as never }], one(datatype)).code).toBe('TENSOR_FEATURE_MISSING')
      else if (Array.isArray(value)) expect(failure([{ f: value }], one(datatype)).code).toBe('TENSOR_FEATURE_SHAPE')
      else expect(failure([{ f: value as FeatureValue }], one(datatype)).code).toBe('TENSOR_FEATURE_TYPE')
    }
    for (const value of good) expect(rowsToTensors([{ f: value }], one(datatype)).get('f')!.shape).toEqual([1])
  })

  it('covers every datatype', () => {
    for (const datatype of DATATYPES) expect(one(datatype).features[0]!.datatype).toBe(datatype)
  })

  it('takes nested lists under the name of an input that is neither', () => {
    const image = schemaOf([spec('image', 'FP32', [-1, 2, 2, 1])])
    const pixels = [
      [[1], [2]],
      [[3], [4]],
    ]
    expect(rowsToTensors([{ image: pixels }, { image: [5, 6, 7, 8] }], image).get('image')).toEqual({
      name: 'image',
      datatype: 'FP32',
      shape: [2, 2, 2, 1],
      data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    })
    expect(
      failure(
        [
          {
            image: [
              [1, 2],
              [3, 4],
            ],
          },
        ],
        image,
      ),
    ).toMatchObject({
      code: 'TENSOR_FEATURE_SHAPE',
      params: { expected: [2, 2, 1], arrived: [2, 2] },
    })
    expect(failure([{ image: [[[1], [2]], [[3]]] }], image).code).toBe('TENSOR_FEATURE_SHAPE')
    expect(
      failure(
        [
          {
            image: [
              [[1], [2]],
              [[3], ['4']],
            ],
          },
        ],
        image,
      ).code,
    ).toBe('TENSOR_FEATURE_TYPE')
    expect(failure([{ image: 5 }], image).message).toContain('but a single value arrived')
  })

  it('takes sizes that vary from the first row, and holds the others to them', () => {
    const tokens = schemaOf([spec('tokens', 'INT64', [-1, -1])])
    expect(rowsToTensors([{ tokens: [1, 2, 3] }, { tokens: [4, 5, 6] }], tokens).get('tokens')).toMatchObject({
      shape: [2, 3],
      data: BigInt64Array.of(1n, 2n, 3n, 4n, 5n, 6n),
    })
    expect(failure([{ tokens: [1, 2, 3] }, { tokens: [4] }], tokens)).toMatchObject({
      code: 'TENSOR_FEATURE_SHAPE',
      params: { row: 1, expected: [3], arrived: [1] },
    })
    expect(rowsToTensors([{ tokens: [] }, { tokens: [] }], tokens).get('tokens')).toMatchObject({ shape: [2, 0] })
  })

  it('takes a whole row of a matrix under the name of its input', () => {
    expect(rowsToTensors([{ x: [1, 2, 3] }], matrix).get('x')!.data).toEqual(Float32Array.of(1, 2, 3))
    expect(failure([{ x: [1, 2] }], matrix).params).toMatchObject({ expected: [3], arrived: [2] })
    expect(failure([{ x: [1, 2, 3], age: 1 }], matrix).code).toBe('TENSOR_FEATURE_DUPLICATE')
  })

  it('refuses no rows, and many rows for a model without a batch axis', () => {
    expect(failure([], matrix).code).toBe('TENSOR_ROWS_EMPTY')
    const unbatched = schemaOf([spec('x', 'FP32', [2, 2])], undefined, null)
    expect(
      rowsToTensors(
        [
          {
            x: [
              [1, 2],
              [3, 4],
            ],
          },
        ],
        unbatched,
      ).get('x'),
    ).toMatchObject({ shape: [2, 2] })
    expect(failure([{ x: [1, 2, 3, 4] }, { x: [1, 2, 3, 4] }], unbatched)).toMatchObject({
      code: 'TENSOR_ROWS_NOT_BATCHABLE',
      params: { rows: 2 },
    })
  })

  it('bounds the strings of one input', () => {
    const tags = schemaOf([spec('tags', 'BYTES', [-1, -1])])
    const row = { tags: Array<string>(70_000).fill('') }
    expect(rowsToTensors([row], tags).get('tags')!.shape).toEqual([1, 70_000])
    expect(failure([row, row, row], tags)).toMatchObject({ code: 'TENSOR_STRINGS_TOO_MANY', status: 413 })
    expect(failure([{ tags: Array<string>(140_000).fill('') }], tags).status).toBe(413)
  })

  it('does not hold the memory of rows that have not arrived', () => {
    const wide = schemaOf([spec('image', 'FP32', [-1, 1000, 1000])])
    const before = process.memoryUsage().arrayBuffers
    const builder = new RowBuilder(wide, 1_000_000)
    expect(() => builder.put('image', [])).toThrow(HeadraceError)
    const free = schemaOf([spec('x', 'FP32', [-1, -1, -1])])
    const ragged = [Array<number>(10_000).fill(1), ...Array.from({ length: 100_000 }, () => [])]
    expect(failure([{ x: ragged }], free).code).toBe('TENSOR_FEATURE_SHAPE')
    const many = Array.from({ length: 10_000 }, () => ({ x: [] }))
    expect(failure([{ x: [Array<number>(10_000).fill(1)] }, ...many], free).code).toBe('TENSOR_FEATURE_SHAPE')
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20)
  })
})
