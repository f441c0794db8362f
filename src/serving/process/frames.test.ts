import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DATATYPES, type Tensor, type TensorData } from '../../tensor/index.js'
import { type Frame, FrameError, FrameReader, writeFrame } from './frames.js'

/** What was written, as one piece. */
function bytesOf(...frames: Parameters<typeof writeFrame> extends [unknown, ...infer Rest] ? Rest[] : never): Buffer {
  const stream = new PassThrough({ highWaterMark: 2 ** 30 })
  for (const frame of frames) writeFrame(stream, ...frame)
  return (stream.read() as Buffer | null) ?? Buffer.alloc(0)
}

function readAll(chunks: readonly Buffer[]): Frame[] {
  const frames: Frame[] = []
  const reader = new FrameReader((frame) => frames.push(frame))
  for (const chunk of chunks) reader.push(chunk)
  return frames
}

const tensor = (datatype: Tensor['datatype'], shape: readonly number[], data: TensorData): Tensor => ({
  name: '',
  datatype,
  shape,
  data,
})

const anyTensor: fc.Arbitrary<Tensor> = fc.constantFrom(...DATATYPES).chain((datatype) => {
  const sized = <T>(values: fc.Arbitrary<T[]>, make: (values: T[]) => TensorData) =>
    values.map((list) => tensor(datatype, [1, list.length], make(list)))
  switch (datatype) {
    case 'BYTES':
      return sized(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), (list) =>
        list.map((b) => Buffer.from(b)),
      )
    case 'BOOL':
      return sized(fc.array(fc.nat(1)), (list) => Uint8Array.from(list))
    case 'INT64':
      return sized(fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })), (list) => BigInt64Array.from(list))
    case 'UINT64':
      return sized(fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })), (list) => BigUint64Array.from(list))
    case 'FP64':
      return sized(fc.array(fc.double()), (list) => Float64Array.from(list))
    case 'FP32':
      return sized(fc.array(fc.float()), (list) => Float32Array.from(list))
    case 'UINT8':
      return sized(fc.array(fc.nat(255)), (list) => Uint8Array.from(list))
    case 'INT8':
      return sized(fc.array(fc.integer({ min: -128, max: 127 })), (list) => Int8Array.from(list))
    case 'INT16':
      return sized(fc.array(fc.integer({ min: -32768, max: 32767 })), (list) => Int16Array.from(list))
    case 'INT32':
      return sized(fc.array(fc.integer()), (list) => Int32Array.from(list))
    case 'UINT32':
      return sized(fc.array(fc.nat()), (list) => Uint32Array.from(list))
    case 'UINT16':
    case 'FP16':
    case 'BF16':
      return sized(fc.array(fc.nat(65535)), (list) => Uint16Array.from(list))
  }
})

describe('frames', () => {
  it('arrive as they were sent, however the pipe cuts them', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            kind: fc.nat(255),
            id: fc.nat(),
            head: fc.uint8Array(),
            tensors: fc.array(anyTensor, { maxLength: 4 }),
          }),
          { maxLength: 4 },
        ),
        fc.infiniteStream(fc.integer({ min: 1, max: 70 })),
        (sent, cuts) => {
          const framed = sent.map(({ kind, id, head, tensors }) => ({
            kind,
            id,
            head: Buffer.from(head),
            tensors: tensors.map((one, index) => ({ index, tensor: one })),
          }))
          const bytes = bytesOf(
            ...framed
              .map(({ kind, id, head, tensors }) => [kind, id, head, tensors] as const)
              .map((f) => [...f] as [number, number, Buffer, (typeof f)[3]]),
          )
          const chunks: Buffer[] = []
          for (let at = 0; at < bytes.length; ) {
            const end = at + cuts.next().value!
            chunks.push(bytes.subarray(at, end))
            at = end
          }
          expect(readAll(chunks)).toEqual(framed)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('gives each tensor memory of its own, so that it can be handed on', () => {
    const data = Float32Array.from({ length: 100 }, (_, i) => i)
    const [frame] = readAll([bytesOf([1, 2, Buffer.alloc(3), [{ index: 0, tensor: tensor('FP32', [100], data) }]])])
    const back = frame!.tensors[0]!.tensor.data as Float32Array
    expect(back).toEqual(data)
    expect(back.buffer.byteLength).toBe(400)
  })

  it.each([
    ['no mark', (bytes: Buffer) => bytes.fill(0x20, 0, 4)],
    ['a head of 4 GB', (bytes: Buffer) => bytes.writeUInt32LE(2 ** 32 - 1, 12)],
    ['60,000 tensors', (bytes: Buffer) => bytes.writeUInt16LE(60_000, 6)],
    ['more about its tensors than there can be', (bytes: Buffer) => bytes.writeUInt32LE(2 ** 31, 16)],
    ['less about its tensors than there must be', (bytes: Buffer) => bytes.writeUInt32LE(4, 16)],
    ['a datatype that is none', (bytes: Buffer) => bytes.writeUInt8(99, 22)],
    ['dimensions beyond its end', (bytes: Buffer) => bytes.writeUInt8(200, 23)],
    ['a tensor of 2^50 bytes', (bytes: Buffer) => bytes.writeDoubleLE(2 ** 50, 24)],
    ['a length that is no number', (bytes: Buffer) => bytes.writeDoubleLE(Number.NaN, 24)],
    ['a shape that needs other bytes', (bytes: Buffer) => bytes.writeDoubleLE(5, 32)],
    ['a negative size', (bytes: Buffer) => bytes.writeDoubleLE(-2, 32)],
  ])('with %s is refused before memory is taken for it', (_name, spoil) => {
    const bytes = bytesOf([1, 2, Buffer.alloc(0), [{ index: 0, tensor: tensor('FP32', [2], Float32Array.of(1, 2)) }]])
    spoil(bytes)
    expect(() => readAll([bytes])).toThrow(FrameError)
  })

  it('throws nothing else, whatever arrives', () => {
    const bytes = bytesOf([
      1,
      2,
      Buffer.from('{}'),
      [{ index: 0, tensor: tensor('BYTES', [2], [Buffer.from('ab'), Buffer.from('')]) }],
    ])
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 6 }), (changes) => {
        const spoiled = Buffer.from(bytes)
        for (const [at, byte] of changes) spoiled[at] = byte
        try {
          readAll([spoiled])
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})
