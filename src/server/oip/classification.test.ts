import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import oracle from '../../../test/fixtures/classification/classification.json' with { type: 'json' }
import { MAX_STRINGS, numberToFloat16, type Tensor, type TensorData } from '../../tensor/index.js'
import { classify } from './classification.js'

const ARRAYS: Readonly<Record<string, (values: readonly string[]) => TensorData>> = {
  FP32: (values) => Float32Array.from(values, toNumber),
  FP64: (values) => Float64Array.from(values, toNumber),
  INT64: (values) => BigInt64Array.from(values, BigInt),
  INT32: (values) => Int32Array.from(values, Number),
  UINT8: (values) => Uint8Array.from(values, Number),
}

/** Python writes `inf`. */
function toNumber(text: string): number {
  return Number(text.replace('inf', 'Infinity'))
}

const texts = ({ data }: Tensor): string[] => (data as Buffer[]).map((element) => element.toString())

const floats = (values: readonly number[], shape: readonly number[]): Tensor => ({
  name: 'p',
  datatype: 'FP32',
  shape,
  data: Float32Array.from(values),
})

describe('classify', () => {
  it.each(oracle)('orders and writes $datatype as NumPy and C do', ({ datatype, values, classes }) => {
    const data = ARRAYS[datatype]!(values)
    const tensor = { name: 'p', datatype, shape: [1, values.length], data } as Tensor
    expect(texts(classify(tensor, values.length, undefined, true))).toEqual(classes)
  })

  it('takes the same as sorting all would, for any k', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 1, maxLength: 40 }), fc.nat(45), (row, k) => {
        const order = row.map((_, i) => i).sort((a, b) => row[b]! - row[a]! || a - b)
        const expected = order.slice(0, k).map((i) => `${row[i]!}.000000:${i}`)
        const tensor = classify(floats(row, [1, row.length]), k, undefined, true)
        expect(texts(tensor).map((text) => text.replace('-0.0', '0.0'))).toEqual(expected)
        expect(tensor).toMatchObject({ name: 'p', datatype: 'BYTES', shape: [1, expected.length] })
      }),
    )
  })

  it('takes each row by itself, with labels where there is one for each element', () => {
    const tensor = floats([1, 2, 3, 6, 5, 4], [2, 3])
    const labels = ['a', 'b', 'c']
    expect(texts(classify(tensor, 1, labels, true))).toEqual(['3.000000:2:c', '6.000000:0:a'])
    expect(texts(classify(tensor, 1, ['a', 'b'], true))).toEqual(['3.000000:2', '6.000000:0'])
  })

  it('takes the whole output of a model without a batch axis', () => {
    const tensor = classify(floats([1, 9, 3, 4], [2, 2]), 3, undefined, false)
    expect([tensor.shape, texts(tensor)]).toEqual([[3], ['9.000000:1', '4.000000:3', '3.000000:2']])
  })

  it('puts NaN last', () => {
    const tensor = classify(floats([Number.NaN, 1, Number.NaN, Number.NEGATIVE_INFINITY], [1, 4]), 4, undefined, true)
    expect(texts(tensor)).toEqual(['1.000000:1', '-inf:3', 'nan:0', 'nan:2'])
  })

  it('reads FP16 and BF16 as the numbers they are', () => {
    const data = Uint16Array.of(numberToFloat16(-2), numberToFloat16(0.5))
    expect(texts(classify({ name: 'p', datatype: 'FP16', shape: [1, 2], data }, 1, undefined, true))).toEqual([
      '0.500000:1',
    ])
  })

  it('gives nothing for no rows and no elements', () => {
    expect(classify(floats([], [0, 3]), 2, undefined, true)).toMatchObject({ shape: [0, 0], data: [] })
    expect(classify(floats([], [2, 0]), 2, undefined, true)).toMatchObject({ shape: [2, 0], data: [] })
  })

  it('refuses BYTES, and more elements than a reply may bring', () => {
    const bytes: Tensor = { name: 'p', datatype: 'BYTES', shape: [1], data: [Buffer.from('a')] }
    const many = floats(new Array<number>(MAX_STRINGS + 1).fill(0), [1, MAX_STRINGS + 1])
    for (const tensor of [bytes, many])
      expect(() => classify(tensor, MAX_STRINGS + 1, undefined, true)).toThrow(
        expect.objectContaining({ code: 'OIP_CLASSIFICATION_INVALID', status: 400 }),
      )
  })
})
