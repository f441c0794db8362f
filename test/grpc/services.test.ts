// Everything beside ModelInfer over a real socket: streams, health, descriptions, the repository, and what is not offered.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Client, type ClientDuplexStream, type ClientReadableStream, Metadata } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  healthService,
  inferenceService,
  type Method,
  type ModelInferRequest,
  type ModelStreamInferResponse,
  openGrpcClient,
  ServingStatus,
} from '../../src/oip/index.js'
import { type HeldModel, writeHeldModel } from '../support/held-model.js'
import { call } from '../support/http.js'
import { identityModel, slowModel } from '../support/onnx-models.js'
import { startTestServer, type TestServer } from '../support/start-server.js'
import { Code, callUnary, inferRequest, input, raw } from './support.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer
let client: Client
let held: HeldModel

beforeAll(async () => {
  server = await startTestServer({
    folder,
    models: [],
    beforeStart: async () => {
      held = writeHeldModel(folder, 'held')
      for (const [name, model] of [
        ['same', identityModel('FP32')],
        ['slow', slowModel(100)],
      ] as const) {
        mkdirSync(join(folder, `models/${name}/1`), { recursive: true })
        writeFileSync(join(folder, `models/${name}/1/model.onnx`), model)
      }
    },
  })
  client = await openGrpcClient(server.grpcAddress)
})
afterAll(async () => {
  client.close()
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const s = inferenceService
const ask = <Request, Response>(method: Method<Request, Response>, request: Request) =>
  callUnary(client, method, request)

function message(modelName: string, id: string, values = [1, 2, 3, 4]): ModelInferRequest {
  return inferRequest({ modelName, id, inputs: [input()], rawInputContents: [raw(Float32Array.from(values))] })
}

function openStream(): ClientDuplexStream<ModelInferRequest, ModelStreamInferResponse> {
  const { path, requestSerialize, responseDeserialize } = s.ModelStreamInfer
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata())
  stream.on('error', () => {})
  return stream
}

describe('a stream', () => {
  it('answers in the order of its requests, and goes on after one that failed', async () => {
    const stream = openStream()
    const replies: ModelStreamInferResponse[] = []
    stream.on('data', (reply: ModelStreamInferResponse) => replies.push(reply))
    const ended = new Promise<number>((resolve) => stream.on('status', ({ code }) => resolve(code)))
    for (const [model, id] of [
      ['slow', 'a'],
      ['same', 'b'],
      ['nobody', 'c'],
      ['same', 'd'],
    ] as const)
      stream.write(message(model, id))
    stream.end()
    expect(await ended).toBe(Code.OK)
    expect(replies.map(({ inferResponse }) => inferResponse!.id)).toEqual(['a', 'b', 'c', 'd'])
    expect(replies[2]!.errorMessage).toContain('Request for unknown model')
    expect(replies[2]!.inferResponse!.parameters.get('headrace_code')).toEqual({
      parameterChoice: { $case: 'stringParam', value: 'PATH_ENDPOINT_NOT_FOUND' },
    })
    expect(replies[3]!.errorMessage).toBe('')
    expect(replies[3]!.inferResponse!.parameters.get('triton_final_response')).toEqual({
      parameterChoice: { $case: 'boolParam', value: true },
    })
  })

  it('of thousands of requests is held back, and answers all of them', async () => {
    const stream = openStream()
    const ids: string[] = []
    let most = 0
    stream.on('data', ({ inferResponse }: ModelStreamInferResponse) => {
      ids.push(inferResponse!.id)
      most = Math.max(most, server.app.path.inFlight)
    })
    const ended = new Promise<number>((resolve) => stream.on('status', ({ code }) => resolve(code)))
    const count = 3000
    for (let i = 0; i < count; i++) stream.write(message('same', String(i)))
    stream.end()
    expect(await ended).toBe(Code.OK)
    expect(ids).toEqual(Array.from({ length: count }, (_, i) => String(i)))
    expect(most).toBeLessThanOrEqual(64)
  })

  it('whose client goes has what waits dropped', async () => {
    const stream = openStream()
    for (let i = 0; i < 20; i++) stream.write(message('held', String(i)))
    while (server.app.path.inFlight < 20) await nextTurn()
    stream.cancel()
    // What runs is not stopped.
    while (server.app.path.inFlight > 1) await nextTurn()
    held.letGo()
    while (server.app.path.inFlight > 0) await nextTurn()
    const { text } = await call(`${server.url}/metrics`, 'GET')
    expect(Number(/^ml_errors_total\{code="SERVING_CANCELLED"\} (\d+)/m.exec(text)?.[1])).toBeGreaterThan(0)
  })
})

describe('health', () => {
  it('of the server and of models is SERVING', async () => {
    for (const service of ['', 'same', 'inference.GRPCInferenceService'])
      expect((await ask(healthService.Check, { service })).reply).toEqual({ status: ServingStatus.SERVING })
    const { reply } = await ask(healthService.List, {})
    expect([...reply!.statuses.keys()].sort()).toEqual(['', 'held', 'same', 'slow'])
  })

  it('of what nobody knows is NOT_FOUND, and SERVICE_UNKNOWN to who watches', async () => {
    expect((await ask(healthService.Check, { service: 'nobody' })).code).toBe(Code.NOT_FOUND)
    const watch = watchHealth('nobody')
    expect(await watch.next()).toBe(ServingStatus.SERVICE_UNKNOWN)
    watch.stream.cancel()
  })

  it('tells who watches of a model that comes and goes', async () => {
    const watch = watchHealth('later')
    expect(await watch.next()).toBe(ServingStatus.SERVICE_UNKNOWN)
    mkdirSync(join(server.modelsFolder, 'later/1'), { recursive: true })
    writeFileSync(join(server.modelsFolder, 'later/1/model.onnx'), identityModel('FP32'))
    let status = await watch.next()
    while (status !== ServingStatus.SERVING) status = await watch.next()
    rmSync(join(server.modelsFolder, 'later'), { recursive: true })
    while (status !== ServingStatus.SERVICE_UNKNOWN) status = await watch.next()
    watch.stream.cancel()
  })
})

function watchHealth(service: string): { stream: ClientReadableStream<unknown>; next(): Promise<ServingStatus> } {
  const { path, requestSerialize, responseDeserialize } = healthService.Watch
  const stream = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    { service },
    new Metadata(),
  )
  stream.on('error', () => {})
  const iterator = stream[Symbol.asyncIterator]()
  return { stream, next: async () => (await iterator.next()).value.status }
}

