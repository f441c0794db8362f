// A server that speaks gRPC as a test says, on a real socket; what it computes is written apart from ours.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is how remote.json names environment variables
import { Metadata, Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js'
import { describe, expect, it, onTestFinished } from 'vitest'
import { backendContract } from '../../../test/contract/backend.js'
import { doublerInput } from '../../../test/support/fake-backend.js'
import { remoteArtifact } from '../../../test/support/remote-artifact.js'
import { type HeadraceError, systemClock, testPlatform } from '../../core/index.js'
import { Deadline } from '../../flow/index.js'
import {
  type InferOutputTensor,
  inferenceService,
  ModelConfig,
  type ModelInferRequest,
  type ModelInferResponse,
} from '../../oip/index.js'
import type { RemoteModel } from '../../tensor/index.js'
import { createRemoteBackends } from './create-remote-backends.js'

type Call = ServerUnaryCall<ModelInferRequest, ModelInferResponse>
type Reply = sendUnaryData<ModelInferResponse>

interface Behaviour {
  infer: (call: Call, reply: Reply) => void
  isTyped: boolean
  isReady: boolean
  maxBatchSize: number | undefined
}

const context = { deadline: Deadline.none(systemClock), outputs: undefined }
const input = (...rows: number[][]) => doublerInput(rows).tensors

async function grpcServer(given: Partial<Behaviour> = {}) {
  const behaviour: Behaviour = { infer: answer, isTyped: false, isReady: true, maxBatchSize: undefined, ...given }
  const calls: Call[] = []
  const server = new Server()
  const spec = (name: string, shape: bigint[]) => ({ name, datatype: 'FP32', shape })
  server.addService(inferenceService as never, {
    ModelReady: (_: unknown, reply: (error: null, value: object) => void) => reply(null, { ready: behaviour.isReady }),
    ServerMetadata: (_: unknown, reply: (error: null, value: object) => void) =>
      reply(null, {
        name: 'fake',
        version: '1',
        extensions: behaviour.maxBatchSize === undefined ? [] : ['model_configuration'],
      }),
    ModelConfig: (_: unknown, reply: (error: null, value: object) => void) =>
      reply(null, { config: { ...ModelConfig.decode(new Uint8Array()), maxBatchSize: behaviour.maxBatchSize } }),
    ModelMetadata: (_: unknown, reply: (error: null, value: object) => void) =>
      reply(null, {
        name: 'm',
        versions: ['1'],
        platform: 'fake',
        inputs: [spec('x', [-1n, -1n])],
        outputs: [spec('double', [-1n, -1n]), spec('sum', [-1n])],
      }),
    ModelInfer: (call: Call, reply: Reply) => {
      calls.push(call)
      behaviour.infer(call, (error, value) =>
        reply(error, behaviour.isTyped && value ? typed(value as ModelInferResponse) : value),
      )
    },
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    )
  })
  onTestFinished(() => server.forceShutdown())
  return { url: `grpc://127.0.0.1:${port}`, calls, behaviour }
}

function answer({ request }: Call, reply: Reply): void {
  const { shape } = request.inputs[0]!
  const bytes = Buffer.from(request.rawInputContents[0]!)
  const x = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i))
  const rows = Number(shape[0])
  const width = rows === 0 ? 0 : x.length / rows
  const sum = Array.from({ length: rows }, (_, row) =>
    x.slice(row * width, (row + 1) * width).reduce((total, value) => Math.fround(total + value), 0),
  )
  const all: Record<string, [bigint[], number[]]> = {
    double: [shape, x.map((value) => 2 * value)],
    sum: [[BigInt(rows)], sum],
  }
  const names = request.outputs.map(({ name }) => name)
  reply(null, {
    modelName: 'm',
    modelVersion: '1',
    id: request.id,
    parameters: new Map(),
    outputs: names.map((name) => output(name, all[name]![0])),
    rawOutputContents: names.map((name) => raw(...all[name]![1])),
  })
}

function output(name: string, shape: bigint[], datatype = 'FP32'): InferOutputTensor {
  return { name, datatype, shape, parameters: new Map(), contents: undefined }
}

function raw(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [i, value] of values.entries()) bytes.writeFloatLE(value, 4 * i)
  return bytes
}

