// The registry as a server has it: a project that begins, and what keeps a version from being deleted, whichever face asks.
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type App, createApp, loadProject, removeVersion } from '../../src/app/index.js'
import { createPlatform } from '../../src/core/index.js'
import { version } from '../../src/route/index.js'
import { startServer } from '../../src/server/index.js'
import { call } from '../support/http.js'
import { startTestServer, type TestServer } from '../support/start-server.js'
import { tempFolder } from '../support/temp-folder.js'

const MODEL = readFileSync(join(import.meta.dirname, '../../examples/shop/models/purchase-intent/1/model.onnx'))
const OTHER = readFileSync(join(import.meta.dirname, '../../examples/shop/models/fraud/1/model.onnx'))
const PATIENCE = { timeout: 30_000 }

const push = (url: string, model: string, bytes: Buffer, query = '') =>
  call(`${url}/api/v1/models/${model}/versions${query}`, 'POST', bytes, {
    headers: { 'content-type': 'application/octet-stream' },
  })

describe('an empty project', () => {
  it('starts, is ready, and serves what is pushed to it', async () => {
    const folder = tempFolder()
    const warnings: string[] = []
    const platform = createPlatform()
    const logger = { ...platform.logger, warn: (_: object, text: string) => warnings.push(text) }
    const project = await loadProject(folder, { overrides: { server: { port: 0, grpcPort: false } } })
    const app = await createApp(project, { ...platform, logger: logger as never })
    const server = await startServer(app)
    try {
      await app.start()
      expect(warnings).toContainEqual(expect.stringContaining('nothing is served yet'))
      expect(await call(`${server.url}/readyz`, 'GET')).toMatchObject({ status: 200, json: { ready: true } })
      expect(await push(server.url, 'first', MODEL)).toMatchObject({ status: 200 })
      await expect
        .poll(async () => (await call(`${server.url}/v2/models/first/ready`, 'GET')).status, PATIENCE)
        .toBe(200)
      // Renamed, it is called as before, and what is said of it may use either name.
      const rename = { name: 'first', new_name: 'second' }
      expect(await call(`${server.url}/mlflow/api/2.0/mlflow/registered-models/rename`, 'POST', rename)).toMatchObject({
        ...{ status: 200, json: { registered_model: { name: 'second' } } },
      })
      for (const name of ['first', 'second']) {
        const alias = await call(`${server.url}/api/v1/models/${name}/aliases/${name}s`, 'PUT', { version: 1 })
        expect(alias).toMatchObject({ status: 200, json: { change: { subject: `first@${name}s` } } })
        expect(await call(`${server.url}/api/v1/models/${name}`, 'GET')).toMatchObject({ json: { name: 'first' } })
      }
      expect((await push(server.url, 'second', OTHER)).json).toMatchObject({ version: 2 })
      expect((await call(`${server.url}/api/v1/registry/models/first`, 'GET')).json).toMatchObject({
        ...{ name: 'second', servableName: 'first', versions: [1, 2] },
      })
    } finally {
      await server.close()
    }
  })

  it('does not start without the models folder that it served from before', async () => {
    const folder = tempFolder()
    const start = async () => {
      const app = await createApp(await loadProject(folder), createPlatform())
      await app.start().finally(() => app.close())
    }
    await start()
    mkdirSync(join(folder, 'models/m/1'), { recursive: true })
    writeFileSync(join(folder, 'models/m/1/model.onnx'), MODEL)
    await start()
    rmSync(join(folder, 'models'), { recursive: true })
    await expect(start()).rejects.toMatchObject({ code: 'REGISTRY_FOLDER_UNREADABLE' })
  })

  it('does not start without the models folder that its configuration names', async () => {
    const folder = tempFolder()
    writeFileSync(join(folder, 'headrace.config.mjs'), 'export default { models: { folder: "./modles" } }')
    const app = await createApp(await loadProject(folder), createPlatform())
    await expect(app.start()).rejects.toMatchObject({ code: 'REGISTRY_FOLDER_UNREADABLE' })
    await app.close()
  })
})

