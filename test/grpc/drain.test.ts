// A server that closes finishes what it has begun, tells who watches, and takes nothing more.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Metadata } from '@grpc/grpc-js'
import { afterAll, expect, it } from 'vitest'
import { healthService, inferenceService, openGrpcClient, ServingStatus } from '../../src/oip/index.js'
import { type HeldModel, writeHeldModel } from '../support/held-model.js'
import { startTestServer } from '../support/start-server.js'
import { Code, infer, input, raw } from './support.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('finishes calls in flight, ends idle streams with UNAVAILABLE and says GOAWAY', async () => {
  let held: HeldModel | undefined
  const server = await startTestServer({
    folder,
    models: [],
    // Beyond the test's patience: it has to end by itself.
    config: { server: { drainMs: 600_000 } },
    beforeStart: async () => {
      held = writeHeldModel(folder, 'held')
    },
  })
  const client = await openGrpcClient(server.grpcAddress)
  const parts = {
    modelName: 'held',
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
  const closed = server.close()
  held!.letGo()
  expect((await running).code).toBe(Code.OK)
  expect(await watchEnded).toBe(Code.UNAVAILABLE)
  expect(await streamEnded).toBe(Code.UNAVAILABLE)
  expect(statuses).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING])
  await closed
  expect((await infer(client, parts, { deadlineMs: 20_000 })).code).toBe(Code.UNAVAILABLE)
  client.close()
})
