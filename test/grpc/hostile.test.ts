// What broken and hostile clients send over gRPC: each gets a status that says what was wrong, and its neighbours notice nothing.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import type { Client } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { inferenceService, ModelInferRequest, openGrpcClient } from '../../src/oip/index.js'
import { call } from '../support/http.js'
import { identityModel, slowModel } from '../support/onnx-models.js'
import { startTestServer, type TestServer } from '../support/start-server.js'
import { Code, frame, INFER_HEADERS, infer, inferRequest, input, type RawAnswer, RawClient, raw } from './support.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer
let client: Client
const opened: RawClient[] = []

const LIMIT_BYTES = 1024 * 1024
const MAX_STREAMS = 300
const WIDTH = 4096

beforeAll(async () => {
  server = await startTestServer({
    folder,
    models: [],
    config: {
      server: {
        bodyLimitBytes: LIMIT_BYTES,
        maxGrpcStreams: MAX_STREAMS,
        headersTimeoutMs: 1000,
        requestTimeoutMs: 1000,
      },
    },
    beforeStart: async () => {
      for (const [name, model] of [
        ['same', identityModel('FP32')],
        ['wide', identityModel('FP32', ['rows', WIDTH])],
        ['slow', slowModel(200)],
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

/** A neighbour is answered meanwhile, and nothing is left behind. */
afterEach(async () => {
  const { code } = await infer(client, { modelName: 'same', inputs: [input()], rawInputContents: [raw(FOUR)] })
  expect(code).toBe(Code.OK)
  for (const session of opened.splice(0)) session.close()
  while (server.app.path.inFlight > 0) await nextTurn()
})

const FOUR = Float32Array.of(1, 2, 3, 4)
const GOOD = Buffer.from(
  ModelInferRequest.encode(
    inferRequest({ modelName: 'same', inputs: [input()], rawInputContents: [raw(FOUR)] }),
  ).finish(),
)

/** Of request bodies and replies, over all clients. */
async function bufferedBytes(): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text()
  return Number(/^headrace_buffered_bytes (\d+)$/m.exec(text)![1])
}

async function rawClient(): Promise<RawClient> {
  const session = await RawClient.open(server.grpcAddress)
  opened.push(session)
  return session
}

describe('a message', () => {
  it('of many bytes to a method of few is refused before it is decoded', async () => {
    const path = inferenceService.ServerLive.path
    const nothing = Buffer.alloc(128 * 1024, Buffer.from([0x78, 0]))
    expect(await (await rawClient()).call({ headers: { ':path': path }, chunks: [frame(nothing)] })).toMatchObject({
      code: Code.RESOURCE_EXHAUSTED,
      error: 'HTTP_BODY_TOO_LARGE',
    })
  })

  it('with more strings in all its inputs than one may bring is refused', async () => {
    const strings = { datatype: 'BYTES', shape: [100_000] }
    const inputs = [input({ name: 'x', ...strings }), input({ name: 'y', ...strings })]
    const rawInputContents = [new Uint8Array(400_000), new Uint8Array(400_000)]
    expect(await infer(client, { modelName: 'same', inputs, rawInputContents })).toMatchObject({
      error: 'TENSOR_STRINGS_TOO_MANY',
    })
  })

  it('in single bytes is read', async () => {
    const whole = frame(GOOD)
    const chunks = Array.from(whole, (byte) => Buffer.of(byte))
    expect(await (await rawClient()).call({ chunks })).toMatchObject({ code: Code.OK })
  })

  it.each<[string, Parameters<RawClient['call']>[0], number, string]>([
    [
      'whose length lies above what comes',
      { chunks: [frame(GOOD, 0, GOOD.length + 1)] },
      Code.INVALID_ARGUMENT,
      'GRPC_MESSAGE_INVALID',
    ],
    [
      'whose length lies below what comes',
      { chunks: [frame(GOOD, 0, GOOD.length - 1)] },
      Code.INVALID_ARGUMENT,
      'GRPC_MESSAGE_INVALID',
    ],
    [
      'of four gigabytes',
      { chunks: [frame(GOOD, 0, 0xffff_ffff)], ends: false },
      Code.RESOURCE_EXHAUSTED,
      'HTTP_BODY_TOO_LARGE',
    ],
    [
      'over the limit by one',
      { chunks: [frame(Buffer.alloc(0), 0, LIMIT_BYTES + 1)], ends: false },
      Code.RESOURCE_EXHAUSTED,
      'HTTP_BODY_TOO_LARGE',
    ],
    [
      'that is followed by garbage',
      { chunks: [Buffer.concat([frame(GOOD), Buffer.from('xyz')])] },
      Code.INVALID_ARGUMENT,
      'GRPC_MESSAGE_INVALID',
    ],
    [
      'that is followed by another',
      { chunks: [Buffer.concat([frame(GOOD), frame(GOOD)])] },
      Code.INVALID_ARGUMENT,
      'GRPC_MESSAGE_INVALID',
    ],
    [
      'that is garbage',
      { chunks: [frame(Buffer.from('not protobuf at all'))] },
      Code.INVALID_ARGUMENT,
      'GRPC_MESSAGE_INVALID',
    ],
    [
      'with bytes behind its last field',
      { chunks: [frame(Buffer.concat([GOOD, Buffer.of(0x3a, 0x7f)]))] },
      Code.INVALID_ARGUMENT,
      'GRPC_MESSAGE_INVALID',
    ],
    ['that is missing', { chunks: [] }, Code.INVALID_ARGUMENT, 'GRPC_MESSAGE_INVALID'],
    ['that ends in its prefix', { chunks: [Buffer.of(0, 0)] }, Code.INVALID_ARGUMENT, 'GRPC_MESSAGE_INVALID'],
    [
      'compressed in a way nobody knows',
      { chunks: [frame(GOOD, 1)], headers: { 'grpc-encoding': 'br' } },
      Code.UNIMPLEMENTED,
      'GRPC_ENCODING_UNSUPPORTED',
    ],
    [
      'said to be compressed without a way',
      { chunks: [frame(GOOD, 1)] },
      Code.UNIMPLEMENTED,
      'GRPC_ENCODING_UNSUPPORTED',
    ],
    [
      'said to be gzip that is none',
      { chunks: [frame(GOOD, 1)], headers: { 'grpc-encoding': 'gzip' } },
      Code.INVALID_ARGUMENT,
      'HTTP_COMPRESSED_INVALID',
    ],
    [
      'that inflates beyond the limit',
      { chunks: [frame(gzipSync(Buffer.alloc(LIMIT_BYTES * 50)), 1)], headers: { 'grpc-encoding': 'gzip' } },
      Code.RESOURCE_EXHAUSTED,
      'HTTP_BODY_TOO_LARGE',
    ],
    [
      'with a timeout that is none',
      { chunks: [frame(GOOD)], headers: { 'grpc-timeout': 'soon' } },
      Code.INVALID_ARGUMENT,
      'GRPC_MESSAGE_INVALID',
    ],
    [
      'to a method that nobody knows',
      { chunks: [frame(GOOD)], headers: { ':path': '/inference.GRPCInferenceService/Nothing' } },
      Code.UNIMPLEMENTED,
      'GRPC_METHOD_UNKNOWN',
    ],
    [
      'to a path with bytes that are none',
      { chunks: [frame(GOOD)], headers: { ':path': '/%zz' } },
      Code.UNIMPLEMENTED,
      'GRPC_METHOD_UNKNOWN',
    ],
  ])('%s is refused', async (_, sent, code, error) => {
    expect(await (await rawClient()).call(sent)).toMatchObject({ code, error })
  })

  it('that is none of gRPC gets a status of HTTP', async () => {
    const session = await rawClient()
    expect(await session.call({ headers: { 'content-type': 'application/json' }, chunks: [GOOD] })).toMatchObject({
      http: 415,
      code: undefined,
    })
    expect(await session.call({ headers: { ':method': 'GET' } })).toMatchObject({ http: 415, code: undefined })
  })

  it('whose length lies takes no memory before its bytes come', async () => {
    const before = process.memoryUsage().arrayBuffers
    const session = await rawClient()
    const calls = Array.from({ length: 200 }, () =>
      session.call({ chunks: [frame(Buffer.alloc(10), 0, LIMIT_BYTES)], ends: false }),
    )
    await pause(200)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 * 1024 * 1024)
    session.close()
    await Promise.all(calls)
  })
})

describe('a client', () => {
  it('that closes its half without a message is answered', async () => {
    expect(await (await rawClient()).call({ chunks: [] })).toMatchObject({ code: Code.INVALID_ARGUMENT })
  })

  it('that never closes its half is answered all the same', async () => {
    expect(await (await rawClient()).call({ chunks: [frame(GOOD)], ends: false })).toMatchObject({
      code: Code.OK,
      rstCode: 0,
    })
  })

  it('that stops in the middle of a message is told so in time', async () => {
    const answer = await (await rawClient()).call({ chunks: [frame(GOOD).subarray(0, 20)], ends: false })
    expect(answer).toMatchObject({ code: Code.DEADLINE_EXCEEDED, error: 'HTTP_TIMEOUT' })
  })

  it('with too much metadata is cut off, and not its other calls', async () => {
    const session = await rawClient()
    const running = session.call({ chunks: [frame(GOOD)] })
    const large = await session.call({ headers: { 'x-large': 'x'.repeat(30_000) }, chunks: [frame(GOOD)] })
    expect(large.code).toBeUndefined()
    expect(large.rstCode).toBeGreaterThan(0)
    expect(await running).toMatchObject({ code: Code.OK })
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`x-${i}`, '1']))
    expect((await session.call({ headers: many, chunks: [frame(GOOD)] })).rstCode).toBeGreaterThan(0)
    expect(await session.call({ chunks: [frame(GOOD)] })).toMatchObject({ code: Code.OK })
  })

  it('that floods with calls which it resets at once is cut off, and what it asked for is not worked at', async () => {
    const session = await rawClient()
    const slow = frame(
      ModelInferRequest.encode(
        inferRequest({ modelName: 'slow', inputs: [input()], rawInputContents: [raw(FOUR)] }),
      ).finish(),
    )
    let ended = false
    session.session.on('close', () => {
      ended = true
    })
    for (let i = 0; i < 3000 && !ended && !session.session.destroyed; i++) {
      const stream = session.session.request(INFER_HEADERS)
      stream.on('error', () => {})
      stream.end(slow)
      stream.close(8)
      if (i % 50 === 0) await nextTurn()
    }
    // Runs that have begun end, and few others begin: all of them would take minutes.
    const startedMs = performance.now()
    await pause(100)
    while (server.app.path.inFlight > 0) await nextTurn()
    expect(performance.now() - startedMs).toBeLessThan(10_000)
  })

  it('that does not read its replies holds up nobody', async () => {
    const session = await RawClient.open(server.grpcAddress, { settings: { initialWindowSize: 0 } })
    opened.push(session)
    const rows = 10_000
    const large = frame(
      ModelInferRequest.encode(
        inferRequest({
          modelName: 'same',
          inputs: [input({ shape: [rows, 4] })],
          rawInputContents: [new Uint8Array(rows * 16)],
        }),
      ).finish(),
    )
    const ended: Promise<RawAnswer>[] = []
    for (let i = 0; i < 4; i++) {
      ended.push(session.call({ chunks: [large] }))
      while (server.app.path.inFlight === 0) await nextTurn()
      while (server.app.path.inFlight > 0) await nextTurn()
    }
    // The server gives up on them.
    expect((await Promise.all(ended)).map(({ rstCode }) => rstCode)).toEqual([8, 8, 8, 8])
  })

  it('that does not read the replies of its stream is given up, and they are counted until then', async () => {
    const session = await RawClient.open(server.grpcAddress, { settings: { initialWindowSize: 0 } })
    opened.push(session)
    const rows = 10
    const message = ModelInferRequest.encode(
      inferRequest({
        modelName: 'wide',
        inputs: [input({ shape: [rows, WIDTH] })],
        rawInputContents: [new Uint8Array(rows * WIDTH * 4)],
      }),
    ).finish()
    let isOver = false
    const answer = session.call({
      headers: { ':path': inferenceService.ModelStreamInfer.path },
      chunks: [frame(message), frame(message), frame(message)],
      ends: false,
    })
    void answer.then(() => {
      isOver = true
    })
    let mostBytes = 0
    while (!isOver) mostBytes = Math.max(mostBytes, await bufferedBytes())
    expect(mostBytes).toBeGreaterThan(rows * WIDTH * 4 * 3)
    expect(await answer).toMatchObject({ rstCode: 8 })
    while ((await bufferedBytes()) > 0) await nextTurn()
  })

  it('that speaks HTTP/1.1 or nothing sensible is cut off', async () => {
    for (const bytes of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', Buffer.alloc(100, 0xff)]) {
      const socket = connect(Number(server.grpcAddress.split(':')[1]), '127.0.0.1')
      socket.on('error', () => {})
      socket.write(bytes)
      socket.resume()
      await new Promise((resolve) => socket.once('close', resolve))
    }
  })

  it('that sends pings, settings and empty frames without end holds up nobody', async () => {
    const socket: Socket = connect(Number(server.grpcAddress.split(':')[1]), '127.0.0.1')
    socket.on('error', () => {})
    socket.resume()
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
    const ping = Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
    for (let i = 0; i < 200; i++)
      socket.write(Buffer.concat(Array.from({ length: 100 }, () => (i % 2 === 0 ? settings : ping))))
    const { code } = await infer(client, { modelName: 'same', inputs: [input()], rawInputContents: [raw(FOUR)] })
    expect(code).toBe(Code.OK)
    socket.destroy()
  })
})

describe('idle streams', () => {
  it('beyond the limit cost the longest idle one its place, and others are answered', async () => {
    const headers = { ':path': inferenceService.ModelStreamInfer.path }
    const sessions = await Promise.all(Array.from({ length: 4 }, rawClient))
    const ended: Promise<unknown>[] = []
    let evicted = 0
    for (let i = 0; i < 2000; i++) {
      const stream = sessions[i % 4]!.call({ headers, ends: false })
      ended.push(
        stream.then(({ error }) => {
          if (error === 'GRPC_STREAM_IDLE') evicted++
        }),
      )
      if (i % 100 === 0) await nextTurn()
    }
    const { code } = await infer(client, { modelName: 'same', inputs: [input()], rawInputContents: [raw(FOUR)] })
    expect(code).toBe(Code.OK)
    while (evicted < 2000 - MAX_STREAMS) await nextTurn()
    const metrics = (await call(`${server.url}/metrics`, 'GET')).text
    expect(Number(/^headrace_grpc_calls(?:\{[^}]*\})? (\d+)/m.exec(metrics)?.[1])).toBeLessThanOrEqual(MAX_STREAMS)
    for (const session of sessions) session.close()
    await Promise.all(ended)
  })
})
