import { describe, expect, it } from 'vitest'
import { describeFeatures, describeRows } from './row-schema.js'
import type { Signature } from './tensor.js'

const signature = (...inputs: Signature['inputs']): Signature => ({ inputs, outputs: [], batchAxis: 0 })
const x = { name: 'x', datatype: 'FP32', shape: [-1, 2] } as const

describe('describeFeatures', () => {
  it('makes a feature of each named column of a matrix', () => {
    expect(describeFeatures(signature(x), { features: ['a', 'b'] })).toEqual([
      { name: 'a', datatype: 'FP32', type: 'number', shape: [], size: 1 },
      { name: 'b', datatype: 'FP32', type: 'number', shape: [], size: 1 },
    ])
  })

  it('makes a feature of each input otherwise, with its type and size', () => {
    const inputs = [
      x,
      { name: 's', datatype: 'BYTES', shape: [-1, 1] },
      { name: 'b', datatype: 'BOOL', shape: [-1] },
      { name: 'i', datatype: 'UINT8', shape: [-1, 3, 4] },
      { name: 'h', datatype: 'FP16', shape: [-1, -1, 4] },
    ] as const
    expect(describeFeatures(signature(...inputs), { features: undefined })).toEqual([
      { name: 'x', datatype: 'FP32', type: 'number', shape: [2], size: 2 },
      { name: 's', datatype: 'BYTES', type: 'string', shape: [1], size: 1 },
      { name: 'b', datatype: 'BOOL', type: 'boolean', shape: [], size: 1 },
      { name: 'i', datatype: 'UINT8', type: 'integer', shape: [3, 4], size: 12 },
      { name: 'h', datatype: 'FP16', type: 'number', shape: [-1, 4], size: -1 },
    ])
  })

  it('refuses features that are not the columns of the graph', () => {
    for (const [inputs, features] of [
      [[x], ['a', 'b', 'c']],
      [[{ ...x, shape: [-1, 2, 2] }], ['a', 'b']],
      [
        [x, { ...x, name: 'y' }],
        ['a', 'b'],
      ],
    ] as const)
      expect(() => describeFeatures(signature(...inputs), { features })).toThrow(
        expect.objectContaining({ code: 'TENSOR_FEATURES_MISMATCH', status: 422 }),
      )
    expect(describeFeatures(signature(x, { ...x, name: 'y' }), { features: ['y', 'x'] })).toHaveLength(2)
  })
})

describe('describeRows', () => {
  it('survives the way to another thread', () => {
    const schema = describeRows(signature(x), { features: ['a', 'b'], outputs: {} }, ['l'])
    expect(structuredClone(schema)).toEqual(schema)
    expect(structuredClone(schema).featureIndex.get('b')).toBe(1)
  })
})
