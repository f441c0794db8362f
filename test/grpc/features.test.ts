// Features over gRPC: keys as parameters and as tensors, by the same path as over HTTP.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWindowEngine } from '../../src/features/aggregate/engine.js'
import { column, defineEntity, defineFeatureService, defineFeatureView, pushSource } from '../../src/features/index.js'
import { createMemoryOnlineStore } from '../../src/features/online/memory-online-store.js'
import { openGrpcClient } from '../../src/oip/index.js'
import { type FeatureServer, startFeatureServer } from '../support/feature-server.js'
import { Code, infer, input } from './support.js'

const item = defineEntity('item', { keys: { item_id: 'int64' } })
const view = defineFeatureView('item_price', {
  entities: [item],
  stream: pushSource('events', { columns: { price: 'float64', item_id: 'int64' } }),
  features: { price: column('float64', { default: -1 }) },
})

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: FeatureServer
let client: Client
let isFrozen = false

beforeAll(async () => {
  server = await startFeatureServer({
    folder,
    definitions: [defineFeatureService('items', [view])],
    versions: { 'rank/1': { inputs: { price: 'FP32' }, manifest: { featureService: 'items' } } },
    async store(platform) {
      const store = await createMemoryOnlineStore({ platform, engineOf: createWindowEngine })
      const { read } = store
      store.read = (reads, atMs) => (isFrozen ? new Promise(() => {}) : read.call(store, reads, atMs))
      return store
    },
  })
  await server.put('item_price', { item_id: 7 }, [3.5])
  client = await openGrpcClient(server.grpcAddress)
}, 60_000)
afterAll(async () => {
  client.close()
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const seen = (reply: Awaited<ReturnType<typeof infer>>['reply']) =>
  reply!.outputs
    .find(({ name }) => name === 'seen')!
    .contents!.bytesContents.map((bytes) => JSON.parse(Buffer.from(bytes).toString()).price)

describe('an infer call to an endpoint with features', () => {
  it('takes keys as a tensor with one for each row', async () => {
    const inputs = [
      input({ name: 'item_id', datatype: 'INT64', shape: [2], contents: { int64Contents: [7n, 8n] as never } }),
    ]
    const { code, reply } = await infer(client, { modelName: 'rank', inputs })
    expect(code).toBe(Code.OK)
    expect(seen(reply)).toEqual([3.5, -1])
    expect(JSON.stringify([...reply!.parameters])).toContain('features-default')
  })

  it('gets defaults once its budget is over while the store is frozen', async () => {
    isFrozen = true
    const inputs = [
      input({ name: 'item_id', datatype: 'INT64', shape: [1], contents: { int64Contents: [7n] as never } }),
    ]
    const { code, reply } = await infer(client, { modelName: 'rank', inputs })
    isFrozen = false
    expect(code).toBe(Code.OK)
    expect(seen(reply)).toEqual([-1])
    expect(JSON.stringify([...reply!.parameters])).toContain('features-default')
  })

  it('refuses a key that no entity has', async () => {
    const inputs = [
      input({ name: 'itemid', datatype: 'INT64', shape: [1], contents: { int64Contents: [7n] as never } }),
    ]
    const { code, error } = await infer(client, { modelName: 'rank', inputs })
    expect([code, error]).toEqual([Code.INVALID_ARGUMENT, 'TENSOR_INPUT_UNKNOWN'])
  })
})