/** The same answer as MLServer gives it. */
function typed(response: ModelInferResponse): ModelInferResponse {
  const lists = {
    boolContents: [],
    intContents: [],
    int64Contents: [],
    uintContents: [],
    uint64Contents: [],
    fp64Contents: [],
    bytesContents: [],
  }
  return {
    ...response,
    outputs: response.outputs.map((tensor, i) => {
      const bytes = Buffer.from(response.rawOutputContents[i]!)
      const fp32Contents = Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(4 * at))
      return { ...tensor, contents: { ...lists, fp32Contents } }
    }),
    rawOutputContents: [],
  }
}

async function load(behaviour: Partial<Behaviour> = {}, parts: Partial<RemoteModel> = {}, environment = {}) {
  const server = await grpcServer(behaviour)
  const all = createRemoteBackends({ platform: { ...testPlatform(), clock: systemClock }, environment })
  const backend = await all.load(remoteArtifact(server.url, parts))
  onTestFinished(async () => {
    await backend.close()
    await all.close()
  })
  return { ...server, backend }
}

const failing = (code: number, details: string): Partial<Behaviour> => ({
  infer: (_, reply) => reply({ code, details, metadata: new Metadata() } as never),
})

async function refusal(promise: Promise<unknown>): Promise<HeadraceError> {
  return promise.then(
    () => {
      throw new Error('it was not refused')
    },
    (error: HeadraceError) => error,
  )
}

describe.each([
  ['raw', false],
  ['typed', true],
])('a remote version over gRPC that answers with %s contents', (_, isTyped) => {
  backendContract(async () => {
    const infer = (call: Call, reply: Reply) =>
      Buffer.from(call.request.rawInputContents[0]!).equals(raw(666))
        ? reply({ code: status.INTERNAL, details: 'poison', metadata: new Metadata() } as never)
        : answer(call, reply)
    const { backend } = await load({ isTyped, infer })
    return { backend, poison: input([666]) }
  })
})