describe('a blob store that was away', () => {
  it('is asked again by itself: what it holds is served when it is back', async () => {
    const folder = tempFolder()
    const data = join(folder, '.headrace')
    const start = async () => {
      const project = await loadProject(folder, { overrides: { server: { port: 0, grpcPort: false } } })
      const app = await createApp(project, createPlatform())
      const server = await startServer(app)
      await app.start()
      return server
    }
    const first = await start()
    expect(await push(first.url, 'm', MODEL)).toMatchObject({ status: 200 })
    await first.close()
    rmSync(join(data, 'registered'), { recursive: true })
    renameSync(join(data, 'blobs/sha256'), join(data, 'away'))

    const server = await start()
    try {
      const { json } = await call(`${server.url}/api/v1/models/m`, 'GET')
      expect(JSON.stringify(json)).toContain('cannot be fetched from the blob store')
      expect(await call(`${server.url}/v2/models/m/ready`, 'GET')).not.toMatchObject({ status: 200 })
      rmSync(join(data, 'blobs/sha256'), { recursive: true, force: true })
      renameSync(join(data, 'away'), join(data, 'blobs/sha256'))
      await expect
        .poll(async () => (await call(`${server.url}/v2/models/m/ready`, 'GET')).status, { timeout: 90_000 })
        .toBe(200)
    } finally {
      await server.close()
    }
  }, 120_000)
})

describe('a registered version', () => {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
  let server: TestServer
  const mlflow = (method: 'DELETE' | 'POST', path: string, body: object) =>
    call(`${server.url}/mlflow/api/2.0/mlflow/${path}`, method, body)

  beforeAll(async () => {
    mkdirSync(join(folder, 'models/flow/1'), { recursive: true })
    const steps = [{ name: 'a', model: 'part', version: 1, inputs: { x: 'x' } }]
    writeFileSync(join(folder, 'models/flow/1/pipeline.json'), JSON.stringify({ steps, outputs: { out: 'a.y' } }))
    server = await startTestServer({
      folder,
      models: [],
      config: {
        endpoints: {
          named: { route: version('pinned', 1) },
          careful: { route: version('gated', { alias: 'live' }), gates: { approvals: { count: 1 } } },
        },
      },
    })
    for (const model of ['pinned', 'part', 'gated', 'free']) {
      await push(server.url, model, MODEL)
      await push(server.url, model, OTHER)
    }
  })
  afterAll(async () => {
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const removals = (model: string) => [
    () => call(`${server.url}/api/v1/registry/models/${model}/versions/1`, 'DELETE', {}),
    () => mlflow('DELETE', 'model-versions/delete', { name: model, version: '1' }),
    () => call(`${server.url}/api/v1/registry/models/${model}`, 'DELETE', {}),
    () => mlflow('DELETE', 'registered-models/delete', { name: model }),
  ]

  it.each([
    ['pinned', 'the endpoint "named" answers with it'],
    ['part', 'the pipeline flow/1 is made of it'],
  ])('of %s is not deleted by any face while %s', async (model, use) => {
    await expect
      .poll(async () => (await call(`${server.url}/v2/models/free/versions/2/ready`, 'GET')).status, PATIENCE)
      .toBe(200)
    for (const remove of removals(model)) {
      const { status, text } = await remove()
      expect(status).toBe(409)
      expect(JSON.stringify(text)).toContain(use.replaceAll('"', '\\\\\\"'))
    }
    const { json } = await call(`${server.url}/api/v1/registry/models/${model}`, 'GET')
    expect(json.versions).toEqual([1, 2])
    const report = await call(`${server.url}/api/v1/registry/gc`, 'POST', { isDryRun: true, keepVersions: 1 })
    expect(report.json.expired).not.toContainEqual({ model, version: 1 })
    expect(report.json.expired).toContainEqual({ model: 'free', version: 1 })
  })

  it("is not deleted while another node's configuration names it", async () => {
    const nodes = await server.app.services.nodes.list()
    const others = (isGone: boolean) =>
      ({
        ...server.app,
        services: {
          ...server.app.services,
          registry: server.app.services.registry,
          nodes: {
            list: async () => [
              ...nodes,
              {
                ...nodes[0]!,
                id: 'n2',
                name: 'two',
                isSelf: false,
                isGone,
                processes: [{ pid: 1, parts: { pinned: ['free/1'] } }],
              },
            ],
          },
        },
      }) as App
    await expect
      .poll(async () => JSON.stringify(await server.app.services.nodes.list()), PATIENCE)
      .toContain('"pinned":["pinned/1"]')
    const ada = { kind: 'person', name: 'ada' } as const
    await expect(removeVersion(others(false), 'free@1', ada)).rejects.toThrow(
      'the configuration of the node two (n2) names it',
    )
    expect(await removeVersion(others(true), 'free@1', ada)).toMatchObject({ version: 1 })
  })

  it("does not take calls through MLflow's alias before the endpoint's gates let it", async () => {
    const set = (number: number) =>
      mlflow('POST', 'registered-models/alias', { name: 'gated', alias: 'live', version: String(number) })
    const refused = await set(2)
    expect(refused.status).toBeLessThan(500)
    expect(refused.text).toContain('GATE_')
    expect((await call(`${server.url}/api/v1/registry/models/gated`, 'GET')).json.aliases).toEqual({})
  })
})
