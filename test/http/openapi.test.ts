// The OpenAPI document against two validators we did not write, and against what the server really answers.
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call, type Reply } from '../support/http.js'
import { PAYMENT, SESSION, sessionRequest } from '../support/shop.js'
import { startTestServer, type TestServer } from '../support/start-server.js'
import { tempFolder } from '../support/temp-folder.js'
import { callMlflow } from './mlflow-calls.js'

interface Operation {
  readonly operationId: string
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: object }>> }
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>
  >
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

interface NativeBody {
  readonly properties: {
    readonly inputs: {
      readonly anyOf: readonly [
        { readonly required: readonly string[]; readonly properties: Readonly<Record<string, { type: unknown }>> },
      ]
    }
  }
}

const FEATURES = `
import { count, column, defineEntity, defineFeatureService, defineFeatureView, fileSource, pushSource } from 'headrace'
const user = defineEntity('user', { keys: { user_id: 'string' } })
const orders = pushSource('orders', { columns: { user_id: 'string', amount: 'float64' } })
const spend = defineFeatureView('spend', { entities: [user], stream: orders, features: { orders_1d: count({ over: '1d' }) } })
const people = fileSource('people', { path: 'people.csv', eventTime: 'at' })
const profile = defineFeatureView('profile', { entities: [user], source: people, features: { country: column('string') } })
export const all = defineFeatureService('all', [spend, profile])
`

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer
let document: Document

beforeAll(async () => {
  writeFileSync(join(folder, 'headrace.config.mjs'), 'export default {}')
  writeFileSync(join(folder, 'people.csv'), 'user_id,country,at\nu1,DE,2026-01-01T00:00:00Z\n')
  writeFileSync(join(folder, 'labels.csv'), 'user_id,event_timestamp\nu1,2026-02-01T00:00:00Z\n')
  mkdirSync(join(folder, 'features'))
  writeFileSync(join(folder, 'features', 'all.ts'), FEATURES)
  const cached = { route: { kind: 'version', model: 'purchase-intent', version: 1 }, cache: {} }
  const released = { route: { kind: 'version', model: 'fraud', version: 1 } }
  server = await startTestServer({ folder, config: { chaos: { enabled: true }, endpoints: { cached, released } } })
  document = (await call(`${server.url}/api/docs/json`, 'GET')).json
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const ajv = () => new Ajv2020({ strictTypes: false, allowUnionTypes: true, validateFormats: false })

/** Each `schema` in the document, with the way to it. */
function* schemas(value: unknown, way: string): Generator<{ way: string; schema: { examples?: readonly unknown[] } }> {
  if (typeof value !== 'object' || value === null) return
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'schema') yield { way, schema: inner as object }
    else yield* schemas(inner, `${way} ${key}`)
  }
}

describe('the OpenAPI document', () => {
  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator()
    const { valid, errors } = await validator.validate(document as unknown as Record<string, unknown>)
    expect(errors).toBeUndefined()
    expect([valid, validator.version]).toEqual([true, '3.1'])
  })

  it('has schemas of JSON Schema 2020-12 only, whose examples are valid', () => {
    const compiler = ajv()
    for (const { way, schema } of schemas(document.paths, 'paths')) {
      if ('$ref' in schema) continue
      const validate = compiler.compile(schema)
      for (const example of schema.examples ?? [])
        expect([way, validate(example), validate.errors]).toEqual([way, true, null])
    }
  })

  it('describes each live endpoint with its own features, and follows it to another version', async () => {
    const operation = document.paths['/api/v1/predict/fraud']!['post']!
    const body = operation.requestBody!.content['application/json']!.schema as NativeBody
    const [row] = body.properties.inputs.anyOf
    expect(row.required).toEqual(Object.keys(PAYMENT))
    expect(row.properties['country']).toEqual({ type: 'string', description: 'BYTES' })
    expect(row.properties['amount']?.type).toEqual(['number', 'null'])
    const infer = JSON.stringify(document.paths['/v2/models/purchase-intent/infer'])
    expect(infer).toContain('"prefixItems":[{"type":"integer","minimum":0},{"const":10}]')

    const put = `${server.url}/api/v1/endpoints/new-endpoint/route`
    await call(put, 'PUT', { model: 'fraud', version: 1 })
    const text = (await call(`${server.url}/api/openapi.json`, 'GET')).text
    expect(text).toContain('"/api/v1/predict/new-endpoint"')
    expect(text).toContain('Answered by version 1 of fraud.')
    await call(put, 'PUT', { model: 'breast-cancer', version: 1 })
    document = (await call(`${server.url}/api/openapi.json`, 'GET')).json
    expect(JSON.stringify(document.paths['/api/v1/predict/new-endpoint'])).toContain('worst fractal dimension')
  })

  it('lists every route: each is answered by something else than 404', async () => {
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const method of Object.keys(operations)) {
        if (method === 'get' && path === '/api/v1/log/tail') continue
        const url = server.url + path.replace(/\{\w+\}/g, 'x')
        const { status, json } = await call(url, method.toUpperCase(), method === 'get' ? undefined : {})
        expect([method, path, json?.code === 'HTTP_NOT_FOUND' && !path.startsWith('/api/docs/')]).toEqual([
          method,
          path,
          false,
        ])
        expect([method, path, status === 405]).toEqual([method, path, false])
      }
    }
  })
})