describe('a remote version over gRPC', () => {
  it('sends its name and version, an id, what time is left, and headers as metadata', async () => {
    const parts = { model: 'resnet', version: '3', headers: { Authorization: 'Bearer $' + '{TOKEN}' } }
    const { backend, calls } = await load({}, parts, { TOKEN: 's3cret' })
    await backend.run(input([1]), { ...context, deadline: Deadline.in(systemClock, 60_000) })
    const [{ request, metadata }] = calls as [Call]
    expect(request).toMatchObject({ modelName: 'resnet', modelVersion: '3' })
    expect(request.id).toMatch(/^[0-9a-f-]{36}$/)
    const timeout = request.parameters.get('timeout')!.parameterChoice as { value: bigint }
    expect(Number(timeout.value)).toBeGreaterThan(50_000_000)
    expect(metadata.get('authorization')).toEqual(['Bearer s3cret'])
  })

  it('sends as many rows at once as max_batch_size allows', async () => {
    const { backend, calls } = await load({ maxBatchSize: 2 })
    const outputs = await backend.run(input([1], [2], [3]), context)
    expect([...outputs.get('sum')!.data]).toEqual([1, 2, 3])
    expect(calls.map(({ request }) => Number(request.inputs[0]!.shape[0]))).toEqual([2, 1])
  })

  it('is not loaded while the model is not ready there', async () => {
    expect(await refusal(load({ isReady: false }))).toMatchObject({ code: 'REMOTE_UNREADY', retry: true })
  })

  it.each([
    ['INVALID_ARGUMENT', 'REMOTE_INPUT_REFUSED', 400],
    ['NOT_FOUND', 'REMOTE_REFUSED', 502],
    ['UNAUTHENTICATED', 'REMOTE_REFUSED', 502],
    ['UNIMPLEMENTED', 'REMOTE_REFUSED', 502],
    ['RESOURCE_EXHAUSTED', 'REMOTE_BUSY', 503],
    ['INTERNAL', 'REMOTE_FAILED', 502],
    ['UNKNOWN', 'REMOTE_FAILED', 502],
    ['ABORTED', 'REMOTE_FAILED', 502],
  ] as const)('says %s as %s, quoted and not tried again', async (name, code, ours) => {
    const { backend, calls } = await load(failing(status[name], 'because of x'))
    const error = await refusal(backend.run(input([1]), context))
    expect(error).toMatchObject({ code, status: ours })
    expect(error.message).toContain('because of x')
    expect(calls).toHaveLength(1)
  })

  it('tries again what was UNAVAILABLE', async () => {
    let tries = 0
    const { backend } = await load({
      infer: (call, reply) =>
        ++tries < 3
          ? reply({ code: status.UNAVAILABLE, details: 'queue full', metadata: new Metadata() } as never)
          : answer(call, reply),
    })
    expect([...(await backend.run(input([4]), context)).get('double')!.data]).toEqual([8])
    expect(tries).toBe(3)
  })

  const saying = (change: (good: ModelInferResponse) => Partial<ModelInferResponse>): Partial<Behaviour> => ({
    infer: (call, reply) =>
      answer(call, (error, value) => {
        const good = value as ModelInferResponse
        reply(error, { ...good, ...change(good) })
      }),
  })
  it.each<[string, (good: ModelInferResponse) => Partial<ModelInferResponse>]>([
    ['no output', () => ({ outputs: [], rawOutputContents: [] })],
    ['contents for no output', (good) => ({ rawOutputContents: [...good.rawOutputContents, raw(1)] })],
    ['an output without contents', () => ({ rawOutputContents: [] })],
    ['contents too short', () => ({ rawOutputContents: [raw(1).subarray(1)] })],
    ['contents too long', () => ({ rawOutputContents: [raw(1, 2)] })],
    ['another datatype', () => ({ outputs: [output('double', [1n, 1n], 'INT32')] })],
    ['another rank', () => ({ outputs: [output('double', [1n])] })],
    ['a negative size', () => ({ outputs: [output('double', [-1n, -1n])] })],
    ['a size that overflows', () => ({ outputs: [output('double', [2n ** 62n, 2n ** 62n])] })],
    ['an output that nobody asked for', () => ({ outputs: [output('sum', [1n])] })],
    [
      'an output twice',
      (good) => ({ outputs: [...good.outputs, ...good.outputs], rawOutputContents: [raw(1), raw(1)] }),
    ],
    ['the answer to another request', () => ({ id: 'other' })],
  ])('refuses %s as no answer', async (_, change) => {
    const { backend } = await load(saying(change))
    const error = await refusal(backend.run(input([1]), { ...context, outputs: ['double'] }))
    expect(error).toMatchObject({ code: 'REMOTE_REPLY_INVALID', status: 502 })
  })

  it('reads no more than it was told to', async () => {
    const { backend } = await load({}, { maxReplyBytes: 2000 })
    const wide = input(Array.from({ length: 1000 }, (_, i) => i))
    const error = await refusal(backend.run(wide, context))
    expect(error).toMatchObject({ code: 'REMOTE_REPLY_TOO_LARGE', status: 502 })
    expect([...(await backend.run(input([1]), context)).get('double')!.data]).toEqual([2])
  })

  it('gives a call up at its deadline and when nobody waits any more, and the server hears of it', async () => {
    const cancelled: Promise<void>[] = []
    const { backend, calls } = await load({
      infer: (call) => void cancelled.push(new Promise((resolve) => call.once('cancelled', () => resolve()))),
    })
    const late = refusal(backend.run(input([1]), { ...context, deadline: Deadline.in(systemClock, 200) }))
    expect(await late).toMatchObject({ code: 'REMOTE_TIMEOUT', status: 504 })
    const abandoned = { ...context }
    const before = calls.length
    const run = refusal(backend.run(input([1]), abandoned))
    while (calls.length === before) await new Promise((resolve) => setImmediate(resolve))
    backend.abandon!(abandoned)
    expect(await run).toMatchObject({ code: 'SERVING_CANCELLED' })
    await Promise.all(cancelled)
  })

  it('shows no value of a header that metadata cannot carry, and sends bytes where its name asks for them', async () => {
    const secret = 'sécret'
    const error: HeadraceError = await load({}, { headers: { authorization: '${T}' } }, { T: secret }).then(
      () => expect.unreachable(),
      (error: HeadraceError) => error,
    )
    expect(error.code).toBe('REMOTE_HEADER_INVALID')
    expect(JSON.stringify([error.message, String(error.cause)])).not.toContain(secret)
    const { backend, calls } = await load({}, { headers: { 'x-bin': '${T}' } }, { T: secret })
    await backend.run(input([1]), context)
    expect(calls[0]!.metadata.get('x-bin')).toEqual([Buffer.from(secret)])
  })

  it('says why nobody answers, without what grpc-js has left unsaid', async () => {
    const all = createRemoteBackends({ platform: { ...testPlatform(), clock: systemClock }, environment: {} })
    onTestFinished(() => all.close())
    const error = await all.load(remoteArtifact('grpc://127.0.0.1:1')).then(
      () => expect.unreachable(),
      (error: HeadraceError) => error,
    )
    expect(error.code).toBe('REMOTE_UNREACHABLE')
    expect(error.message).toMatch(/ECONNREFUSED 127\.0\.0\.1:1\. Check/)
  })
})
