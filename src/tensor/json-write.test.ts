import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type DataType, ELEMENT_BYTES, type TensorData } from './datatype.js'
import {
  dataToJson,
  elementToJson,
  estimateJsonBytes,
  isStrictJson,
  quoteJson,
  tensorToJson,
  writeTensorJson,
} from './json-write.js'
import type { Tensor } from './tensor.js'

const tensor = (datatype: DataType, data: TensorData, shape = [data.length]): Tensor => ({
  name: 'y',
  datatype,
  shape,
  data,
})

describe('tensorToJson', () => {
  it('writes the members of an Open Inference Protocol tensor, flat', () => {
    expect(tensorToJson(tensor('FP32', Float32Array.of(0.5, 1, -2, 3), [2, 2]))).toBe(
      '{"name":"y","datatype":"FP32","shape":[2,2],"data":[0.5,1,-2,3]}',
    )
    expect(tensorToJson(tensor('FP32', new Float32Array(0), [0, 2]))).toBe(
      '{"name":"y","datatype":"FP32","shape":[0,2],"data":[]}',
    )
  })

  it('writes every type so that nothing is lost', () => {
    const data = (t: Tensor): string => tensorToJson(t).split('"data":')[1]!.slice(0, -1)
    expect(data(tensor('BOOL', Uint8Array.of(0, 1)))).toBe('[false,true]')
    expect(data(tensor('INT64', BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n)))).toBe(
      '[-9223372036854775808,9223372036854775807]',
    )
    expect(data(tensor('UINT64', BigUint64Array.of(2n ** 64n - 1n)))).toBe('[18446744073709551615]')
    expect(data(tensor('FP64', Float64Array.of(Number.NaN, 1 / 0, -1 / 0, -0, 5e-324)))).toBe(
      '[NaN,Infinity,-Infinity,-0.0,5e-324]',
    )
    expect(data(tensor('FP32', Float32Array.of(0.1)))).toBe('[0.10000000149011612]')
    expect(data(tensor('FP16', Uint16Array.of(0x3c00, 0x8000, 0x7c00)))).toBe('[1,-0.0,Infinity]')
    expect(data(tensor('BF16', Uint16Array.of(0x3f80, 0xff80)))).toBe('[1,-Infinity]')
    expect(data(tensor('BYTES', [Buffer.from('a"é\n'), Buffer.alloc(0)]))).toBe('["a\\"é\\n",""]')
  })

  it('writes many numbers as it writes each of them', () => {
    const special = fc.constantFrom(0, -0, Number.NaN, Number.POSITIVE_INFINITY, 1e21, 5e-324, 1.5)
    const numbers = fc.array(fc.oneof({ weight: 20, arbitrary: fc.double() }, special), {
      minLength: 10,
      maxLength: 40,
    })
    fc.assert(
      fc.property(numbers, fc.boolean(), (list, single) => {
        const many = single ? tensor('FP32', Float32Array.from(list)) : tensor('FP64', Float64Array.from(list))
        expect(dataToJson(many, 0, list.length)).toBe(list.map((_, i) => elementToJson(many, i)).join(','))
      }),
    )
  })

  it('refuses bytes that are not text, naming the element and the way out', () => {
    expect(() => tensorToJson(tensor('BYTES', [Buffer.from('a'), Buffer.from([0xff])]))).toThrow(
      /Element 1 of output "y" is not UTF-8 text.*binary_data/,
    )
  })

  it('gives the same text in pieces of bounded size', () => {
    const data = Float64Array.from({ length: 20_000 }, (_, i) => Math.sin(i))
    const pieces: string[] = []
    writeTensorJson(tensor('FP64', data), (piece) => pieces.push(piece))
    expect(pieces.join('')).toBe(tensorToJson(tensor('FP64', data)))
    expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThan(200_000)
  })

  it('is estimated on the high side', () => {
    const rows: [DataType, TensorData][] = [
      ['FP32', Float32Array.from({ length: 100 }, (_, i) => Math.sin(i) * 10)],
      ['FP64', Float64Array.from({ length: 100 }, (_, i) => -Math.sin(i))],
      ['INT64', BigInt64Array.of(-(2n ** 63n))],
      ['UINT8', Uint8Array.of(255, 255)],
      ['BOOL', Uint8Array.of(0, 0)],
      ['BYTES', [Buffer.from('abc'), Buffer.from('')]],
    ]
    for (const [datatype, data] of rows) {
      const text = tensorToJson(tensor(datatype, data))
      expect(estimateJsonBytes(tensor(datatype, data))).toBeGreaterThanOrEqual(text.length)
      expect(estimateJsonBytes(tensor(datatype, data))).toBeLessThan(text.length * 2 + 100)
    }
    expect(Object.keys(ELEMENT_BYTES)).toHaveLength(14)
  })
})

describe('isStrictJson', () => {
  it('tells whether every JSON reader takes the text', () => {
    const rows: [DataType, TensorData, boolean][] = [
      ['FP32', Float32Array.of(1, Number.NaN), false],
      ['FP64', Float64Array.of(1 / 0), false],
      ['FP64', Float64Array.of(1, -0), true],
      ['FP16', Uint16Array.of(0x7bff, 0x7c00), false],
      ['FP16', Uint16Array.of(0x7bff), true],
      ['BF16', Uint16Array.of(0xff80), false],
      ['BF16', Uint16Array.of(0x7f7f), true],
      ['UINT16', Uint16Array.of(0xffff), true],
      ['BYTES', [Buffer.from('NaN')], true],
    ]
    for (const [datatype, data, expected] of rows) {
      expect(isStrictJson(tensor(datatype, data))).toBe(expected)
      const parses = (): unknown => JSON.parse(tensorToJson(tensor(datatype, data)))
      if (expected) parses()
      else expect(parses).toThrow(SyntaxError)
    }
  })
})

describe('quoteJson', () => {
  it('equals JSON.stringify for every string', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(JSON.parse(quoteJson(text))).toBe(text)
        expect(quoteJson(text)).toBe(JSON.stringify(text))
      }),
    )
    for (let code = 0; code < 300; code++)
      expect(quoteJson(String.fromCharCode(code))).toBe(JSON.stringify(String.fromCharCode(code)))
  })
})