describe('descriptions', () => {
  it('of the server and its models are there', async () => {
    expect((await ask(s.ServerLive, {})).reply).toEqual({ live: true })
    expect((await ask(s.ServerReady, {})).reply).toEqual({ ready: true })
    expect((await ask(s.ModelReady, { name: 'same', version: '' })).reply).toEqual({ ready: true })
    expect((await ask(s.ModelReady, { name: 'same', version: '1' })).reply).toEqual({ ready: true })
    expect((await ask(s.ModelReady, { name: 'nobody', version: '' })).reply).toEqual({ ready: false })
    expect((await ask(s.ServerMetadata, {})).reply).toMatchObject({ name: 'headrace' })
    expect((await ask(s.ModelMetadata, { name: 'same', version: '' })).reply).toMatchObject({
      name: 'same',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1n, 4n] }],
    })
    expect((await ask(s.ModelMetadata, { name: 'nobody', version: '' })).code).toBe(Code.NOT_FOUND)
    expect((await ask(s.ModelConfig, { name: 'same', version: '' })).reply!.config).toMatchObject({ name: 'same' })
    expect((await ask(s.ModelConfig, { name: 'nobody', version: '' })).code).toBe(Code.NOT_FOUND)
    const statistics = await ask(s.ModelStatistics, { name: 'same', version: '1' })
    expect(statistics.reply!.modelStats).toMatchObject([{ name: 'same', version: '1' }])
    expect(statistics.reply!.modelStats[0]!.inferenceStats!.success!.count).toBeGreaterThan(0n)
  })

  it('in a message that is garbage are refused', async () => {
    const garbage: Method<unknown, unknown> = {
      ...s.ModelMetadata,
      requestSerialize: () => Buffer.from([0x0a, 0x7f]),
    } as never
    expect(await callUnary(client, garbage, {})).toMatchObject({
      code: Code.INVALID_ARGUMENT,
      error: 'GRPC_MESSAGE_INVALID',
    })
  })
})

describe('the repository', () => {
  const ready = async () => (await ask(s.ModelReady, { name: 'same', version: '' })).reply!.ready
  const states = async (onlyReady: boolean) => {
    const { reply } = await ask(s.RepositoryIndex, { repositoryName: '', ready: onlyReady })
    return reply!.models.filter(({ name }) => name === 'same').map(({ state }) => state)
  }

  it("unloads and loads, by the name in Triton's field and in KServe's", async () => {
    for (const [repositoryName, modelName] of [
      ['', 'same'],
      ['same', ''],
    ] as const) {
      const request = { repositoryName, modelName, parameters: new Map() }
      expect((await ask(s.RepositoryModelUnload, request)).reply).toEqual({ modelName: 'same', isUnloaded: true })
      expect(await ready()).toBe(false)
      expect([await states(false), await states(true)]).toEqual([['UNAVAILABLE'], []])
      expect((await ask(s.RepositoryModelLoad, request)).reply).toEqual({ modelName: 'same', isLoaded: true })
      expect(await ready()).toBe(true)
      expect(await states(true)).toEqual(['READY'])
    }
  })

  it('refuses a config that is no text, and a model that nobody knows', async () => {
    const parameters = new Map([['config', { parameterChoice: { $case: 'boolParam' as const, value: true } }]])
    const refused = await ask(s.RepositoryModelLoad, { repositoryName: '', modelName: 'same', parameters })
    expect(refused).toMatchObject({ code: Code.INVALID_ARGUMENT, error: 'HTTP_PARAMETER_INVALID' })
    const unknown = await ask(s.RepositoryModelLoad, { repositoryName: '', modelName: 'nobody', parameters: new Map() })
    expect(unknown.details).toContain('failed to load')
  })
})

describe('what is not offered', () => {
  it('says so, and lists nothing', async () => {
    const region = { name: 'r', key: 'k', offset: 0n, byteSize: 8n }
    const refused = await ask(s.SystemSharedMemoryRegister, region)
    expect(refused).toMatchObject({ code: Code.UNIMPLEMENTED, error: 'GRPC_METHOD_UNSUPPORTED' })
    expect((await ask(s.SystemSharedMemoryStatus, { name: '' })).reply!.regions.size).toBe(0)
    expect((await ask(s.CudaSharedMemoryStatus, { name: '' })).reply!.regions.size).toBe(0)
    expect((await ask(s.LogSettings, { settings: new Map() })).code).toBe(Code.OK)
    const settings = new Map([['trace_level', { value: ['TIMESTAMPS'] }]])
    expect((await ask(s.TraceSetting, { settings, modelName: '' })).code).toBe(Code.UNIMPLEMENTED)
  })
})
