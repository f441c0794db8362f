import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeadraceError } from '../core/index.js'
import { DATATYPES, type DataType, type TensorData } from './datatype.js'
import { numberToBfloat16, numberToFloat16 } from './half.js'
import { JsonReader } from './json-reader.js'
import { inferShape, MAX_STRINGS, readTensorData } from './json-scan.js'
import { dataToJson, tensorToJson } from './json-write.js'
import type { Tensor } from './tensor.js'

function read(text: string, datatype: DataType, shape: readonly number[], acceptsBase64 = false): TensorData {
  const reader = new JsonReader(Buffer.from(text), 'non-finite')
  const data = readTensorData(reader, 'x', datatype, shape, { acceptsBase64 })
  reader.finish()
  return data
}

function failure(run: () => unknown): HeadraceError {
  try {
    run()
  } catch (error) {
    if (error instanceof HeadraceError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const bits = (max: bigint) => fc.oneof(fc.bigInt(0n, max), fc.constantFrom(0n, 1n, max, max - 1n, 1n << 53n))
const bytes = fc.string({ unit: 'grapheme' }).map((text) => Buffer.from(text))
const patterns = fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 0x8000, 0x7c00, 0xfc00, 0x7f80, 0xff80, 1, 0x8001))

const DATA: { readonly [D in DataType]: fc.Arbitrary<TensorData> } = {
  BOOL: fc.array(fc.nat(1)).map((list) => Uint8Array.from(list)),
  UINT8: fc.array(fc.nat(255)).map((list) => Uint8Array.from(list)),
  UINT16: fc.array(fc.nat(65535)).map((list) => Uint16Array.from(list)),
  UINT32: fc.array(fc.nat(4294967295)).map((list) => Uint32Array.from(list)),
  UINT64: fc.array(bits(2n ** 64n - 1n)).map((list) => BigUint64Array.from(list)),
  INT8: fc.array(fc.integer({ min: -128, max: 127 })).map((list) => Int8Array.from(list)),
  INT16: fc.array(fc.integer({ min: -32768, max: 32767 })).map((list) => Int16Array.from(list)),
  INT32: fc.array(fc.integer({ min: -2147483648, max: 2147483647 })).map((list) => Int32Array.from(list)),
  INT64: fc
    .array(fc.tuple(bits(2n ** 63n - 1n), fc.boolean()))
    .map((list) => BigInt64Array.from(list, ([value, negative]) => (negative ? -value - 1n : value))),
  FP16: fc.array(patterns).map((list) => Uint16Array.from(list, canonicalHalf)),
  BF16: fc.array(patterns).map((list) => Uint16Array.from(list, canonicalBfloat)),
  FP32: fc.array(fc.float()).map((list) => Float32Array.from(list)),
  FP64: fc.array(fc.double()).map((list) => Float64Array.from(list)),
  BYTES: fc.array(bytes),
}

/** JSON has one NaN only. */
function canonicalHalf(pattern: number): number {
  return (pattern & 0x7c00) === 0x7c00 && (pattern & 0x3ff) !== 0 ? 0x7e00 : pattern
}
function canonicalBfloat(pattern: number): number {
  return (pattern & 0x7f80) === 0x7f80 && (pattern & 0x7f) !== 0 ? 0x7fc0 : pattern
}

/** Text of the same elements, nested as a shape says. */
function nest(tensor: Tensor, axis: number, from: number, size: number): string {
  if (axis === tensor.shape.length) return dataToJson(tensor, from, from + 1)
  const length = tensor.shape[axis]!
  const inner = length === 0 ? 0 : size / length
  return `[${Array.from({ length }, (_, i) => nest(tensor, axis + 1, from + i * inner, inner)).join(' , ')}]`
}

function divisors(length: number): number[] {
  return Array.from({ length }, (_, i) => i + 1).filter((divisor) => length % divisor === 0)
}

describe.each(DATATYPES)('%s', (datatype) => {
  it('reads back exactly what was written, flat or nested', () => {
    fc.assert(
      fc.property(DATA[datatype], fc.nat(), (data, choice) => {
        const rows = divisors(data.length)[choice % Math.max(1, divisors(data.length).length)] ?? 0
        const shape = data.length === 0 ? [choice % 3, 0] : [rows, data.length / rows, 1]
        const tensor: Tensor = { name: 'x', datatype, shape, data }
        expect(read(`[${dataToJson(tensor, 0, data.length)}]`, datatype, shape)).toEqual(data)
        const nested = nest(tensor, 0, 0, data.length)
        expect(read(nested, datatype, shape)).toEqual(data)
        if (data.length > 0) {
          const reader = new JsonReader(Buffer.from(nested), 'non-finite')
          expect(inferShape(reader)).toEqual(shape)
          expect(reader.position).toBe(0)
        }
      }),
    )
  })

  it('throws nothing but 4xx for data that is damaged or of another type', () => {
    const values = fc.oneof(
      fc.json({ maxDepth: 3 }),
      fc.constantFrom('NaN', '-Infinity', '1e400', '"NaN"', '{"b64":"a"}'),
    )
    fc.assert(
      fc.property(
        fc.array(values, { maxLength: 6 }),
        fc.array(fc.nat(4), { maxLength: 4 }),
        fc.nat(),
        (list, shape, cut) => {
          const text = `[${list.join(',')}]`.slice(0, cut % 3 === 0 ? cut % 40 : undefined)
          try {
            const data = read(text, datatype, shape, true)
            expect(data.length).toBe(shape.reduce((product, size) => product * size, 1))
          } catch (error) {
            if (!(error instanceof HeadraceError)) throw error
            expect(error.status).toBe(400)
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('readTensorData', () => {
  it.each([
    ['INT8', '-129', 'from -128 to 127'],
    ['INT8', '128', 'from -128 to 127'],
    ['UINT8', '-1', 'from 0 to 255'],
    ['UINT8', '256', 'from 0 to 255'],
    ['INT16', '32768', 'from -32768 to 32767'],
    ['UINT16', '65536', 'from 0 to 65535'],
    ['INT32', '2147483648', 'from -2147483648 to 2147483647'],
    ['UINT32', '-1', 'from 0 to 4294967295'],
    ['UINT32', '4294967296', 'from 0 to 4294967295'],
    ['INT64', '9223372036854775808', 'from -9223372036854775808 to 9223372036854775807'],
    ['INT64', '-9223372036854775809', 'from -9223372036854775808'],
    ['INT64', '1e300', 'a whole number'],
    ['UINT64', '18446744073709551616', 'to 18446744073709551615'],
    ['UINT64', '-1', 'from 0'],
    ['INT32', '1.5', 'a whole number'],
    ['INT64', '0.5', 'a whole number'],
    ['INT32', '"1"', 'a whole number'],
    ['INT32', 'NaN', 'a whole number'],
    ['INT64', 'Infinity', 'a whole number'],
    ['FP16', '65520', 'from -65504 to 65504'],
    ['BF16', '3.4e38', 'range of BF16'],
    ['FP32', '3.5e38', 'range of FP32'],
    ['FP64', '1e309', 'range of FP64'],
    ['FP32', '"1"', 'a number'],
    ['FP32', 'true', 'a number'],
    ['FP32', 'null', 'a number'],
    ['BOOL', '1', 'true or false'],
    ['BYTES', '1', 'a string'],
    ['BYTES', '{"b64":"YQ=="}', 'a string'],
  ] as const)('refuses for %s the element %s', (datatype, element, expected) => {
    const good = { BOOL: 'true', BYTES: '"a"' }[datatype as string] ?? '1'
    const error = failure(() => read(`[${good}, ${element}]`, datatype, [2]))
    expect(error).toMatchObject({ code: 'TENSOR_ELEMENT_INVALID', status: 400 })
    expect(error.message).toContain('Element 1 of input "x"')
    expect(error.message).toContain(expected)
    expect(error.message).toContain(`\`${element}\``)
    expect(error.params).toMatchObject({ index: 1, offset: good.length + 3 })
  })

  it('takes whole numbers written with a fraction or an exponent', () => {
    expect(read('[1.0, 1e3, -2.50e1, -0]', 'INT32', [4])).toEqual(Int32Array.of(1, 1000, -25, 0))
    expect(read('[1.0, 1e3, -0.0]', 'INT64', [3])).toEqual(BigInt64Array.of(1n, 1000n, 0n))
  })

  it('takes NaN and infinities as tokens or strings, and rounds to the type', () => {
    const values = '[NaN, "NaN", Infinity, "Infinity", -Infinity, "-Infinity", 0.1, -0.0]'
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number
    const expected = [nan, nan, inf, inf, -inf, -inf, 0.1, -0]
    expect(read(values, 'FP64', [8])).toEqual(Float64Array.from(expected))
    expect(read(values, 'FP32', [8])).toEqual(Float32Array.from(expected))
    expect(read(values, 'FP16', [8])).toEqual(Uint16Array.from(expected, numberToFloat16))
    expect(read(values, 'BF16', [8])).toEqual(Uint16Array.from(expected, numberToBfloat16))
  })

  it('takes base64 only where it is accepted', () => {
    expect(read('["a", {"b64": "/wA="}, { "b64" : "_w" }]', 'BYTES', [3], true)).toEqual([
      Buffer.from('a'),
      Buffer.from([0xff, 0]),
      Buffer.from([0xff]),
    ])
    for (const text of ['[{"b64": "*"}]', '[{"b64": 1}]', '[{}]', '[{"b64":"YQ","b64":"YQ"}]', '[{"c":"YQ"}]'])
      expect(failure(() => read(text, 'BYTES', [1], true)).code).toBe('TENSOR_ELEMENT_INVALID')
  })

  it('takes a scalar by itself or in a list', () => {
    expect(read('5', 'INT32', [])).toEqual(Int32Array.of(5))
    expect(read('[5]', 'INT32', [])).toEqual(Int32Array.of(5))
    expect(failure(() => read('5', 'INT32', [1])).code).toBe('TENSOR_JSON_UNEXPECTED')
  })

  it('counts the elements that arrived when they are not as many as the shape says', () => {
    expect(failure(() => read('[1,2,3]', 'FP32', [1, 2])).params).toMatchObject({ expected: 2, elements: 3 })
    expect(failure(() => read('[1]', 'FP32', [1, 2])).params).toMatchObject({ expected: 2, elements: 1 })
    expect(failure(() => read('[]', 'FP32', [1, 2])).code).toBe('TENSOR_LENGTH_MISMATCH')
    expect(read('[]', 'FP32', [0, 2])).toEqual(new Float32Array(0))
  })

  it('says on which axis nested data leaves its shape', () => {
    expect(failure(() => read('[[1,2],[3]]', 'FP32', [2, 2])).message).toBe(
      'The nested data of input "x" does not follow its shape [2,2]: axis 1 needs a list of 2, but a list of 1 arrived at byte 7. Nest the data as the shape says, or send it flat.',
    )
    expect(failure(() => read('[[1],[2],[3]]', 'FP32', [2, 1])).params).toMatchObject({
      axis: 0,
      arrived: 'a list of 3',
    })
    expect(failure(() => read('[[1,2],3]', 'FP32', [2, 2])).params).toMatchObject({
      axis: 1,
      arrived: 'a single element',
    })
    for (const [text, shape] of [
      ['[[[1],[2]]]', [1, 2]],
      ['[1,[2]]', [2]],
      ['[[5]]', []],
    ] as const) {
      const error = failure(() => read(text, 'FP32', shape))
      expect(error.code).toBe('TENSOR_NESTING_MISMATCH')
      expect(error.message).toContain(`axis ${shape.length} needs single elements, but a list arrived`)
    }
  })

  it('reports a broken document as that, and not as a wrong element', () => {
    expect(failure(() => read('[1, x]', 'INT32', [2])).code).toBe('TENSOR_JSON_INVALID')
    expect(failure(() => read('[1, [2', 'INT32', [2])).code).toBe('TENSOR_JSON_INVALID')
    expect(failure(() => read('["a\\x"]', 'BYTES', [1])).code).toBe('TENSOR_JSON_INVALID')
    expect(failure(() => read('["\\ud800"]', 'BYTES', [1])).message).toContain('surrogate')
  })

  it.each([
    [[-1], 'has the size -1 on axis 0'],
    [[1.5], 'has the size 1.5 on axis 0'],
    [[2 ** 53], 'has the size'],
    [[2 ** 31, 2 ** 31], 'more elements than can be counted'],
    [Array(40).fill(1), 'has 40 sizes'],
    [Array(32).fill(2 ** 50), 'more elements than can be counted'],
    [[...Array(31).fill(2 ** 50), 0], 'more elements than can be counted'],
  ])('refuses the shape %s', (shape, problem) => {
    const error = failure(() => read('[1]', 'FP32', shape))
    expect(error.code).toBe('TENSOR_SHAPE_INVALID')
    expect(error.message).toContain(problem)
  })

  it('allocates by the text that is there and not by the shape that is claimed', () => {
    const before = process.memoryUsage().arrayBuffers
    for (const datatype of DATATYPES)
      expect(failure(() => read('[1,2,3]', datatype, [1 << 20, 1 << 20])).code).toBe('TENSOR_LENGTH_MISMATCH')
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20)
  })

  it('bounds the strings of one tensor', () => {
    const text = `[${'"",'.repeat(MAX_STRINGS)}""]`
    expect(failure(() => read(text, 'BYTES', [MAX_STRINGS + 1]))).toMatchObject({
      code: 'TENSOR_STRINGS_TOO_MANY',
      status: 413,
    })
  })

  it('reads millions of elements', () => {
    const data = Float32Array.from({ length: 1_000_000 }, (_, i) => Math.fround(Math.sin(i)))
    const text = tensorToJson({ name: 'x', datatype: 'FP32', shape: [1000, 1000], data })
    const back = read(text.slice(text.indexOf('"data":') + 7, -1), 'FP32', [1000, 1000]) as Float32Array
    // `toEqual` takes ten seconds for a million elements.
    expect(Buffer.from(back.buffer).equals(Buffer.from(data.buffer))).toBe(true)
  })
})
