import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApp, loadProject } from '../../src/app/index.js'
import { createPlatform } from '../../src/core/index.js'
import { startServer } from '../../src/server/index.js'
import { call, type Reply } from '../support/http.js'
import { PAYMENT, SESSION } from '../support/shop.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer

beforeAll(async () => {
  server = await startTestServer({ folder })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const get = (path: string): Promise<Reply> => call(server.url + path, 'GET')
const post = (path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply> =>
  call(server.url + path, 'POST', body, { headers })
const put = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Reply> =>
  call(server.url + path, 'PUT', body, { headers })

/** The version that answers an endpoint's calls now. */
async function answering(endpoint: string, row: object = PAYMENT): Promise<string> {
  const { json } = await post(`/api/v1/predict/${endpoint}`, { inputs: row })
  return `${json.model}/${json.version}`
}

/** Asks again until it holds; models load by themselves soon after they arrive. */
async function eventually(holds: () => Promise<boolean>): Promise<void> {
  await expect.poll(holds).toBe(true)
}

describe('the status', () => {
  it('says what the server is and how it is doing', async () => {
    const { status, json } = await get('/api/v1/status')
    expect(status).toBe(200)
    expect(json).toMatchObject({ ready: true, models: 5, url: server.url, pid: process.pid })
    expect(json.endpoints).toBeGreaterThanOrEqual(5)
    expect(Date.parse(json.startedAt)).toBeLessThanOrEqual(Date.now())
    expect(json.uptimeSeconds).toBeGreaterThanOrEqual(0)
    expect(json.log.durableThrough).toBeGreaterThanOrEqual(0)
  })
})

describe('outcomes', () => {
  it('join their predictions in the log', async () => {
    const { json: predicted } = await post('/api/v1/predict/fraud', { inputs: PAYMENT })
    const outcomes = [
      { prediction: predicted.id, name: 'chargeback', value: true, happenedMs: 5 },
      { prediction: predicted.id, name: 'loss', value: 12.5 },
    ]
    expect(await post('/api/v1/outcomes/fraud', { outcomes })).toMatchObject({ status: 200, json: { taken: 2 } })
    const { json } = await get(`/api/v1/predictions/${predicted.id}`)
    expect(json.outcomes).toMatchObject([
      { name: 'chargeback', value: true, happenedMs: 5, endpoint: 'fraud', tenant: 'default' },
      { name: 'loss', value: 12.5 },
    ])
  })

  it('of an endpoint that is not there, or of no shape, are refused whole', async () => {
    const outcome = { prediction: 'x', name: 'chargeback', value: true }
    expect((await post('/api/v1/outcomes/nobody', { outcomes: [outcome] })).status).toBe(404)
    for (const bad of [[], [{ ...outcome, value: null }], [outcome, { name: 'x' }], [{ ...outcome, prediction: '' }]])
      expect((await post('/api/v1/outcomes/fraud', { outcomes: bad })).status).toBe(400)
  })
})

describe('models', () => {
  it('are listed with their versions', async () => {
    const { json } = await get('/api/v1/models')
    expect(json.models.map(({ name }: { name: string }) => name)).toEqual([
      'breast-cancer',
      'fraud',
      'fraud-rule',
      'product-ranking',
      'purchase-intent',
    ])
    const { json: fraud } = await get('/api/v1/models/fraud')
    expect(fraud.versions).toMatchObject([
      { version: 1, state: 'ready', labels: ['legitimate', 'fraud'] },
      { version: 2, state: 'ready' },
    ])
    expect(fraud.versions[0].digest).toMatch(/^sha256:[0-9a-f]{64}$/)
  })

  it('are 404 when there are none of that name', async () => {
    expect(await get('/api/v1/models/nobody')).toMatchObject({ status: 404, json: { code: 'SERVING_MODEL_NOT_FOUND' } })
    expect(await get('/api/v1/endpoints/nobody')).toMatchObject({
      status: 404,
      json: { code: 'PATH_ENDPOINT_NOT_FOUND' },
    })
  })
})

describe('an alias', () => {
  it('moves the endpoint of its model at once, says who moved it and why, and is undone', async () => {
    expect(await answering('fraud')).toBe('fraud/2')
    const moved = await put(
      '/api/v1/models/fraud/aliases/champion',
      { version: 1, reason: 'version 2 is too strict' },
      { 'headrace-actor': 'anna' },
    )
    expect(moved.status).toBe(200)
    expect(moved.json).toMatchObject({
      change: { kind: 'alias.set', subject: 'fraud@champion', detail: { version: 1 } },
      before: null,
      by: { kind: 'person', name: 'anna' },
      evidence: { reason: 'version 2 is too strict' },
    })
    expect(await answering('fraud')).toBe('fraud/1')
    expect((await get('/api/v1/models/fraud')).json.aliases).toEqual({ champion: 1 })

    const explained = (await get(`/api/v1/decisions/${moved.json.id}`)).json
    expect(explained).toMatchObject({ canUndo: true, summary: 'Pointed alias "champion" of fraud at version 1.' })

    const undone = await post(`/api/v1/decisions/${moved.json.id}/undo`)
    expect(undone.json).toMatchObject({ undoes: moved.json.id, by: { kind: 'person', name: 'anonymous' } })
    expect(await answering('fraud')).toBe('fraud/2')
    expect(await post(`/api/v1/decisions/${moved.json.id}/undo`)).toMatchObject({
      status: 409,
      json: { code: 'DECISION_ALREADY_UNDONE' },
    })
  })

  it('is removed', async () => {
    await put('/api/v1/models/fraud/aliases/challenger', { version: 2 })
    const removed = await call(`${server.url}/api/v1/models/fraud/aliases/challenger`, 'DELETE')
    expect(removed.json).toMatchObject({ change: { detail: { version: null } }, before: { version: 2 } })
    expect((await get('/api/v1/models/fraud')).json.aliases).toEqual({})
    expect(await call(`${server.url}/api/v1/models/fraud/aliases/challenger`, 'DELETE')).toMatchObject({
      status: 404,
      json: { code: 'REGISTRY_ALIAS_NOT_FOUND' },
    })
  })

  it.each([
    [{}, '"version" must be there, but nothing arrived'],
    [{ version: '2' }, '"version" must be an integer, but "2" arrived'],
    [{ version: 0 }, '"version" must be at least 1, but 0 arrived'],
    [{ version: 2, froce: true }, '"froce" must be left out (it is unknown here)'],
    [[2], 'the body must be an object, but [2] arrived'],
  ])('is not set by %j', async (body, problem) => {
    const { status, json } = await put('/api/v1/models/fraud/aliases/champion', body)
    expect([status, json.code]).toEqual([400, 'HTTP_BODY_INVALID'])
    expect(json.error).toContain(problem)
  })

  it('is not forced without a reason', async () => {
    expect(await put('/api/v1/models/fraud/aliases/champion', { version: 2, force: true })).toMatchObject({
      status: 400,
      json: { code: 'GATE_REASON_NEEDED' },
    })
  })

  it('is not set at a version nobody saw', async () => {
    expect(await put('/api/v1/models/fraud/aliases/champion', { version: 99 })).toMatchObject({
      status: 404,
      json: { code: 'REGISTRY_VERSION_NOT_FOUND' },
    })
  })
})

describe('an endpoint', () => {
  it('is made by pointing it, moved by a number, latest or an alias, and undone step by step', async () => {
    const first = await put('/api/v1/endpoints/checkout/route', { model: 'fraud', version: 1 })
    expect(first.status).toBe(200)
    expect(await answering('checkout')).toBe('fraud/1')
    expect((await get('/api/v1/endpoints/checkout')).json).toMatchObject({
      origin: 'pointed',
      model: 'fraud',
      version: 1,
    })
    const second = await put('/api/v1/endpoints/checkout/route', { model: 'fraud', version: 'latest' })
    expect(await answering('checkout')).toBe('fraud/2')
    await put('/api/v1/models/fraud/aliases/steady', { version: 1 })
    const third = await put('/api/v1/endpoints/checkout/route', { model: 'fraud', version: { alias: 'steady' } })
    expect(await answering('checkout')).toBe('fraud/1')
    await post(`/api/v1/decisions/${third.json.id}/undo`)
    expect(await answering('checkout')).toBe('fraud/2')
    await post(`/api/v1/decisions/${second.json.id}/undo`)
    expect(await answering('checkout')).toBe('fraud/1')
    await post(`/api/v1/decisions/${first.json.id}/undo`)
    expect(await get('/api/v1/endpoints/checkout')).toMatchObject({ status: 404 })
  })

  it('is not pointed at a version that is neither a number, nor latest, nor an alias', async () => {
    const { status, json } = await put('/api/v1/endpoints/checkout/route', { model: 'fraud', version: 'newest' })
    expect([status, json.code]).toEqual([400, 'HTTP_BODY_INVALID'])
    expect(json.error).toContain('"version" must be an integer or "latest" or an object, but "newest" arrived')
  })
})

describe('decisions', () => {
  it('are listed newest first, a page at a time, by subject and kind', async () => {
    await put('/api/v1/models/purchase-intent/aliases/champion', { version: 1 })
    await put('/api/v1/models/purchase-intent/aliases/challenger', { version: 1 })
    const { json } = await get('/api/v1/decisions?limit=2')
    expect(json.decisions).toHaveLength(2)
    const [newest, older] = json.decisions
    expect(newest.change.subject).toBe('purchase-intent@challenger')
    expect(newest.number).toBe(older.number + 1)
    expect((await get(`/api/v1/decisions?limit=1&before=${newest.number}`)).json.decisions).toEqual([older])
    const seen = await get('/api/v1/decisions?kind=version.seen&subject=fraud/1')
    expect(seen.json.decisions).toMatchObject([{ by: { kind: 'system', name: 'headrace' } }])
  })

  it('make a chain that verifies', async () => {
    const { json } = await get('/api/v1/decisions/verify')
    expect(json).toMatchObject({ ok: true })
    expect(json.count).toBeGreaterThan(4)
  })

  it.each(['limit=0', 'limit=many', 'limit=1.5', 'limit=2000', 'page=2'])('are not listed by %s', async (query) => {
    expect(await get(`/api/v1/decisions?${query}`)).toMatchObject({
      status: 400,
      json: { code: 'HTTP_PARAMETER_INVALID' },
    })
  })

  it('are 404 when there is none of that id', async () => {
    expect(await get('/api/v1/decisions/nothing')).toMatchObject({ status: 404, json: { code: 'DECISION_NOT_FOUND' } })
  })
})

describe('a push', () => {
  const shop = join(import.meta.dirname, '../../examples/shop/models/purchase-intent/1')
  const model = readFileSync(join(shop, 'model.onnx'))
  const manifest = readFileSync(join(shop, 'model.json'))
  const push = (name: string, body: Uint8Array, headers: Record<string, string> = {}, query = ''): Promise<Reply> =>
    post(`/api/v1/models/${name}/versions${query}`, body, { 'content-type': 'application/octet-stream', ...headers })
  const withManifest = (text: Uint8Array): [Uint8Array, Record<string, string>] => [
    Buffer.concat([text, model]),
    { 'headrace-manifest-length': String(text.length), 'headrace-actor': 'ben' },
  ]

  it('makes the next version, which takes over as the latest when it is warm, and says who pushed it', async () => {
    const edited = Buffer.from(manifest.toString().replace('a small neural network', 'a second neural network'))
    await put('/api/v1/endpoints/intent/route', { model: 'purchase-intent', version: 'latest' })
    expect(await answering('intent', SESSION)).toBe('purchase-intent/1')
    const { status, json } = await push('purchase-intent', ...withManifest(edited))
    expect(status).toBe(200)
    expect(json).toMatchObject({ model: 'purchase-intent', version: 2 })
    expect(json.digest).toMatch(/^sha256:/)
    await eventually(async () => (await answering('intent', SESSION)) === 'purchase-intent/2')
    expect((await get('/api/v1/endpoints/intent')).json.description).toContain('a second neural network')
    const { json: seen } = await get('/api/v1/decisions?subject=purchase-intent/2')
    expect(seen.decisions).toMatchObject([
      { change: { kind: 'version.register' }, by: { kind: 'person', name: 'ben' } },
    ])
    expect(readdirSync(join(server.project.dataDir, 'uploads'))).toEqual([])
  })

  it('makes a new model, whose endpoint is there without being declared', async () => {
    expect((await push('brand-new', ...withManifest(manifest))).json).toMatchObject({ model: 'brand-new', version: 1 })
    await eventually(async () => (await get('/v2/models/brand-new/ready')).status === 200)
    expect(await answering('brand-new', SESSION)).toBe('brand-new/1')
  })

  it('of the same content again is the version that is there, unless another is asked for', async () => {
    await push('twice', ...withManifest(manifest))
    expect(await push('twice', ...withManifest(manifest))).toMatchObject({
      status: 200,
      json: { version: 1, isNew: false },
    })
    expect((await push('twice', ...withManifest(manifest), '?allowSame=true')).json).toMatchObject({ version: 2 })
    expect((await push('twice', ...withManifest(manifest), '?allowSame=true&version=7')).json).toMatchObject({
      version: 7,
    })
  })

  it.each<[string, Uint8Array, Record<string, string>, number, string, string]>([
    ['is empty', new Uint8Array(), {}, 400, 'HTTP_UPLOAD_INVALID', 'no ONNX file arrived'],
    ['is no ONNX file', Buffer.from('PK not a model'), {}, 422, 'REGISTRY_NOT_ONNX', 'the upload'],
    ['is half a model', model.subarray(0, model.length / 2), {}, 422, 'REGISTRY_NOT_ONNX', 'the upload'],
    ['is JSON', Buffer.from('{}'), { 'content-type': 'application/json' }, 415, 'HTTP_UPLOAD_TYPE', 'octet-stream'],
    [
      'has a manifest that is no JSON',
      Buffer.concat([Buffer.from('{'), model]),
      { 'headrace-manifest-length': '1' },
      422,
      'REGISTRY_MANIFEST_INVALID',
      'model.json',
    ],
    [
      'ends within its manifest',
      Buffer.from('{}'),
      { 'headrace-manifest-length': '9' },
      400,
      'HTTP_UPLOAD_INVALID',
      '2 arrived',
    ],
    [
      'has a manifest length that is no number',
      model,
      { 'headrace-manifest-length': 'two' },
      400,
      'HTTP_PARAMETER_INVALID',
      'header',
    ],
    [
      'has a manifest of a gigabyte',
      model,
      { 'headrace-manifest-length': '999999999' },
      400,
      'HTTP_UPLOAD_INVALID',
      '1048576',
    ],
  ])('that %s is refused, and the next one works', async (_, body, headers, status, code, text) => {
    const refused = await push('fraud', body, headers)
    expect([refused.status, refused.json?.code]).toEqual([status, code])
    expect(refused.json.error).toContain(text)
    expect(refused.json.error).not.toContain(folder)
    expect((await get('/api/v1/models/fraud')).json.versions).toHaveLength(2)
    expect(readdirSync(join(server.project.dataDir, 'uploads'))).toEqual([])
  })

  it.each(['..%2f..%2fetc', 'a%3ab', '%20'])('under the name %s is refused', async (name) => {
    const { status, json } = await push(name, model)
    expect([status, json.code]).toEqual([400, 'REGISTRY_MODEL_NAME_INVALID'])
    expect(readdirSync(folder).sort()).toEqual(['.headrace', 'models'])
  })

  it.each([
    ['.hidden', /^hidden-[0-9a-f]{10}$/],
    ['a%20b', /^a-b-[0-9a-f]{10}$/],
  ])('under the name %s is served under one that endpoints can have', async (name, servable) => {
    expect((await push(name, model)).status).toBe(200)
    const { json } = await get(`/api/v1/registry/models/${name}`)
    expect(json).toMatchObject({ name: decodeURIComponent(name), versions: [1] })
    expect(json.servableName).toMatch(servable)
    await eventually(async () => (await get(`/v2/models/${json.servableName}/ready`)).status === 200)
  })
})

describe('a server of a single file', () => {
  it('takes pushes into its registry', async () => {
    const own = mkdtempSync(join(tmpdir(), 'headrace-test-'))
    const file = join(import.meta.dirname, '../../examples/shop/models/purchase-intent/1/model.onnx')
    const overrides = { server: { port: 0 }, store: { dataDir: join(own, 'data') } }
    const app = await createApp(await loadProject(file, { overrides }), createPlatform())
    const single = await startServer(app)
    await app.start()
    const { json } = await call(`${single.url}/v2/models`, 'GET')
    expect(json.models).toHaveLength(1)
    const headers = { 'content-type': 'application/octet-stream' }
    const pushed = await call(`${single.url}/api/v1/models/x/versions`, 'POST', readFileSync(file), { headers })
    expect(pushed).toMatchObject({ status: 200, json: { model: 'x', version: 1 } })
    await eventually(async () => (await call(`${single.url}/v2/models/x/ready`, 'GET')).status === 200)
    await single.close()
    rmSync(own, { recursive: true, force: true })
  })
})

describe('the log', () => {
  it('answers SQL over the newest predictions', async () => {
    const { headers } = await post('/api/v1/predict/fraud', { inputs: PAYMENT, unit: 'sql-user' })
    const { status, json } = await post('/api/v1/log/query', {
      sql: `SELECT id, endpoint, model, version, unit FROM predictions WHERE unit = 'sql-user'`,
    })
    expect(status).toBe(200)
    expect(json.columns.map(({ name }: { name: string }) => name)).toEqual([
      'id',
      'endpoint',
      'model',
      'version',
      'unit',
    ])
    expect(json.rows).toEqual([[headers.get('headrace-prediction-id'), 'fraud', 'fraud', 2, 'sql-user']])
    expect(json.truncated).toBe(false)
  })

  it('stops at the limit and says so', async () => {
    const { json } = await post('/api/v1/log/query', { sql: 'SELECT * FROM range(10)', limit: 3 })
    expect(json).toMatchObject({
      rows: [[expect.anything()], [expect.anything()], [expect.anything()]],
      truncated: true,
    })
  })

  it.each([
    'SELEKT 1',
    'SELECT 1; SELECT 2',
    `COPY (SELECT 1) TO '${join(folder, 'stolen.csv')}'`,
    "SELECT * FROM read_text('/etc/passwd')",
    'INSTALL httpfs',
  ])('refuses %s', async (sql) => {
    expect(await post('/api/v1/log/query', { sql })).toMatchObject({ status: 400, json: { code: 'LOG_QUERY_FAILED' } })
  })

  it('is followed from now on, a record per line, until the limit', async () => {
    const response = await fetch(`${server.url}/api/v1/log/tail?limit=2`)
    expect(response.headers.get('content-type')).toBe('application/x-ndjson')
    await post('/api/v1/predict/fraud', { inputs: PAYMENT, unit: 'tail-1' })
    await post('/api/v1/predict/fraud', { inputs: PAYMENT, unit: 'tail-2' })
    const lines = (await response.text()).trim().split('\n')
    expect(lines.map((line) => JSON.parse(line).unit)).toEqual(['tail-1', 'tail-2'])
  })

  it('is read from a position on', async () => {
    const response = await fetch(`${server.url}/api/v1/log/tail?from=1&limit=3`)
    const lines = (await response.text()).trim().split('\n')
    expect(lines.map((line) => JSON.parse(line).seq)).toEqual([1, 2, 3])
  })

  it('is not followed by HEAD, which could not end', async () => {
    const { status, headers } = await call(`${server.url}/api/v1/log/tail`, 'HEAD')
    expect([status, headers.get('allow')]).toEqual([405, 'GET'])
  })

  it('is not followed from a word', async () => {
    expect(await get('/api/v1/log/tail?from=yesterday')).toMatchObject({
      status: 400,
      json: { code: 'HTTP_PARAMETER_INVALID' },
    })
  })
})

describe('the types', () => {
  it('are TypeScript of every endpoint', async () => {
    const { text, headers } = await get('/api/v1/types')
    expect(headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(text).toContain('payment_method')
    expect(text).toContain('purchase-intent')
  })
})
