// ModelInfer over a real socket: the forms that data may come in, what replies have, and what is refused.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Client } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inferenceService, ModelInferRequest, openGrpcClient } from '../../src/oip/index.js'
import { DATATYPES } from '../../src/tensor/index.js'
import { type HeldModel, writeHeldModel } from '../support/held-model.js'
import { call } from '../support/http.js'
import { identityModel, slowModel, twoInputsModel } from '../support/onnx-models.js'
import { startTestServer, type TestServer } from '../support/start-server.js'
import { Code, frame, infer, inferRequest, input, RawClient, raw } from './support.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer
let client: Client
let held: HeldModel

function write(name: string, model: Uint8Array, manifest?: object): void {
  const version = join(folder, 'models', name, '1')
  mkdirSync(version, { recursive: true })
  writeFileSync(join(version, 'model.onnx'), model)
  if (manifest) writeFileSync(join(version, 'model.json'), JSON.stringify(manifest))
}

beforeAll(async () => {
  server = await startTestServer({
    folder,
    models: ['fraud'],
    beforeStart: async () => {
      for (const datatype of DATATYPES)
        if (datatype !== 'BF16') write(`same-${datatype.toLowerCase()}`, identityModel(datatype))
      write('two', twoInputsModel())
      write('slow', slowModel(300))
      held = writeHeldModel(folder, 'held')
    },
  })
  client = await openGrpcClient(server.grpcAddress)
})
afterAll(async () => {
  client.close()
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

/** For one good try. */
const PATIENCE_MS = 45_000

const FOUR = Float32Array.of(1, 2, 3, 4)
const inFlight = async (count: number) => {
  while (server.app.path.inFlight !== count) await nextTurn()
}

describe('data', () => {
  it('that comes raw is answered raw', async () => {
    const { code, reply, trailers } = await infer(client, {
      modelName: 'same-fp32',
      id: '7',
      inputs: [input()],
      rawInputContents: [raw(FOUR)],
    })
    expect(code).toBe(Code.OK)
    expect(reply).toMatchObject({ modelName: 'same-fp32', modelVersion: '1', id: '7' })
    expect(reply!.outputs).toMatchObject([{ name: 'y', datatype: 'FP32', shape: [1n, 4n], contents: undefined }])
    expect(Buffer.from(reply!.rawOutputContents[0]!)).toEqual(Buffer.from(raw(FOUR)))
    expect(trailers.get('headrace-prediction-id')).toHaveLength(1)
  })

  it.each([
    ['BOOL', { boolContents: [true, false, true, true] }],
    ['INT8', { intContents: [-128, 127, 0, -1] }],
    ['INT16', { intContents: [-32768, 32767, 0, -1] }],
    ['INT32', { intContents: [-(2 ** 31), 2 ** 31 - 1, 0, -1] }],
    ['INT64', { int64Contents: [-(2n ** 63n), 2n ** 63n - 1n, 0n, -1n] }],
    ['UINT8', { uintContents: [0, 255, 1, 2] }],
    ['UINT16', { uintContents: [0, 65535, 1, 2] }],
    ['UINT32', { uintContents: [0, 2 ** 32 - 1, 1, 2] }],
    ['UINT64', { uint64Contents: [0n, 2n ** 64n - 1n, 1n, 2n] }],
    ['FP32', { fp32Contents: [1.5, -0, Number.POSITIVE_INFINITY, Number.NaN] }],
    ['FP64', { fp64Contents: [1.1, -0, Number.NEGATIVE_INFINITY, Number.NaN] }],
    ['BYTES', { bytesContents: [Buffer.from('a'), Buffer.from(''), Buffer.from('größer'), Buffer.from('d')] }],
  ])('of %s that comes in contents is answered in contents', async (datatype, contents) => {
    const { code, reply, details } = await infer(client, {
      modelName: `same-${datatype.toLowerCase()}`,
      inputs: [input({ datatype, contents })],
    })
    expect([code, details]).toEqual([Code.OK, ''])
    expect(reply!.rawOutputContents).toEqual([])
    const [[field, values]] = Object.entries(contents) as [[keyof typeof contents, unknown[]]]
    const got = reply!.outputs[0]!.contents![field] as unknown[]
    expect(datatype === 'BYTES' ? got.map((bytes) => Buffer.from(bytes as Uint8Array)) : got).toEqual(values)
  })

  it('of FP16 comes raw only', async () => {
    const halves = Uint16Array.of(0x3c00, 0x4000, 0, 0x8000)
    const inputs = [input({ datatype: 'FP16' })]
    const answer = await infer(client, { modelName: 'same-fp16', inputs, rawInputContents: [raw(halves)] })
    expect(Buffer.from(answer.reply!.rawOutputContents[0]!)).toEqual(Buffer.from(raw(halves)))
    const refused = await infer(client, {
      modelName: 'same-fp16',
      inputs: [input({ datatype: 'FP16', contents: { fp32Contents: [1, 2, 3, 4] } })],
    })
    expect(refused).toMatchObject({ code: Code.INVALID_ARGUMENT, error: 'TENSOR_CONTENTS_INVALID' })
  })

  it('of BYTES comes raw with a length before each element', async () => {
    const bytes = Buffer.from('\u0001\0\0\0a\u0000\0\0\0\u0002\0\0\0bc\u0000\0\0\0', 'latin1')
    const inputs = [input({ datatype: 'BYTES' })]
    const answer = await infer(client, { modelName: 'same-bytes', inputs, rawInputContents: [bytes] })
    expect(Buffer.from(answer.reply!.rawOutputContents[0]!)).toEqual(bytes)
  })

  it('of a megabyte goes in and out', async () => {
    const rows = 65_536
    const data = Float32Array.from({ length: rows * 4 }, (_, i) => i)
    const answer = await infer(client, {
      modelName: 'same-fp32',
      inputs: [input({ shape: [rows, 4] })],
      rawInputContents: [raw(data)],
    })
    expect(answer.details).toBe('')
    expect(Buffer.from(answer.reply!.rawOutputContents[0]!).equals(raw(data))).toBe(true)
  })

  it.each<[string, Parameters<typeof infer>[1], string]>([
    [
      'raw beside contents',
      { inputs: [input({ contents: { fp32Contents: [1, 2, 3, 4] } })], rawInputContents: [raw(FOUR)] },
      'GRPC_CONTENTS_INVALID',
    ],
    [
      'more raw entries than inputs',
      { inputs: [input()], rawInputContents: [raw(FOUR), raw(FOUR)] },
      'GRPC_CONTENTS_INVALID',
    ],
    [
      'raw entries that are too short',
      { inputs: [input()], rawInputContents: [raw(FOUR).subarray(1)] },
      'TENSOR_BINARY_LENGTH',
    ],
    [
      'raw entries that are too long',
      { inputs: [input()], rawInputContents: [Buffer.alloc(17)] },
      'TENSOR_BINARY_LENGTH',
    ],
    ['a negative size', { inputs: [input({ shape: [-1, 4] })], rawInputContents: [raw(FOUR)] }, 'TENSOR_SHAPE_INVALID'],
    [
      'a size beyond any memory',
      { inputs: [input({ shape: [2n ** 62n, 4] })], rawInputContents: [raw(FOUR)] },
      'TENSOR_SHAPE_INVALID',
    ],
    [
      'a product of sizes that overflows',
      { inputs: [input({ shape: [2 ** 32, 2 ** 32] })], rawInputContents: [raw(FOUR)] },
      'TENSOR_SHAPE_INVALID',
    ],
    [
      'sizes that wrap around to the length sent',
      { inputs: [input({ shape: [2 ** 31, 2 ** 31 + 1, 4] })], rawInputContents: [raw(FOUR)] },
      'TENSOR_SHAPE_INVALID',
    ],
    [
      'an unknown datatype',
      { inputs: [input({ datatype: 'FP33' })], rawInputContents: [raw(FOUR)] },
      'TENSOR_DATATYPE_UNKNOWN',
    ],
    [
      "another datatype than the model's",
      { inputs: [input({ datatype: 'INT32' })], rawInputContents: [raw(FOUR)] },
      'TENSOR_DATATYPE_MISMATCH',
    ],
    ['no data', { inputs: [input()] }, 'TENSOR_LENGTH_MISMATCH'],
    ['no inputs', {}, 'TENSOR_INPUT_MISSING'],
    [
      'an input twice',
      { inputs: [input(), input()], rawInputContents: [raw(FOUR), raw(FOUR)] },
      'TENSOR_INPUT_DUPLICATE',
    ],
    [
      'an output twice',
      {
        inputs: [input()],
        rawInputContents: [raw(FOUR)],
        outputs: [
          { name: 'y', parameters: new Map() },
          { name: 'y', parameters: new Map() },
        ],
      },
      'OIP_OUTPUT_DUPLICATE',
    ],
    [
      'an output that is none',
      { inputs: [input()], rawInputContents: [raw(FOUR)], outputs: [{ name: 'z', parameters: new Map() }] },
      'TENSOR_OUTPUT_UNKNOWN',
    ],
    [
      'a version that is no number',
      { modelVersion: 'latest', inputs: [input()], rawInputContents: [raw(FOUR)] },
      'HTTP_PARAMETER_INVALID',
    ],
    [
      'shared memory',
      {
        inputs: [
          input({
            parameters: new Map([['shared_memory_region', { parameterChoice: { $case: 'stringParam', value: 'r' } }]]),
          }),
        ],
      },
      'OIP_SHARED_MEMORY_UNSUPPORTED',
    ],
  ])('with %s is refused', async (_, parts, error) => {
    const answer = await infer(client, { modelName: 'same-fp32', ...parts })
    expect(answer).toMatchObject({ code: Code.INVALID_ARGUMENT, error })
  })

  it('with fewer raw entries than inputs is refused', async () => {
    const inputs = [input({ name: 'a', shape: [1, 2] }), input({ name: 'b', shape: [1, 2] })]
    const answer = await infer(client, { modelName: 'two', inputs, rawInputContents: [raw(FOUR)] })
    expect(answer).toMatchObject({ code: Code.INVALID_ARGUMENT, error: 'GRPC_CONTENTS_INVALID' })
    expect(answer.details).toContain('2 inputs but 1 entries')
  })
})

describe('a request', () => {
  it('for an unknown model says so in the words that clients look for', async () => {
    const answer = await infer(client, { modelName: 'nobody', inputs: [input()], rawInputContents: [raw(FOUR)] })
    expect(answer).toMatchObject({ code: Code.NOT_FOUND, error: 'PATH_ENDPOINT_NOT_FOUND' })
    expect(answer.details).toContain('Request for unknown model')
  })

  it('for an unknown version is NOT_FOUND', async () => {
    const parts = { modelName: 'same-fp32', modelVersion: '9', inputs: [input()], rawInputContents: [raw(FOUR)] }
    expect(await infer(client, parts)).toMatchObject({ code: Code.NOT_FOUND, error: 'SERVING_VERSION_NOT_FOUND' })
  })

  it('that pins a version is flagged in the reply and in the trailers', async () => {
    const parts = { modelName: 'same-fp32', modelVersion: '1', inputs: [input()], rawInputContents: [raw(FOUR)] }
    const { reply, trailers } = await infer(client, parts)
    expect(reply!.parameters.get('headrace_flags')).toEqual({
      parameterChoice: { $case: 'stringParam', value: 'pinned' },
    })
    expect(trailers.get('headrace-flags')).toEqual(['pinned'])
  })

  it('may ask for the largest elements of an output', async () => {
    const parameters = new Map([['classification', { parameterChoice: { $case: 'int64Param' as const, value: 2n } }]])
    const { reply } = await infer(client, {
      modelName: 'same-fp32',
      inputs: [input()],
      rawInputContents: [raw(FOUR)],
      outputs: [{ name: 'y', parameters }],
    })
    expect(reply!.outputs).toMatchObject([{ name: 'y', datatype: 'BYTES', shape: [1n, 2n] }])
    expect(Buffer.from(reply!.rawOutputContents[0]!).toString('latin1')).toBe(
      '\u000a\0\0\x004.000000:3\u000a\0\0\x003.000000:2',
    )
  })

  it('is logged with its payload, unit and trace', async () => {
    const { trailers } = await infer(
      client,
      {
        modelName: 'same-fp32',
        inputs: [input()],
        rawInputContents: [raw(FOUR)],
        parameters: new Map([['unit', { parameterChoice: { $case: 'stringParam', value: 'u1' } }]]),
      },
      { metadata: { traceparent: '00-0123456789abcdef0123456789abcdef-0123456789abcdef-01' } },
    )
    const id = String(trailers.get('headrace-prediction-id')[0])
    const { json } = await call(`${server.url}/api/v1/log/query`, 'POST', {
      sql: `SELECT protocol, unit, endpoint, trace_id FROM predictions WHERE id = '${id}'`,
    })
    expect(json.rows).toEqual([['oip-grpc', 'u1', 'same-fp32', '0123456789abcdef0123456789abcdef']])
    const record = await call(`${server.url}/api/v1/predictions/${id}`, 'GET')
    expect(JSON.stringify(record.json)).toContain('[1,2,3,4]')
  })

  it('takes unit and priority from the metadata, and refuses a priority that is none', async () => {
    const parts = { modelName: 'same-fp32', inputs: [input()], rawInputContents: [raw(FOUR)] }
    const fine = await infer(client, parts, { metadata: { 'headrace-unit': 'u2', 'headrace-priority': 'low' } })
    expect(fine.code).toBe(Code.OK)
    const refused = await infer(client, parts, { metadata: { 'headrace-priority': 'urgent' } })
    expect(refused).toMatchObject({ code: Code.INVALID_ARGUMENT, error: 'HTTP_PARAMETER_INVALID' })
  })
})

describe('the end of a call', () => {
  const SLOW = { modelName: 'slow', inputs: [input()], rawInputContents: [raw(FOUR)] }
  const HELD = { ...SLOW, modelName: 'held' }

  it('by the timeout parameter is DEADLINE_EXCEEDED', async () => {
    const parameters = new Map([['timeout', { parameterChoice: { $case: 'int64Param' as const, value: 20_000n } }]])
    expect((await infer(client, { ...SLOW, parameters })).code).toBe(Code.DEADLINE_EXCEEDED)
    await inFlight(0)
  })

  it("by the call's own deadline ends the work at the server too", async () => {
    expect((await infer(client, SLOW, { deadlineMs: 30 })).code).toBe(Code.DEADLINE_EXCEEDED)
    await inFlight(0)
  })

  it("of a whole stream's time ends the stream with its status, not with a message in it", async () => {
    const session = await RawClient.open(server.grpcAddress)
    const message = ModelInferRequest.encode(inferRequest(SLOW)).finish()
    const headers = { ':path': inferenceService.ModelStreamInfer.path, 'grpc-timeout': '30m' }
    const answer = await session.call({ headers, chunks: [frame(message)], ends: false })
    session.close()
    expect(answer).toMatchObject({ code: Code.DEADLINE_EXCEEDED, body: Buffer.alloc(0) })
    await inFlight(0)
  })

  it('by its client has what waits dropped within 10 ms', async () => {
    let bestMs = Number.POSITIVE_INFINITY
    // One good try proves it: the machine may be busy with something else.
    for (const untilMs = performance.now() + PATIENCE_MS; bestMs >= 10 && performance.now() < untilMs; ) {
      held.hold()
      const running = infer(client, HELD)
      await inFlight(1)
      let cancel = () => {}
      const waiting = infer(client, HELD, {
        started: (stop) => {
          cancel = stop
        },
      })
      await inFlight(2)
      const leftMs = performance.now()
      cancel()
      await inFlight(1)
      bestMs = Math.min(bestMs, performance.now() - leftMs)
      expect((await waiting).code).toBe(Code.CANCELLED)
      held.letGo()
      expect((await running).code).toBe(Code.OK)
      await inFlight(0)
    }
    expect(bestMs).toBeLessThan(10)
  })
})

describe('compression', () => {
  it('of requests is taken, and their replies are compressed', async () => {
    const compressing = await openGrpcClient(server.grpcAddress, { 'grpc.default_compression_algorithm': 2 })
    const rows = 1000
    const data = new Float32Array(rows * 4).fill(3)
    const answer = await infer(compressing, {
      modelName: 'same-fp32',
      inputs: [input({ shape: [rows, 4] })],
      rawInputContents: [raw(data)],
    })
    compressing.close()
    expect(answer.details).toBe('')
    expect(Buffer.from(answer.reply!.rawOutputContents[0]!).equals(raw(data))).toBe(true)
  })
})
