import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import oracle from '../../test/fixtures/binary-tensors/binary-tensors.json' with { type: 'json' }
import { HeadraceError } from '../core/index.js'
import { binarySizeBytes, binaryTensor, readBinaryTensor, writeBinaryTensor } from './binary.js'
import { BINARY_INLINE_BYTES, binaryTensorInTurns, readBinaryTensorInTurns } from './binary-in-turns.js'
import { DATATYPES, type DataType, ELEMENT_BYTES, type TensorData } from './datatype.js'
import { bfloat16ToNumber, float16ToNumber } from './half.js'
import { MAX_STRINGS } from './json-scan.js'
import type { Tensor } from './tensor.js'

function failure(run: () => unknown): HeadraceError {
  try {
    run()
  } catch (error) {
    if (error instanceof HeadraceError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const tensorOf = (datatype: DataType, shape: readonly number[], data: TensorData): Tensor => ({
  name: 'x',
  datatype,
  shape,
  data,
})

/** Bytes that start `offset` after an address divisible by eight. */
function at(offset: number, bytes: Uint8Array): Uint8Array {
  const memory = new Uint8Array(bytes.length + 8)
  memory.set(bytes, offset)
  return memory.subarray(offset, offset + bytes.length)
}

function lengths(...elements: readonly number[]): Buffer {
  return Buffer.from(Uint32Array.from(elements).buffer)
}

const shapes = fc.array(fc.nat(4), { maxLength: 4 })
const product = (shape: readonly number[]): number => shape.reduce((count, size) => count * size, 1)

/** A tensor of any type but BYTES as its shape and any bytes at all: NaN payloads, subnormals, infinities. */
const numeric = fc.constantFrom(...DATATYPES.filter((datatype) => datatype !== 'BYTES')).chain((datatype) =>
  shapes.chain((shape) =>
    fc
      .uint8Array({
        minLength: product(shape) * ELEMENT_BYTES[datatype],
        maxLength: product(shape) * ELEMENT_BYTES[datatype],
        max: datatype === 'BOOL' ? 1 : 255,
      })
      .map((bytes) => ({ datatype, shape, bytes })),
  ),
)

const strings = shapes.chain((shape) =>
  fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: product(shape), maxLength: product(shape) }).map((elements) =>
    tensorOf(
      'BYTES',
      shape,
      elements.map((element) => Buffer.from(element)),
    ),
  ),
)

describe('the bytes of tritonclient', () => {
  const text: { readonly [D in DataType]?: (element: never) => string } = {
    BOOL: (element: number) => String(element === 1),
    FP16: (bits: number) => python(float16ToNumber(bits)),
    BF16: (bits: number) => python(bfloat16ToNumber(bits)),
    FP32: python,
    FP64: python,
    BYTES: (element: Buffer) => element.toString('base64'),
  }

  /** Numbers are compared as numbers: Python prints 1e-45 where JavaScript prints 1.4e-45. */
  function python(value: number): string {
    return Object.is(value, -0) ? '-0' : String(value)
  }

  it('covers every datatype', () => {
    expect(oracle.map(({ datatype }) => datatype)).toEqual([...DATATYPES])
  })

  it.each(oracle)('hold the elements of $datatype, and come back the same', ({ datatype, shape, elements, base64 }) => {
    const type = datatype as DataType
    const bytes = Buffer.from(base64, 'base64')
    const data = readBinaryTensor(bytes, 'x', type, shape)
    const isFloat = /^(FP|BF)/.test(type)
    const toText = (text[type] ?? String) as (element: unknown) => string
    expect(Array.from(data as ArrayLike<unknown>, toText)).toEqual(
      isFloat ? elements.map((element) => python(Number(element.replace('inf', 'Infinity')))) : elements,
    )
    expect(Buffer.from(binaryTensor(tensorOf(type, shape, data)))).toEqual(bytes)
  })
})

describe('readBinaryTensor', () => {
  it('gives back every bit, wherever the bytes stand', async () => {
    await fc.assert(
      fc.asyncProperty(numeric, fc.nat(7), async ({ datatype, shape, bytes }, offset) => {
        const source = at(offset, bytes)
        for (const data of [
          readBinaryTensor(Buffer.from(source.buffer, source.byteOffset, source.length), 'x', datatype, shape),
          readBinaryTensor(source, 'x', datatype, shape),
          await readBinaryTensorInTurns(source, 'x', datatype, shape),
        ]) {
          const tensor = tensorOf(datatype, shape, data)
          expect(data).toHaveLength(product(shape))
          expect(binarySizeBytes(tensor)).toBe(bytes.length)
          expect(Buffer.from(binaryTensor(tensor))).toEqual(Buffer.from(bytes))
        }
      }),
    )
  })

  it('gives back BYTES of any bytes, empty ones too', async () => {
    await fc.assert(
      fc.asyncProperty(strings, async (tensor) => {
        const bytes = binaryTensor(tensor)
        expect(bytes).toHaveLength(binarySizeBytes(tensor))
        expect(readBinaryTensor(bytes, 'x', 'BYTES', tensor.shape)).toEqual(tensor.data)
        expect(await readBinaryTensorInTurns(bytes, 'x', 'BYTES', tensor.shape)).toEqual(tensor.data)
      }),
    )
  })

  it('gives a view of aligned bytes and of the elements of BYTES, and copies only what is not aligned', () => {
    const memory = new Uint8Array(24)
    expect(readBinaryTensor(memory.subarray(8, 16), 'x', 'FP32', [2])).toMatchObject({
      buffer: memory.buffer,
      byteOffset: 8,
    })
    expect((readBinaryTensor(memory.subarray(2, 10), 'x', 'FP32', [2]) as Float32Array).buffer).not.toBe(memory.buffer)
    memory.set([3, 0, 0, 0, 65, 66, 67])
    const [element] = readBinaryTensor(memory.subarray(0, 7), 'x', 'BYTES', [1]) as Buffer[]
    expect(element).toMatchObject({ buffer: memory.buffer, byteOffset: 4, length: 3 })
  })

  it('takes what is not 0 in a BOOL as 1', async () => {
    const bytes = Uint8Array.of(0, 1, 2, 255)
    expect(readBinaryTensor(bytes, 'x', 'BOOL', [4])).toEqual(Uint8Array.of(0, 1, 1, 1))
    expect(await readBinaryTensorInTurns(bytes, 'x', 'BOOL', [4])).toEqual(Uint8Array.of(0, 1, 1, 1))
  })

  it('reads the same in turns when there is much of it', async () => {
    const flags = new Uint8Array(BINARY_INLINE_BYTES + 5).fill(1)
    flags[flags.length - 1] = 9
    const read = (await readBinaryTensorInTurns(flags, 'x', 'BOOL', [flags.length])) as Uint8Array
    expect(Buffer.compare(read, flags.fill(1))).toBe(0)
    const words = Array.from({ length: 20_000 }, (_, i) => Buffer.from(String(i)))
    const bytes = binaryTensor(tensorOf('BYTES', [words.length], words))
    expect(await readBinaryTensorInTurns(bytes, 'x', 'BYTES', [words.length])).toEqual(words)
    expect(Buffer.compare(await binaryTensorInTurns(tensorOf('BYTES', [words.length], words)), bytes)).toBe(0)
  })

  it('refuses every length but the right one', () => {
    fc.assert(
      fc.property(numeric, fc.nat(40), ({ datatype, shape, bytes }, length) => {
        fc.pre(length !== bytes.length)
        const error = failure(() => readBinaryTensor(new Uint8Array(length), 'x', datatype, shape))
        expect(error.code).toBe('TENSOR_BINARY_LENGTH')
      }),
    )
    fc.assert(
      fc.property(strings, fc.integer({ min: -8, max: 8 }), (tensor, change) => {
        const bytes = binaryTensor(tensor)
        fc.pre(change !== 0 && bytes.length + change >= 0)
        const resized = new Uint8Array(bytes.length + change)
        resized.set(bytes.subarray(0, resized.length))
        expect(failure(() => readBinaryTensor(resized, 'x', 'BYTES', tensor.shape)).code).toBe('TENSOR_BINARY_LENGTH')
      }),
    )
  })

  it.each([
    ['points past the end', [2], Buffer.concat([lengths(1), Buffer.from('a'), lengths(9)]), 'element 1'],
    ['is 2^32 - 1', [1], lengths(0xffffffff), 'element 0'],
    ['is cut', [2], Buffer.concat([lengths(2), Buffer.from('abcd')]), 'element 1'],
  ])('refuses BYTES whose length %s', (_what, shape, bytes, where) => {
    const error = failure(() => readBinaryTensor(bytes, 'x', 'BYTES', shape))
    expect(error).toMatchObject({ code: 'TENSOR_BINARY_LENGTH', status: 400 })
    expect(error.message).toContain(where)
  })

  it.each([
    ['a negative size', [2, -3]],
    ['a negative size that another one makes positive', [-2, -2]],
    ['a fraction', [1.5]],
    ['NaN', [Number.NaN]],
    ['a size beyond 2^53', [2 ** 63]],
    ['a product beyond 2^53', [2 ** 27, 2 ** 27]],
    ['a product that wraps to a small one in 64 bits', [2 ** 32, 2 ** 32]],
    ['an infinite product beside a 0', [...Array.from({ length: 30 }, () => 2 ** 52), 0]],
    ['33 sizes', Array.from({ length: 33 }, () => 1)],
  ])('refuses a shape with %s', (_what, shape) => {
    for (const datatype of DATATYPES)
      expect(failure(() => readBinaryTensor(new Uint8Array(16), 'x', datatype, shape)).code).toBe(
        'TENSOR_SHAPE_INVALID',
      )
  })

  it('allocates nothing for a shape that the bytes cannot fill', () => {
    for (const datatype of DATATYPES)
      expect(failure(() => readBinaryTensor(new Uint8Array(16), 'x', datatype, [2 ** 50])).code).toBe(
        'TENSOR_BINARY_LENGTH',
      )
  })

  it('takes a shape with a 0 in it and no bytes', () => {
    for (const datatype of DATATYPES)
      expect(readBinaryTensor(new Uint8Array(0), 'x', datatype, [0, 2 ** 40])).toHaveLength(0)
  })

  it('refuses more strings than a request may bring', () => {
    const bytes = new Uint8Array((MAX_STRINGS + 1) * 4)
    expect(failure(() => readBinaryTensor(bytes, 'x', 'BYTES', [MAX_STRINGS + 1])).code).toBe('TENSOR_STRINGS_TOO_MANY')
    expect(readBinaryTensor(bytes.subarray(4), 'x', 'BYTES', [MAX_STRINGS])).toHaveLength(MAX_STRINGS)
  })
})

describe('writeBinaryTensor', () => {
  it('writes tensors one after the other and tells where the next one goes', () => {
    const into = new Uint8Array(16).fill(9)
    const flags = tensorOf('BOOL', [2], Uint8Array.of(1, 0))
    const words = tensorOf('BYTES', [2], [Buffer.from('ab'), Buffer.alloc(0)])
    const next = writeBinaryTensor(flags, into, 1)
    expect(writeBinaryTensor(words, into, next)).toBe(13)
    expect([...into]).toEqual([9, 1, 0, 2, 0, 0, 0, 97, 98, 0, 0, 0, 0, 9, 9, 9])
  })
})