describe('what the server answers', () => {
  const asked = new Set<string>()

  /** Asks, and checks the reply against the schema that the document has for it. */
  async function ask(
    method: string,
    path: string,
    template: string,
    body?: unknown,
    headers = {},
    url = server.url,
  ): Promise<Reply> {
    const reply = await call(url + path, method, body, { headers })
    const operation = document.paths[template]?.[method.toLowerCase()]
    expect([template, operation?.operationId]).toEqual([template, expect.anything()])
    const content = operation?.responses[String(reply.status)]?.content
    expect([template, reply.status, content]).toEqual([template, reply.status, expect.anything()])
    const [type, { schema }] = Object.entries(content!)[0]!
    expect(reply.headers.get('content-type')?.split(';')[0]).toBe(type)
    const validate = ajv().compile(schema)
    const value = type === 'application/json' ? reply.json : reply.text
    expect([template, validate(value), validate.errors]).toEqual([template, true, null])
    asked.add(`${method} ${template}`)
    return reply
  }

  /** Of a server of their own: from the first key on it answers nobody else. */
  async function keys(): Promise<void> {
    const base = '/api/v1/keys'
    const closed = await startTestServer({ folder: tempFolder(), models: [] })
    try {
      const { json: made } = await ask('POST', base, base, { name: 'admin', role: 'admin' }, {}, closed.url)
      const askAs = (method: string, path: string, template = path, body?: unknown) =>
        ask(method, path, template, body, { authorization: `Bearer ${made.secret}` }, closed.url)
      await askAs('POST', base, base, { name: 'shop', predict: ['*'], ratePerSecond: 10, quotaPerDay: 100 })
      await askAs('GET', base)
      await askAs('GET', `${base}/shop`, `${base}/{key}`)
      await askAs('POST', `${base}/shop/rotate`, `${base}/{key}/rotate`, { graceMs: 1000 })
      await askAs('DELETE', `${base}/shop`, `${base}/{key}`, { reason: 'test' })
      await askAs('GET', '/api/v1/usage')
      await askAs('GET', '/api/v1/whoami')
    } finally {
      await closed.close()
    }
  }

  async function chaos(): Promise<void> {
    const path = '/api/v1/chaos'
    for (const [fault, body] of [
      ['delay', { model: 'fraud', ms: 1 }],
      ['error', { model: 'fraud', version: 1, rate: 0.5 }],
      ['hang', { model: 'fraud', durationMs: 5000 }],
      ['disk-full', {}],
      ['clock-skew', { ms: -1 }],
    ] as const)
      await ask('POST', `${path}/${fault}`, `${path}/${fault}`, body)
    for (const [fault, body] of [
      ['redis', { mode: 'drop' }],
      ['kill/worker', {}],
    ] as const) {
      // There is no Redis here, and one process.
      expect((await call(`${server.url}${path}/${fault}`, 'POST', body)).json.code).toBe('CHAOS_NOT_POSSIBLE')
      asked.add(`POST ${path}/${fault}`)
    }
    // A quick model has a thread of its own on a slow machine only.
    const killed = await call(`${server.url}${path}/kill/thread`, 'POST', { model: 'fraud' })
    expect([200, 409]).toContain(killed.status)
    asked.add(`POST ${path}/kill/thread`)
    const { json } = await ask('GET', path, path)
    await ask('DELETE', `${path}/faults/${json.faults[0].id}`, `${path}/faults/{id}`)
    await ask('DELETE', `${path}/faults`, `${path}/faults`)
  }

  async function gates(): Promise<void> {
    const reports = '/api/v1/gates/reports'
    const template = `${reports}/{endpoint}/{model}/{version}`
    await ask('POST', `${reports}/fraud/fraud/1`, template, {})
    await ask('GET', `${reports}/fraud/fraud/1`, template)
    await ask('GET', `${reports}?endpoint=fraud`, reports)
    const outcome = { prediction: 'x', name: 'chargeback', value: true }
    await ask('POST', '/api/v1/outcomes/fraud', '/api/v1/outcomes/{endpoint}', { outcomes: [outcome] })
    const approvals = '/api/v1/gates/approvals/{endpoint}/{model}/{version}'
    const at = '/api/v1/gates/approvals/fraud/fraud/1'
    await ask('POST', at, approvals, { verdict: 'approved', comment: 'it is the old one' })
    await ask('GET', at, approvals)
    const body = { batchSizes: [1, 4], concurrencies: [2], durationMs: 5 }
    await ask('POST', '/api/v1/gates/profiles/fraud/1', '/api/v1/gates/profiles/{model}/{version}', body)
  }

  async function releases(): Promise<void> {
    const base = '/api/v1/releases'
    await ask('GET', '/api/v1/nodes', '/api/v1/nodes')
    await ask('GET', `${base}/plans`, `${base}/plans`)
    const body = { endpoint: 'released', to: 2, plan: 'shadow:1h,canary:5%/1h,100%' }
    const end = async (acts: readonly string[]) => {
      const { id } = (await ask('POST', base, base, body)).json
      await ask('GET', `${base}/${id}`, `${base}/{id}`)
      for (const act of acts) await ask('POST', `${base}/${id}/${act}`, `${base}/{id}/${act}`, { reason: 'test' })
    }
    await end(['pause', 'resume', 'promote', 'rollback'])
    await end(['abort'])
    await ask('GET', base, base)
  }

  async function features(): Promise<void> {
    const path = '/api/v1/features'
    for (const route of ['', '/status', '/lineage', '/quarantine', '/jobs'])
      await ask('GET', path + route, path + route)
    await ask('DELETE', `${path}/quarantine?of=orders`, `${path}/quarantine`)
    await ask('POST', `${path}/quarantine/retry`, `${path}/quarantine/retry`, { of: 'orders' })
    const events = [
      { user_id: 'u1', amount: 1 },
      { user_id: 'u1', amount: 'much' },
    ]
    await ask('POST', `${path}/push`, `${path}/push`, { source: 'orders', events })
    await ask('POST', `${path}/online`, `${path}/online`, { service: 'all', entities: [{ user_id: 'u1' }] })
    for (const [job, body] of [
      ['materialise', { views: ['profile'] }],
      ['training-sets', { service: 'all', labels: 'labels.csv', out: 'train.csv' }],
      ['training-sets/from-log', { service: 'all', out: 'log.csv' }],
      ['verify', { service: 'all' }],
      ['infer', { view: 'profile' }],
      ['check', { view: 'profile' }],
    ] as const) {
      const { id } = (await ask('POST', `${path}/${job}`, `${path}/${job}`, body)).json
      await ask('GET', `${path}/jobs/${id}`, `${path}/jobs/{id}`)
      await ask('POST', `${path}/jobs/${id}/cancel`, `${path}/jobs/{id}/cancel`)
    }
    await ask('GET', `${path}/verify`, `${path}/verify`)
    await ask('GET', `${path}/jobs`, `${path}/jobs`)
  }

  /** As Feast's client sends them; test/interop has that client. */
  async function feast(): Promise<void> {
    const feature = { entities: { user_id: ['u1'] }, features: ['spend:orders_1d'] }
    await ask('POST', '/feast/get-online-features', '/feast/get-online-features', feature)
    await ask('POST', '/feast/push', '/feast/push', {
      push_source_name: 'orders',
      df: { user_id: ['u1'], amount: [1] },
    })
    for (const [route, body] of [
      ['write-to-online-store', { feature_view_name: 'profile', df: { user_id: ['u1'], country: ['DE'] } }],
      ['materialize', { start_ts: '2026-01-01T00:00:00Z', end_ts: '2026-02-01T00:00:00Z', feature_views: ['profile'] }],
      ['materialize-incremental', { end_ts: '2026-02-01T00:00:00Z', feature_views: ['profile'] }],
    ] as const) {
      let reply = await call(`${server.url}/feast/${route}`, 'POST', body)
      // A materialisation from before is still being checked.
      while (reply.status === 409) reply = await call(`${server.url}/feast/${route}`, 'POST', body)
      expect([route, reply.status]).toEqual([route, 200])
      asked.add(`POST /feast/${route}`)
    }
    expect((await call(`${server.url}/feast/health`, 'GET')).status).toBe(200)
    asked.add('GET /feast/health')
  }

  async function registry(): Promise<void> {
    const base = '/api/v1/registry'
    const models = `${base}/models`
    const one = `${models}/{name}/versions/{version}`
    const onnx = readFileSync(join(import.meta.dirname, '../../examples/shop/models/purchase-intent/1/model.onnx'))
    const digest = `sha256:${createHash('sha256').update(onnx).update('x').digest('hex')}`
    const files = [{ path: 'notes.txt', digest, sizeBytes: onnx.length + 1 }]
    const { json: upload } = await ask('POST', `${base}/uploads`, `${base}/uploads`, { model: 'noted', files })
    const send = await fetch(`${server.url}${base}/uploads/${upload.id}/file?path=notes.txt&offset=0`, {
      method: 'PUT',
      headers: { 'content-type': 'application/octet-stream' },
      body: Buffer.concat([onnx, Buffer.from('x')]),
    })
    expect(await send.json()).toMatchObject({ files: [{ offset: onnx.length + 1 }] })
    asked.add(`PUT ${base}/uploads/{upload}/file`)
    await ask('GET', `${base}/uploads/${upload.id}`, `${base}/uploads/{upload}`)
    await ask('POST', `${base}/uploads/${upload.id}/finish`, `${base}/uploads/{upload}/finish`)
    const { json: other } = await ask('POST', `${base}/uploads`, `${base}/uploads`, { model: 'other', files })
    await ask('DELETE', `${base}/uploads/${other.id}`, `${base}/uploads/{upload}`)
    await ask('GET', models, models)
    await ask('POST', models, models, { name: 'a new one', tags: { a: 'b' } })
    await ask('GET', `${models}/noted`, `${models}/{name}`)
    await ask('PATCH', `${models}/noted`, `${models}/{name}`, { owner: 'ada', tags: { a: null } })
    await ask('DELETE', `${models}/a%20new%20one`, `${models}/{name}`, {})
    await ask('GET', `${models}/noted/aliases`, `${models}/{name}/aliases`)
    await ask('GET', `${models}/noted/versions/latest`, one)
    await ask('PATCH', `${models}/noted/versions/1`, one, { metrics: { auc: 0.9, gain: 'NaN' }, stage: 'Staging' })
    await ask('POST', `${base}/search`, `${base}/search`, { metric: ['auc>0.5'], tag: [] })
    await ask('GET', `${base}/diff?from=noted@1&to=noted@latest`, `${base}/diff`)
    await ask('DELETE', `${models}/noted/versions/1`, one, {})
    await ask('POST', `${models}/noted/versions/1/restore`, `${one}/restore`)
    await ask('POST', `${base}/gc`, `${base}/gc`, { isDryRun: true })
    await ask('GET', `${base}/key`, `${base}/key`)
    const file = await fetch(`${server.url}${models}/noted/versions/1/file?path=notes.txt`)
    expect((await file.arrayBuffer()).byteLength).toBe(onnx.length + 1)
    asked.add(`GET ${one}/file`)
    const packed = await fetch(`${server.url}${models}/noted/versions/1/package`)
    asked.add(`GET ${one}/package`)
    const imported = await fetch(`${server.url}${base}/packages?as=copy`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-tar' },
      body: await packed.arrayBuffer(),
    })
    expect(await imported.json()).toMatchObject({ version: { model: 'copy', version: 1 }, isNew: true })
    asked.add(`POST ${base}/packages`)
  }

  it('is as the document says, for the registry', registry)

  it('is as the document says, for every route', { timeout: 120_000 }, async () => {
    // What asking every route has injected.
    await call(`${server.url}/api/v1/chaos/faults`, 'DELETE')
    await ask('GET', '/', '/')
    for (const path of [
      '/livez',
      '/readyz',
      '/v2/health/live',
      '/v2/health/ready',
      '/metrics',
      '/v2',
      '/v2/models',
      '/v1/models',
    ])
      await ask('GET', path, path)
    await ask('GET', '/v2/models/fraud', '/v2/models/{model}')
    await ask('GET', '/v2/models/fraud/versions/1', '/v2/models/{model}/versions/{version}')
    await ask('GET', '/v2/models/fraud/ready', '/v2/models/{model}/ready')
    await ask('GET', '/v2/models/fraud/versions/1/ready', '/v2/models/{model}/versions/{version}/ready')
    await ask('GET', '/v1/models/fraud', '/v1/models/{model}')
    await ask('GET', '/v1/models/fraud/versions/1', '/v1/models/{model}/versions/{version}')
    await ask('POST', '/v2/repository/index', '/v2/repository/index')
    await ask('GET', '/v2/models/stats', '/v2/models/stats')
    await ask('GET', '/v2/models/fraud/stats', '/v2/models/{model}/stats')
    await ask('GET', '/v2/models/fraud/versions/1/stats', '/v2/models/{model}/versions/{version}/stats')
    await ask('GET', '/v2/models/fraud/config', '/v2/models/{model}/config')
    await ask('GET', '/v2/models/fraud/versions/1/config', '/v2/models/{model}/versions/{version}/config')
    const repository = '/v2/repository/models'
    await ask('POST', `${repository}/breast-cancer/unload`, `${repository}/{model}/unload`, {})
    await ask('POST', `${repository}/breast-cancer/load`, `${repository}/{model}/load`, {
      parameters: { config: '{}' },
    })
    for (const kind of ['systemsharedmemory', 'cudasharedmemory']) {
      await ask('GET', `/v2/${kind}/status`, `/v2/${kind}/status`)
      await ask('POST', `/v2/${kind}/unregister`, `/v2/${kind}/unregister`)
      await ask('GET', `/v2/${kind}/region/x/status`, `/v2/${kind}/region/{region}/status`)
      await ask('POST', `/v2/${kind}/region/x/register`, `/v2/${kind}/region/{region}/register`, {})
      await ask('POST', `/v2/${kind}/region/x/unregister`, `/v2/${kind}/region/{region}/unregister`)
    }
    for (const method of ['GET', 'POST']) {
      await ask(method, '/v2/logging', '/v2/logging', method === 'GET' ? undefined : {})
      await ask(method, '/v2/trace/setting', '/v2/trace/setting', method === 'GET' ? undefined : {})
      const ofModel = '/v2/models/{model}/trace/setting'
      await ask(method, '/v2/models/fraud/trace/setting', ofModel, method === 'GET' ? undefined : {})
    }
    await ask('POST', '/v1/models/fraud:explain', '/v1/models/{model}:explain', { instances: [] })
    await ask('POST', '/v1/models/fraud/versions/1:explain', '/v1/models/{model}/versions/{version}:explain', {})

    const session = { instances: [SESSION] }
    const intent = '/v2/models/purchase-intent'
    const infer = await ask('POST', `${intent}/infer`, '/v2/models/{model}/infer', sessionRequest())
    await ask('POST', `${intent}/infer`, `${intent}/infer`, sessionRequest())
    await ask('POST', `${intent}/versions/1/infer`, '/v2/models/{model}/versions/{version}/infer', sessionRequest())
    await ask('POST', '/v1/models/purchase-intent:predict', '/v1/models/{model}:predict', session)
    await ask(
      'POST',
      '/v1/models/purchase-intent/versions/1:predict',
      '/v1/models/{model}/versions/{version}:predict',
      session,
    )
    const predict = '/api/v1/predict/purchase-intent'
    await ask('POST', predict, '/api/v1/predict/{endpoint}', { inputs: SESSION })
    await ask('POST', predict, predict, { inputs: SESSION, unit: 'u' })
    await ask('POST', predict, predict, { inputs: [SESSION, SESSION], unit: ['u', null] })

    for (const path of [
      '/api/v1/status',
      '/api/v1/models',
      '/api/v1/endpoints',
      '/api/v1/types',
      '/api/v1/decisions/verify',
    ])
      await ask('GET', path, path)
    await ask('GET', '/api/v1/models/fraud', '/api/v1/models/{name}')
    await ask('GET', '/api/v1/endpoints/fraud', '/api/v1/endpoints/{name}')
    await ask('GET', '/api/v1/endpoints/fraud/route', '/api/v1/endpoints/{name}/route')
    await ask('GET', '/api/v1/live', '/api/v1/live')
    await ask('GET', '/api/v1/live/purchase-intent', '/api/v1/live/{name}')
    const shop = join(import.meta.dirname, '../../examples/shop/models/purchase-intent/1/model.onnx')
    const pushed = await fetch(`${server.url}/api/v1/models/pushed/versions`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: readFileSync(shop),
    })
    expect(await pushed.json()).toMatchObject({ model: 'pushed', version: 1 })
    asked.add('POST /api/v1/models/{name}/versions')
    const alias = '/api/v1/models/fraud/aliases/champion'
    await ask('PUT', alias, '/api/v1/models/{name}/aliases/{alias}', { version: 1, reason: 'a test' })
    const label = '/v1/models/{model}/labels/{alias}'
    await ask('GET', '/v1/models/fraud/labels/champion', label)
    await ask('POST', '/v1/models/fraud/labels/champion:predict', `${label}:predict`, { instances: [PAYMENT] })
    const { json: decision } = await ask('DELETE', alias, '/api/v1/models/{name}/aliases/{alias}')
    await ask('PUT', '/api/v1/endpoints/checkout/route', '/api/v1/endpoints/{name}/route', {
      model: 'fraud',
      version: 1,
    })
    await ask('POST', '/api/v1/endpoints/cached/cache', '/api/v1/endpoints/{name}/cache', { enabled: false })
    await ask('GET', '/api/v1/decisions?limit=10', '/api/v1/decisions')
    await ask('GET', `/api/v1/decisions/${decision.id}`, '/api/v1/decisions/{id}')
    await ask('POST', `/api/v1/decisions/${decision.id}/undo`, '/api/v1/decisions/{id}/undo')
    const id = infer.headers.get('headrace-prediction-id')
    await ask('GET', `/api/v1/predictions/${id}`, '/api/v1/predictions/{id}')
    await ask('POST', '/api/v1/log/query', '/api/v1/log/query', { sql: 'SELECT * FROM predictions' })
    await ask('GET', '/api/v1/log/tail?from=1&limit=1', '/api/v1/log/tail')
    await features()
    await feast()
    await callMlflow(server.url, ask, asked)
    await gates()
    await releases()
    await keys()
    await chaos()
    await ask('GET', '/api/docs', '/api/docs')
    await ask('GET', '/api/docs/json', '/api/docs/json')
    await ask('GET', '/api/openapi.json', '/api/openapi.json')

    const isLive = (path: string) => /^\/(api\/v1\/predict|v2\/models)\/[a-z-]+(\/infer)?$/.test(path)
    const described = Object.entries(document.paths)
      .filter(([path]) => !isLive(path) && path !== '/api/docs/{file}')
      .flatMap(([path, operations]) => Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`))
    expect(described.filter((route) => !asked.has(route))).toEqual([])
  })

  it('is an error of the one shape when it fails', async () => {
    const schema = (document as unknown as { components: { schemas: { Error: object } } }).components.schemas.Error
    const validate = ajv().compile(schema)
    for (const path of ['/nothing', '/v2/models/nobody', '/api/v1/decisions?limit=x', '/api/v1/decisions/nobody'])
      expect(validate((await call(server.url + path, 'GET')).json)).toBe(true)
  })
})

describe('the documentation page', () => {
  it('works without the internet: everything it loads is here', async () => {
    const page = await call(`${server.url}/api/docs`, 'GET')
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
    const links = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link!)
    expect(links).toHaveLength(4)
    for (const link of links) {
      expect(link).toMatch(/^\/api\/docs\//)
      const asset = await call(server.url + link, 'GET')
      expect(asset.status).toBe(200)
      expect(asset.text.length).toBeGreaterThan(50)
    }
    const start = await call(`${server.url}/api/docs/start.js`, 'GET')
    expect(start.text).toContain("fetch('/api/docs/json'")
  })

  it.each(['nothing.js', '..%2f..%2fpackage.json', 'constructor', 'index.html'])('has no file %s', async (file) => {
    expect(await call(`${server.url}/api/docs/${file}`, 'GET')).toMatchObject({
      status: 404,
      json: { code: 'HTTP_NOT_FOUND' },
    })
  })
})
