import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { inferenceService, ModelInferResponse } from '../../oip/index.js'
import { allocate, binaryTensor, DATATYPES, type Tensor, typedContents } from '../../tensor/index.js'
import { encodeRawReply, encodeRawReplyInTurns, encodeTypedReply, type InferReply } from './infer-reply.js'

const tensor = fc
  .record({
    name: fc.string({ unit: 'binary', maxLength: 150 }),
    datatype: fc.constantFrom(...DATATYPES),
    shape: fc.array(fc.nat(4), { maxLength: 3 }),
    seed: fc.nat(255),
  })
  .map(({ name, datatype, shape, seed }): Tensor => {
    const count = shape.reduce((product, size) => product * size, 1)
    const data = allocate(datatype, count)
    if (Array.isArray(data)) for (let i = 0; i < count; i++) data[i] = Buffer.alloc((seed * (i + 1)) % 200, i)
    else {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      for (let i = 0; i < bytes.length; i++) bytes[i] = datatype === 'BOOL' ? i % 2 : (seed + i * 37) & 0xff
    }
    return { name, datatype, shape, data }
  })

const reply: fc.Arbitrary<InferReply> = fc.record({
  modelName: fc.string({ unit: 'binary', maxLength: 150 }),
  modelVersion: fc.string({ maxLength: 3 }),
  id: fc.string({ unit: 'binary', maxLength: 60 }),
  flags: fc.constantFrom([], ['pinned'], ['cached', 'fallback']),
  isFinal: fc.boolean(),
  outputs: fc.array(tensor, { maxLength: 3 }),
})

function expected(message: InferReply, isTyped: boolean): object {
  const parameters = new Map<string, object>()
  if (message.isFinal) parameters.set('triton_final_response', { parameterChoice: { $case: 'boolParam', value: true } })
  if (message.flags.length > 0)
    parameters.set('headrace_flags', { parameterChoice: { $case: 'stringParam', value: message.flags.join(', ') } })
  const none = ModelInferResponse.decode(Buffer.from([0x2a, 0x02, 0x2a, 0x00])).outputs[0]!.contents!
  return {
    modelName: message.modelName,
    modelVersion: message.modelVersion,
    id: message.id,
    parameters,
    outputs: message.outputs.map((output) => ({
      name: output.name,
      datatype: output.datatype,
      shape: output.shape.map(BigInt),
      parameters: new Map(),
      contents: isTyped ? { ...none, ...typedContents(output) } : undefined,
    })),
    rawOutputContents: isTyped ? [] : message.outputs.map((output) => Buffer.from(binaryTensor(output))),
  }
}

/** Checks the prefix too. */
function messageOf(frame: Buffer): Buffer {
  expect(frame[0]).toBe(0)
  expect(frame.readUInt32BE(1)).toBe(frame.length - 5)
  return frame.subarray(5)
}

function readable(message: ModelInferResponse): object {
  const buffers = (list: readonly Uint8Array[]) => list.map((bytes) => Buffer.from(bytes))
  return {
    ...message,
    outputs: message.outputs.map((output) => ({
      ...output,
      contents: output.contents && { ...output.contents, bytesContents: buffers(output.contents.bytesContents) },
    })),
    rawOutputContents: buffers(message.rawOutputContents),
  }
}

describe('a reply', () => {
  it('with raw data is read by the generated decoder, alone and in a stream', () => {
    fc.assert(
      fc.property(reply, (message) => {
        const alone = ModelInferResponse.decode(messageOf(encodeRawReply(message)))
        expect(readable(alone)).toEqual(expected(message, false))
        const inStream = inferenceService.ModelStreamInfer.responseDeserialize(messageOf(encodeRawReply(message, 0x12)))
        expect(inStream.errorMessage).toBe('')
        expect(readable(inStream.inferResponse!)).toEqual(expected(message, false))
      }),
      { numRuns: 300 },
    )
  })

  it('with raw data is the same when it is written in turns', async () => {
    await fc.assert(
      fc.asyncProperty(reply, fc.constantFrom(undefined, 0x12), async (message, wrapTag) => {
        expect((await encodeRawReplyInTurns(message, wrapTag)).equals(encodeRawReply(message, wrapTag))).toBe(true)
      }),
    )
    const data = Float32Array.from({ length: 1_000_000 }, (_, i) => i)
    const outputs: Tensor[] = [{ name: 'y', datatype: 'FP32', shape: [data.length], data }]
    const large: InferReply = { modelName: 'm', modelVersion: '1', id: '', flags: [], isFinal: false, outputs }
    let turns = 0
    let isDone = false
    const countTurns = () => {
      turns++
      if (!isDone) setImmediate(countTurns)
    }
    countTurns()
    const frame = await encodeRawReplyInTurns(large)
    isDone = true
    expect(frame.equals(encodeRawReply(large))).toBe(true)
    expect(turns).toBeGreaterThan(2)
  })

  it('with contents is read by the generated decoder, alone and in a stream', async () => {
    await fc.assert(
      fc.asyncProperty(reply, async (all) => {
        const outputs = all.outputs.filter(({ datatype }) => datatype !== 'FP16' && datatype !== 'BF16')
        const message = { ...all, outputs }
        const alone = ModelInferResponse.decode(messageOf(await encodeTypedReply(message)))
        expect(readable(alone)).toEqual(expected(message, true))
        const frame = await encodeTypedReply(message, 0x12)
        const inStream = inferenceService.ModelStreamInfer.responseDeserialize(messageOf(frame))
        expect(readable(inStream.inferResponse!)).toEqual(expected(message, true))
      }),
      { numRuns: 300 },
    )
  })

  it('with a long list in contents is written in turns', async () => {
    const data = BigInt64Array.from({ length: 200_000 }, (_, i) => BigInt(i) - 100_000n)
    const outputs: Tensor[] = [{ name: 'y', datatype: 'INT64', shape: [200_000], data }]
    const message = { modelName: 'm', modelVersion: '1', id: '', flags: [], isFinal: false, outputs }
    const read = ModelInferResponse.decode(messageOf(await encodeTypedReply(message)))
    expect(read.outputs[0]!.contents!.int64Contents).toEqual([...data])
  })
})
