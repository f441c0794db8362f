import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EndpointName } from '../../core/index.js'
import { allocate, DATATYPES, type DataType, elementCount, type Tensor } from '../../tensor/index.js'
import type { CachePolicy, LeafInput } from '../types.js'
import { KeyWriter, MAX_KEY_BYTES } from './key.js'

const policy = (parts: Partial<CachePolicy> = {}): CachePolicy => ({
  endpoint: 'e' as EndpointName,
  key: 'tensors',
  ttlMs: 1000,
  scope: 'shared',
  staleMs: 0,
  ...parts,
})

function inputOf(tensors: readonly Tensor[], parts: Partial<LeafInput> = {}): LeafInput {
  return { tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])), rows: 1, outputs: undefined, ...parts }
}

function floats(name: string, values: readonly number[], shape = [1, values.length]): Tensor {
  return { name, datatype: 'FP32', shape, data: Float32Array.from(values) }
}

const writer = new KeyWriter()
const keyOf = (input: LeafInput, parts: Partial<CachePolicy> = {}) => writer.write(policy(parts), input, 7)

/** A tensor of any datatype, its bytes anything. */
const anyTensor = (name: string): fc.Arbitrary<Tensor> =>
  fc
    .record({
      datatype: fc.constantFrom<DataType>(...DATATYPES),
      shape: fc.array(fc.nat(3), { maxLength: 3 }),
      bytes: fc.uint8Array({ minLength: 0, maxLength: 300 }),
      texts: fc.array(fc.string(), { maxLength: 27 }),
    })
    .map(({ datatype, shape, bytes, texts }) => {
      const data = allocate(datatype, elementCount(shape))
      if (Array.isArray(data))
        for (let i = 0; i < data.length; i++) data[i] = Buffer.from(texts[i % texts.length] ?? '')
      else new Uint8Array(data.buffer).set(bytes.subarray(0, data.byteLength))
      return { name, datatype, shape, data }
    })

/** What a key stands for, spelled out: the slow obvious key. */
function spelled(input: LeafInput, { key, scope }: CachePolicy): string {
  const tensors = [...input.tensors.values()]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, datatype, shape, data }) => ({
      name,
      datatype,
      shape,
      data: Array.isArray(data)
        ? data.map((bytes) => bytes.toString('hex'))
        : Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex'),
    }))
  const what = key === 'request' && input.rawInputs !== undefined ? input.rawInputs : tensors
  const shapes = tensors.map(({ data: _, ...rest }) => rest)
  return JSON.stringify([key, what, shapes, input.outputs ?? null, scope === 'tenant' ? input.tenant : null])
}

describe('the cache key', () => {
  it('is the same for two requests exactly when they are the same, to the byte', () => {
    const tensors = fc
      .uniqueArray(fc.constantFrom('x', 'y', 'xy'), { minLength: 1 })
      .chain((names) => fc.tuple(...names.map(anyTensor)))
    const request = fc.record({
      tensors,
      outputs: fc.option(fc.array(fc.constantFrom('a', 'b', 'ab'), { maxLength: 2 }), { nil: undefined }),
      tenant: fc.constantFrom('t', 'tt'),
      rawInputs: fc.option(fc.constantFrom('[1]', '[1] ', '[\ud800]', '[\ud801]'), { nil: undefined }),
    })
    const policies = fc.record({
      key: fc.constantFrom<CachePolicy['key']>('tensors', 'request'),
      scope: fc.constantFrom<CachePolicy['scope']>('shared', 'tenant'),
    })
    fc.assert(
      fc.property(fc.array(request, { minLength: 2, maxLength: 12 }), policies, (requests, parts) => {
        const seen = new Map<string, string>()
        for (const { tensors, ...rest } of requests) {
          const input = inputOf(tensors, rest)
          const key = keyOf(input, parts)!
          const meaning = spelled(input, policy(parts))
          for (const [otherKey, other] of seen) expect(key === otherKey).toBe(meaning === other)
          seen.set(key, meaning)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('tells -0 from 0 and one NaN from another', () => {
    const nan = (bits: number) => {
      const data = new Float32Array(1)
      new Uint32Array(data.buffer)[0] = bits
      return { name: 'x', datatype: 'FP32' as const, shape: [1, 1], data }
    }
    const keys = [
      keyOf(inputOf([floats('x', [0])])),
      keyOf(inputOf([floats('x', [-0])])),
      keyOf(inputOf([nan(0x7fc00000)])),
      keyOf(inputOf([nan(0x7fc00001)])),
    ]
    expect(new Set(keys).size).toBe(4)
    expect(keyOf(inputOf([nan(0x7fc00001)]))).toBe(keys[3])
  })

  it('does not depend on the order of the inputs, nor on what was written before', () => {
    const [x, y] = [floats('x', [1]), floats('y', [2, 3])]
    const key = keyOf(inputOf([x, y]))
    keyOf(inputOf([floats('long', new Array(500).fill(9))]))
    expect(keyOf(inputOf([y, x]))).toBe(key)
  })

  it('lets BYTES that only joined are equal be different', () => {
    const texts = (...values: string[]): Tensor => ({
      name: 's',
      datatype: 'BYTES',
      shape: [values.length],
      data: values.map((text) => Buffer.from(text)),
    })
    expect(keyOf(inputOf([texts('ab', 'c')]))).not.toBe(keyOf(inputOf([texts('a', 'bc')])))
    expect(keyOf(inputOf([texts('', '')]))).not.toBe(keyOf(inputOf([texts('')])))
  })

  it('has zero rows of one width apart from zero rows of another', () => {
    expect(keyOf(inputOf([floats('x', [], [0, 3])]))).not.toBe(keyOf(inputOf([floats('x', [], [0, 4])])))
  })

  it('tells the same raw text of two protocols apart', () => {
    const of = (protocol: string) =>
      keyOf(inputOf([floats('x', [1, 2])], { rawInputs: Buffer.from('[1,2]'), protocol }), { key: 'request' })
    expect(of('oip')).not.toBe(of('kserve-v1'))
  })

  it('is 32 characters for whatever is larger than 256 bytes, and none at all beyond two megabytes', () => {
    expect(keyOf(inputOf([floats('x', new Array(1000).fill(1))]))).toHaveLength(32)
    const large = { name: 'x', datatype: 'FP32' as const, shape: [1], data: new Float32Array(MAX_KEY_BYTES / 4) }
    expect(keyOf(inputOf([large]))).toBeUndefined()
    expect(keyOf(inputOf([floats('x', [1])]))).toBeDefined()
  })
})
