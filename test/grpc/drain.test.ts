// A server that closes finishes what it has begun, tells who watches, and takes nothing more.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Metadata } from '@grpc/grpc-js'
import { afterAll, expect, it } from 'vitest'
import { healthService, inferenceService, openGrpcClient, ServingStatus } from '../../src/oip/index.js'
import { slowModel } from '../support/onnx-models.js'
import { startTestServer } from '../support/start-server.js'
import { Code, infer, input, raw } from './support.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('finishes calls in flight, ends idle streams with UNAVAILABLE and says GOAWAY', async () => {
  const server = await startTestServer({
    folder,
    models: [],
    beforeStart: async () => {
      mkdirSync(join(folder, 'models/slow/1'), { recursive: true })
      writeFileSync(join(folder, 'models/slow/1/model.onnx'), slowModel(300))
    },
  })
  const client = await openGrpcClient(server.grpcAddress)
  const parts = {
    modelName: 'slow',
    inputs: [input()],
    rawInputContents: [raw(Float32Array.of(1, 2, 3, 4))],
  }
  const running = infer(client, parts)
  const { Watch } = healthService
  const watch = client.makeServerStreamRequest(
    Watch.path,
    Watch.requestSerialize,
    Watch.responseDeserialize,
    { service: '' },
    new Metadata(),
  )
  const statuses: ServingStatus[] = []
  watch.on('data', ({ status }: { status: ServingStatus }) => statuses.push(status))
  watch.on('error', () => {})
  const watchEnded = new Promise<number>((resolve) => watch.on('status', ({ code }) => resolve(code)))
  const { ModelStreamInfer } = inferenceService
  const stream = client.makeBidiStreamRequest(
    ModelStreamInfer.path,
    ModelStreamInfer.requestSerialize,
    ModelStreamInfer.responseDeserialize,
    new Metadata(),
  )
  stream.on('data', () => {})
  stream.on('error', () => {})
  const streamEnded = new Promise<number>((resolve) => stream.on('status', ({ code }) => resolve(code)))
  while (server.app.path.inFlight === 0 || statuses.length === 0) await nextTurn()
  const startedMs = performance.now()
  const closed = server.close()
  expect((await running).code).toBe(Code.OK)
  expect(await watchEnded).toBe(Code.UNAVAILABLE)
  expect(await streamEnded).toBe(Code.UNAVAILABLE)
  expect(statuses).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING])
  await closed
  expect(performance.now() - startedMs).toBeLessThan(10_000)
  expect((await infer(client, parts, { deadlineMs: 2000 })).code).toBe(Code.UNAVAILABLE)
  client.close()
})
