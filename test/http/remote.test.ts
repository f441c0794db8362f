// One server runs the models, another serves them as remote versions and in pipelines: over HTTP and over gRPC, through outages.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { versionKey } from '../../src/core/index.js'
import type { VersionStatus } from '../../src/serving/index.js'
import { call } from '../support/http.js'
import { inferInputs, PARITY_NAMES, parity, sessionRequest } from '../support/shop.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const folders = [mkdtempSync(join(tmpdir(), 'headrace-test-')), mkdtempSync(join(tmpdir(), 'headrace-test-'))] as const
let far: TestServer
let near: TestServer

const startFar = (config = {}) => startTestServer({ folder: folders[0], config })

function add(model: string, version: number, file: string, content: object): void {
  const folder = join(folders[1], 'models', model, String(version))
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, file), JSON.stringify(content))
}

/** Resolves once the pool says so. */
function whenState(server: TestServer, key: string, state: VersionStatus['state']): Promise<VersionStatus> {
  return new Promise((resolve) => {
    const look = (status: VersionStatus) => {
      if (versionKey(status.ref) !== key || status.state !== state) return
      stop()
      resolve(status)
    }
    const stop = server.app.pool.watch(look)
    for (const status of server.app.pool.statuses()) look(status)
  })
}

beforeAll(async () => {
  far = await startFar()
  near = await startTestServer({
    folder: folders[1],
    models: ['fraud'],
    beforeStart: async () => {
      for (const name of PARITY_NAMES) {
        const { model, version } = parity(name)
        const common = { model, version: String(version), probeMs: 200 }
        add(`http-${model}`, version, 'remote.json', { url: far.url, ...common })
        add(`grpc-${model}`, version, 'remote.json', { url: `grpc://${far.grpcAddress}`, ...common })
      }
      const inputs = Object.fromEntries(Object.keys(parity('fraud-1').rows[0]!).map((name) => [name, name]))
      add('both', 1, 'pipeline.json', {
        steps: [
          { name: 'here', model: 'fraud', version: 1, inputs },
          { name: 'there', model: 'http-fraud', version: 2, inputs },
        ],
        outputs: { p1: 'here.output_probability', p2: 'there.output_probability', label: 'there.output_label' },
      })
    },
  })
})
afterAll(async () => {
  await near.close()
  await far.close()
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

describe.each(['http', 'grpc'])('a remote version over %s', (protocol) => {
  it.each(PARITY_NAMES)('describes and answers %s as the server does that runs it', async (name) => {
    const { model, version, rows } = parity(name)
    const path = `/versions/${version}`
    const there = await call(`${far.url}/v2/models/${model}${path}`, 'GET')
    const here = await call(`${near.url}/v2/models/${protocol}-${model}${path}`, 'GET')
    expect(here.json).toMatchObject({ inputs: there.json.inputs, outputs: there.json.outputs })
    const body = { inputs: inferInputs(rows.slice(0, 40), there.json.inputs) }
    const expected = await call(`${far.url}/v2/models/${model}${path}/infer`, 'POST', body)
    const answer = await call(`${near.url}/v2/models/${protocol}-${model}${path}/infer`, 'POST', body)
    expect(answer).toMatchObject({ status: 200 })
    expect(answer.json.outputs).toEqual(expected.json.outputs)
  })
})

describe('a pipeline of a version here and one there', () => {
  it('answers what both answer', async () => {
    const { rows } = parity('fraud-1')
    const metadata = await call(`${near.url}/v2/models/both`, 'GET')
    const body = { inputs: inferInputs(rows.slice(0, 5), metadata.json.inputs) }
    const { json, status } = await call(`${near.url}/v2/models/both/infer`, 'POST', body)
    expect(status).toBe(200)
    const output = async (path: string, name: string) => {
      const { json } = await call(`${near.url}/v2/models/${path}/infer`, 'POST', body)
      return json.outputs.find((tensor: { name: string }) => tensor.name === name).data
    }
    const data = Object.fromEntries(
      json.outputs.map((tensor: { name: string; data: unknown }) => [tensor.name, tensor.data]),
    )
    expect(data['p1']).toEqual(await output('fraud/versions/1', 'output_probability'))
    expect(data['p2']).toEqual(await output('http-fraud/versions/2', 'output_probability'))
    expect(data['label']).toEqual(await output('http-fraud/versions/2', 'output_label'))
  })
})

describe('when the server goes away that runs the models', () => {
  it('remote versions and the pipelines of them say so, and come back with it', async () => {
    const port = far.port
    const grpcPort = Number(far.grpcAddress!.split(':')[1])
    await far.close()
    const keys = ['http-fraud/1', 'grpc-fraud/1', 'both/1']
    const gone = await Promise.all(keys.map((key) => whenState(near, key, 'unready')))
    expect(gone[0]!.reason).toContain(`its server http://127.0.0.1:${port} cannot be reached`)
    expect(gone[1]!.reason).toContain(`its server grpc://127.0.0.1:${grpcPort} cannot be reached`)
    expect(gone[2]!.reason).toContain('step "there" (http-fraud/2), which is unready')
    const refused = await call(`${near.url}/v2/models/http-purchase-intent/versions/1/infer`, 'POST', sessionRequest())
    expect(refused.status).toBe(503)
    expect((await call(`${near.url}/v2/models/http-fraud/versions/1/ready`, 'GET')).status).not.toBe(200)

    // A version that comes while its server is away.
    add('late', 1, 'remote.json', { url: `http://127.0.0.1:${port}`, model: 'purchase-intent' })
    const failed = await whenState(near, 'late/1', 'failed')
    expect(failed.error?.code).toBe('REMOTE_UNREACHABLE')

    far = await startFar({ server: { port, grpcPort } })
    await Promise.all([...keys, 'late/1'].map((key) => whenState(near, key, 'ready')))
    const answer = await call(`${near.url}/v2/models/late/infer`, 'POST', sessionRequest())
    expect(answer.status).toBe(200)
  })
})
