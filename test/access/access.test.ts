// Callers on every face of a real server: who is let in, what they are told otherwise, and what becomes of them while they work.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Client, Metadata } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClient } from '../../src/client/index.js'
import { createLogger } from '../../src/core/index.js'
import { healthService, inferenceService, type ModelStreamInferResponse, openGrpcClient } from '../../src/oip/index.js'
import { Code, callUnary, inferRequest, input, raw } from '../grpc/support.js'
import { call, type Reply } from '../support/http.js'
import { identityModel } from '../support/onnx-models.js'
import { PAYMENT } from '../support/shop.js'
import { startTestServer } from '../support/start-server.js'
import { tempFolder } from '../support/temp-folder.js'
import { everyRoute } from './every-route.js'
import { bearer, type KeyedServer, startKeyedServer } from './support.js'

let server: KeyedServer
let grpc: Client
let logged = ''
const secrets: string[] = []

beforeAll(async () => {
  const destination = new Writable({
    write(chunk, _encoding, done) {
      logged += String(chunk)
      done()
    },
  })
  const logger = createLogger({ level: 'debug', destination })
  const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
  server = await startKeyedServer({
    folder,
    beforeStart: async () => {
      mkdirSync(join(folder, 'models/same/1'), { recursive: true })
      writeFileSync(join(folder, 'models/same/1/model.onnx'), identityModel('FP32'))
    },
    platform: { logger },
    config: {
      chaos: { enabled: true },
      endpoints: { spare: { route: { kind: 'version', model: 'fraud', version: 1 }, cache: {} } },
    },
  })
  grpc = await openGrpcClient(server.grpcAddress)
  secrets.push(server.admin)
})
afterAll(async () => {
  grpc.close()
  await server.end()
})

async function key(request: Parameters<KeyedServer['key']>[0]): Promise<string> {
  const text = await server.key(request)
  secrets.push(text)
  return text
}

const predict = (headers: Record<string, string>, endpoint = 'fraud'): Promise<Reply> =>
  call(`${server.url}/api/v1/predict/${endpoint}`, 'POST', { inputs: PAYMENT }, { headers })

const MLFLOW_SEARCH = '/mlflow/api/2.0/mlflow/experiments/search?max_results=1'
const SAME = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }] }
const sameRequest = () =>
  inferRequest({
    modelName: 'same',
    inputs: [input({ shape: [1, 4] })],
    rawInputContents: [raw(new Float32Array([1, 2, 3, 4]))],
  })

describe('a key', () => {
  it('is taken as a bearer, as the password of basic authentication and as x-api-key, on each protocol', async () => {
    const text = await key({ name: 'forms', predict: ['*'] })
    const basic = `Basic ${Buffer.from(`whoever:${text}`).toString('base64')}`
    for (const headers of [
      { authorization: `Bearer ${text}` },
      { authorization: `bearer  ${text}` },
      { authorization: basic },
      { 'x-api-key': text },
      { 'x-api-key': text, authorization: `Bearer ${text}` },
    ] as Record<string, string>[]) {
      expect((await predict(headers)).status).toBe(200)
      expect((await call(`${server.url}/v2/models/same/infer`, 'POST', SAME, { headers })).status).toBe(200)
      const rows = { instances: [PAYMENT] }
      expect((await call(`${server.url}/v1/models/fraud:predict`, 'POST', rows, { headers })).status).toBe(200)
      expect((await call(`${server.url}/v2/models/same`, 'GET', undefined, { headers })).status).toBe(200)
      // To somebody who may predict alone the registry is closed, but it is known who asks.
      expect((await call(`${server.url}${MLFLOW_SEARCH}`, 'GET', undefined, { headers })).status).toBe(403)
      expect((await callUnary(grpc, inferenceService.ModelInfer, sameRequest(), { metadata: headers })).code).toBe(0)
    }
  })

  it.each<[string, Record<string, string>, string]>([
    ['nothing', {}, 'ACCESS_CREDENTIALS_MISSING'],
    ['an empty scheme', { authorization: 'Bearer' }, 'ACCESS_CREDENTIALS_MALFORMED'],
    ['a scheme that nobody knows', { authorization: 'Digest abc' }, 'ACCESS_CREDENTIALS_MALFORMED'],
    ['two words', { authorization: 'Bearer a b' }, 'ACCESS_CREDENTIALS_MALFORMED'],
    ['two schemes in one header', { authorization: 'Bearer a, Basic b' }, 'ACCESS_CREDENTIALS_MALFORMED'],
    ['basic that is no base64', { authorization: 'Basic !!!' }, 'ACCESS_CREDENTIALS_MALFORMED'],
    ['basic without a password', { authorization: 'Basic Zm9v' }, 'ACCESS_CREDENTIALS_MALFORMED'],
    ['two schemes that differ', { authorization: 'Bearer a', 'x-api-key': 'b' }, 'ACCESS_CREDENTIALS_MALFORMED'],
    ['a huge one', { authorization: `Bearer ${'a'.repeat(9000)}` }, 'ACCESS_CREDENTIALS_MALFORMED'],
    ['a key of another server', { 'x-api-key': `hr_0123456789ab_${'A'.repeat(32)}` }, 'ACCESS_KEY_INVALID'],
    ['what looks like a token', { authorization: 'Bearer a.b.c' }, 'ACCESS_KEY_INVALID'],
    ['words of objects', { 'x-api-key': '__proto__' }, 'ACCESS_KEY_INVALID'],
  ])('that is %s is 401 with what was wrong, over HTTP, the wire and gRPC', async (_, headers, code) => {
    const challenge = 'Bearer realm="headrace"'
    for (const reply of [
      await predict(headers),
      await call(`${server.url}/api/v1/status`, 'GET', undefined, { headers }),
    ]) {
      expect({ status: reply.status, code: reply.json.code }).toEqual({ status: 401, code })
      expect(reply.headers.get('www-authenticate')).toBe(challenge)
    }
    const answer = await callUnary(grpc, inferenceService.ModelInfer, sameRequest(), { metadata: headers })
    expect([answer.code, answer.error]).toEqual([Code.UNAUTHENTICATED, code])
    const metadata = await callUnary(grpc, inferenceService.ServerMetadata, {}, { metadata: headers })
    expect([metadata.code, metadata.error]).toEqual([Code.UNAUTHENTICATED, code])
  })

  it('holds for the endpoints it names, and lists show only those', async () => {
    const text = await key({ name: 'narrow', predict: ['sp*'], role: 'viewer', on: ['same'] })
    const { headers } = bearer(text)
    expect((await predict(headers, 'spare')).status).toBe(200)
    const refused = await predict(headers, 'fraud')
    expect([refused.status, refused.json.code]).toEqual([403, 'ACCESS_PREDICT_MISSING'])
    expect(refused.json.error).toContain('it may predict with sp*')
    // What there is it does not learn either.
    expect((await predict(headers, 'no-such-endpoint')).status).toBe(403)
    const get = async (path: string) => (await call(`${server.url}${path}`, 'GET', undefined, { headers })).json
    expect((await get('/api/v1/endpoints')).endpoints.map(({ name }: { name: string }) => name)).toEqual([
      'same',
      'spare',
    ])
    expect((await get('/v2/models')).models.toSorted()).toEqual(['same', 'spare'])
    expect((await get('/v1/models')).models.toSorted()).toEqual(['same', 'spare'])
    expect((await get('/v2/models/stats')).model_stats.map(({ name }: { name: string }) => name)).toEqual(['same'])
    expect(Object.keys((await get('/api/docs/json')).paths).filter((path) => /\/fraud(\/|$)/.test(path))).toEqual([])
    const { reply } = await callUnary(
      grpc,
      inferenceService.RepositoryIndex,
      { repositoryName: '', ready: false },
      {
        metadata: headers,
      },
    )
    expect(reply?.models.map(({ name }) => name)).toEqual(['same'])
    expect((await get('/api/v1/models/fraud')).code).toBe('ACCESS_ROLE_MISSING')
    const admin = bearer(server.admin)
    await predict(admin.headers, 'fraud')
    const live = async (who: object) =>
      (await call(`${server.url}/api/v1/live`, 'GET', undefined, who)).json.endpoints.map(
        ({ name }: { name: string }) => name,
      )
    await expect.poll(() => live(admin), { timeout: 60_000 }).toEqual(expect.arrayContaining(['fraud', 'spare']))
    // To predict with one is not to know how it does.
    expect(await live({ headers })).not.toEqual(expect.arrayContaining(['spare']))
    expect(await live(bearer(await key({ name: 'sparing', role: 'viewer', on: ['spare'] })))).toEqual(['spare'])
    expect(await get('/api/v1/releases')).toEqual({ releases: [] })
  })

  it('names the maker of decisions, whatever the header says, also with letters that headers do not carry', async () => {
    const text = await key({ name: 'Žofie ✓', role: 'approver', on: ['fraud'] })
    const headers = { ...bearer(text).headers, 'headrace-actor': 'person:somebody' }
    const set = (model: string) =>
      call(`${server.url}/api/v1/models/${model}/aliases/champion`, 'PUT', { version: 1 }, { headers })
    const decision = (await set('fraud')).json
    expect(decision.by).toEqual({ kind: 'person', name: 'Žofie ✓' })
    expect((await set('same')).status).toBe(403)
    // Also where the endpoint is named in the body.
    const release = (endpoint: string) =>
      call(`${server.url}/api/v1/releases`, 'POST', { endpoint, to: 99, plan: 'instant' }, { headers })
    expect((await release('same')).status).toBe(403)
    expect([401, 403]).not.toContain((await release('fraud')).status)
    const undone = await call(`${server.url}/api/v1/decisions/${decision.id}/undo`, 'POST', {}, { headers })
    expect([undone.status, undone.json.by?.name]).toEqual([200, 'Žofie ✓'])
  })

  it('of a developer says things about a version, and moves it to no stage', async () => {
    const { headers } = bearer(await key({ name: 'analyst', role: 'developer' }))
    const api = `${server.url}/mlflow/api/2.0/mlflow`
    await call(`${api}/registered-models/create`, 'POST', { name: 'staged' }, { headers })
    const source = 'mlflow-artifacts:/0/staged/artifacts'
    await fetch(`${server.url}/mlflow/api/2.0/mlflow-artifacts/artifacts/0/staged/artifacts/a.txt`, {
      method: 'PUT',
      headers,
      body: 'x',
    })
    await call(`${api}/model-versions/create`, 'POST', { name: 'staged', source }, { headers })
    const version = `${server.url}/api/v1/registry/models/staged/versions/1`
    const change = async (body: object) => (await call(version, 'PATCH', body, { headers })).status
    expect([await change({ owner: 'ada' }), await change({ owner: 'eve', stage: 'Production' })]).toEqual([200, 403])
    const { json } = await call(version, 'GET', undefined, { headers })
    expect(json).toMatchObject({ owner: 'ada', stage: 'None' })
  })

  it('names the maker of what MLflow’s client changes: versions, stages and aliases', async () => {
    const { headers } = bearer(await key({ name: 'notebook', role: 'approver' }))
    const api = `${server.url}/mlflow/api/2.0`
    const file = `${api}/mlflow-artifacts/artifacts/0/noted/artifacts/notes.txt`
    expect((await fetch(file, { method: 'PUT', headers, body: 'x' })).status).toBe(200)
    const name = 'noted'
    const version = '1'
    for (const [method, path, body] of [
      ['POST', 'registered-models/create', { name }],
      ['POST', 'model-versions/create', { name, source: 'mlflow-artifacts:/0/noted/artifacts' }],
      ['POST', 'model-versions/transition-stage', { name, version, stage: 'Staging' }],
      ['POST', 'registered-models/alias', { name, alias: 'tried', version }],
      ['DELETE', 'registered-models/alias', { name, alias: 'tried' }],
      ['DELETE', 'model-versions/delete', { name, version }],
    ] as const)
      expect((await call(`${api}/mlflow/${path}`, method, body, { headers })).status, path).toBe(200)
    const { json } = await call(`${server.url}/api/v1/decisions?limit=5`, 'GET', undefined, bearer(server.admin))
    type Made = { readonly change: { readonly kind: string }; readonly by: { readonly name: string } }
    const made = (json.decisions as Made[]).map(({ change, by }) => `${change.kind} by ${by.name}`)
    expect(made).toEqual(
      ['version.delete', 'alias.set', 'alias.set', 'version.stage', 'version.register'].map(
        (kind) => `${kind} by notebook`,
      ),
    )
  })

  it('that was revoked is refused at once, in the middle of a stream too; one that expires then', async () => {
    const text = await key({ name: 'short', predict: ['same'] })
    const stream = grpc.makeBidiStreamRequest(
      inferenceService.ModelStreamInfer.path,
      inferenceService.ModelStreamInfer.requestSerialize,
      inferenceService.ModelStreamInfer.responseDeserialize,
      metadataOf({ 'x-api-key': text }),
    )
    const replies: ModelStreamInferResponse[] = []
    stream.on('data', (reply: ModelStreamInferResponse) => replies.push(reply))
    stream.on('error', () => undefined)
    stream.write(sameRequest())
    await expect.poll(() => replies.length, { timeout: 30_000 }).toBe(1)
    expect(replies[0]!.errorMessage).toBe('')
    await server.app.services.access.revoke('short', 'test', { kind: 'person', name: 'anna' })
    stream.write(sameRequest())
    await expect.poll(() => replies.length, { timeout: 30_000 }).toBe(2)
    expect(replies[1]!.errorMessage).toContain('was revoked')
    stream.cancel()
    expect((await call(`${server.url}/v2/models/same/infer`, 'POST', SAME, bearer(text))).json.code).toBe(
      'ACCESS_KEY_REVOKED',
    )
    const brief = await key({ name: 'brief', predict: ['same'], expiresMs: Date.now() + 2_000 })
    await expect
      .poll(async () => (await call(`${server.url}/v2/models/same/infer`, 'POST', SAME, bearer(brief))).json.code, {
        timeout: 30_000,
      })
      .toBe('ACCESS_KEY_EXPIRED')
  })

  it('is rotated with a time in which both work, in one decision that can be undone', async () => {
    const old = await key({ name: 'rotated', role: 'viewer' })
    const rotate = (graceMs: number) =>
      call(`${server.url}/api/v1/keys/rotated/rotate`, 'POST', { graceMs }, bearer(server.admin))
    const status = async (text: string) =>
      (await call(`${server.url}/api/v1/whoami`, 'GET', undefined, bearer(text))).status
    const made = (await rotate(60_000)).json
    secrets.push(made.secret)
    expect([await status(old), await status(made.secret)]).toEqual([200, 200])
    await call(`${server.url}/api/v1/decisions/${made.decision}/undo`, 'POST', {}, bearer(server.admin))
    expect([await status(old), await status(made.secret)]).toEqual([200, 401])
    const again = (await rotate(0)).json
    secrets.push(again.secret)
    expect([await status(old), await status(again.secret)]).toEqual([401, 200])
  })

  it('may not make, revoke or bring back keys unless it is an admin’s; the last admin stays', async () => {
    const text = await key({ name: 'ambitious', role: 'approver' })
    const made = await server.app.services.access.create(
      { name: 'made', role: 'viewer' },
      { kind: 'person', name: 'a' },
    )
    secrets.push(made.secret)
    const undo = await call(`${server.url}/api/v1/decisions/${made.decision}/undo`, 'POST', {}, bearer(text))
    expect([undo.status, undo.json.code]).toEqual([403, 'ACCESS_ROLE_MISSING'])
    const last = await call(`${server.url}/api/v1/keys/admin`, 'DELETE', {}, bearer(server.admin))
    expect([last.status, last.json.code]).toEqual([409, 'ACCESS_LAST_ADMIN'])
    const taken = await call(
      `${server.url}/api/v1/keys`,
      'POST',
      { name: 'admin', role: 'admin' },
      bearer(server.admin),
    )
    expect([taken.status, taken.json.code]).toEqual([409, 'ACCESS_NAME_TAKEN'])
    // A name stands for one key, also when an older one comes back.
    const gone = (await call(`${server.url}/api/v1/keys/made`, 'DELETE', {}, bearer(server.admin))).json
    await key({ name: 'made', role: 'viewer' })
    const back = await call(`${server.url}/api/v1/decisions/${gone.id}/undo`, 'POST', {}, bearer(server.admin))
    expect([back.status, back.json.code]).toEqual([409, 'ACCESS_NAME_TAKEN'])
    for (const body of [
      { name: 'x' },
      { name: made.key.id, role: 'viewer' },
      { name: ' ', role: 'viewer' },
      { name: 'x', role: 'viewer', on: ['a*b'] },
    ])
      expect((await call(`${server.url}/api/v1/keys`, 'POST', body, bearer(server.admin))).json.code).toBe(
        'ACCESS_REQUEST_INVALID',
      )
  })

  it('is not needed for probes, and for metrics it is', async () => {
    for (const path of ['/livez', '/readyz', '/v2/health/live', '/v2/health/ready', '/'])
      expect((await call(server.url + path, 'GET')).status).toBe(200)
    expect((await callUnary(grpc, healthService.Check, { service: '' })).code).toBe(0)
    expect((await callUnary(grpc, inferenceService.ServerLive, {})).code).toBe(0)
    expect((await call(`${server.url}/metrics`, 'GET')).status).toBe(401)
    const metrics = await call(`${server.url}/metrics`, 'GET', undefined, bearer(server.admin))
    expect(metrics.text).toContain('headrace_access_refused_total{code="ACCESS_CREDENTIALS_MISSING"}')
  })

  it('is the client’s option', async () => {
    const text = await key({ name: 'typescript', predict: ['fraud'] })
    const { version } = await createClient({ baseUrl: server.url, key: text }).predict('fraud', PAYMENT)
    expect(version).toBeGreaterThan(0)
    await expect(createClient({ baseUrl: server.url }).predict('fraud', PAYMENT)).rejects.toMatchObject({
      code: 'ACCESS_CREDENTIALS_MISSING',
    })
  })
})

describe('a tenant', () => {
  it('has answers, records and explanations of its own', async () => {
    const acme = bearer(await key({ name: 'acme', tenant: 'acme', role: 'viewer', predict: ['*'] })).headers
    const other = bearer(await key({ name: 'other', tenant: 'other', role: 'viewer', predict: ['*'] })).headers
    const mine = await predict(acme, 'spare')
    expect((await predict(acme, 'spare')).json.flags).toEqual(['cached'])
    // Its cache key has its tenant.
    expect((await predict(other, 'spare')).json.flags).toEqual([])
    const explain = async (headers: Record<string, string>) =>
      call(`${server.url}/api/v1/predictions/${mine.json.id}`, 'GET', undefined, { headers })
    expect((await explain(acme)).json.prediction.tenant).toBe('acme')
    expect((await explain(other)).json.code).toBe('APP_PREDICTION_NOT_FOUND')
    expect((await explain(bearer(server.admin).headers)).status).toBe(200)
    const sql = { sql: 'SELECT count(*) FROM predictions' }
    const query = await call(`${server.url}/api/v1/log/query`, 'POST', sql, { headers: acme })
    expect([query.status, query.json.code]).toEqual([403, 'ACCESS_TENANT_BOUND'])
    const tail = await call(`${server.url}/api/v1/log/tail?from=0&limit=1`, 'GET', undefined, { headers: other })
    expect(tail.json).toMatchObject({ kind: 'prediction', tenant: 'other' })
    const metrics = await call(`${server.url}/metrics`, 'GET', undefined, bearer(server.admin))
    expect(metrics.text).toContain('headrace_access_rows_total{tenant="acme"} 2')
  })
})

describe('a viewer of a tenant', () => {
  const get = async (path: string, text: string) => call(`${server.url}/api/v1${path}`, 'GET', undefined, bearer(text))

  it('sees the traffic of that tenant alone, on the endpoints it may view', async () => {
    const initech = await key({ name: 'initech', tenant: 'initech', role: 'viewer', predict: ['*'] })
    const narrow = await key({ name: 'initech-spare', tenant: 'initech', role: 'viewer', on: ['spare'] })
    for (let i = 0; i < 3; i++) await predict(bearer(initech).headers, 'fraud')
    await predict(bearer(initech).headers, 'spare')
    await predict(bearer(server.admin).headers, 'fraud')
    const requests = async (text: string) => {
      const { tenant, endpoints } = (await get('/live', text)).json
      return [tenant, ...endpoints.map((one: { name: string; requests: number }) => [one.name, one.requests])]
    }
    await expect.poll(() => requests(initech), { timeout: 30_000 }).toEqual(['initech', ['fraud', 3], ['spare', 1]])
    expect(await requests(narrow)).toEqual(['initech', ['spare', 1]])
    const fraud = (await get('/live/fraud', initech)).json
    expect(fraud).toMatchObject({ tenant: 'initech', requests: 3, versions: [{ calls: 3 }] })
    expect((await get('/live/fraud', narrow)).status).toBe(403)
    expect((await get('/live/fraud?node=self', server.admin)).json.requests).toBeGreaterThan(3)
    const unknown = await get('/live?node=nobody', initech)
    expect([unknown.status, unknown.json.code]).toEqual([404, 'APP_NODE_NOT_FOUND'])
  })

  it('sees how far the releases of its endpoints are, and nothing of the traffic of others or of who acts', async () => {
    const initech = await key({ name: 'initech-releases', tenant: 'initech', role: 'viewer', on: ['fraud'] })
    const other = await key({ name: 'initech-other', tenant: 'initech', role: 'viewer', on: ['spare'] })
    const act = (path: string, body: object) =>
      call(`${server.url}/api/v1/releases${path}`, 'POST', body, bearer(server.admin))
    const plan = { plan: 'canary:5%/1h,100%', skipGates: true, reason: 'for globex' }
    const started = await act('', { endpoint: 'fraud', to: 2, from: 1, ...plan })
    expect(started.status, started.text).toBe(201)
    const { releases } = (await get('/releases', initech)).json
    expect(releases).toMatchObject([{ endpoint: 'fraud', to: 2, state: 'running', reason: null }])
    const { json, text } = await get('/releases/fraud', initech)
    expect(json).toMatchObject({
      isReduced: true,
      weight: 0.05,
      release: { id: started.json.id, startedBy: { name: 'not shown' } },
      progress: { units: null, controlUnits: null, durationMs: 3_600_000 },
      guards: [],
      shadow: null,
      events: [],
    })
    expect(text).not.toMatch(/globex|"admin"/)
    expect((await get('/releases/fraud', server.admin)).text).toMatch(/globex[\s\S]*"admin"|"admin"[\s\S]*globex/)
    expect((await get('/releases', other)).json).toEqual({ releases: [] })
    expect((await get('/releases/fraud', other)).json.code).toBe('ACCESS_ROLE_MISSING')
    await act('/fraud/abort', { reason: 'seen' })
  })

  it('and one of some endpoints sees what was decided about these, unless it belongs to a tenant', async () => {
    const narrow = await key({ name: 'narrow viewer', role: 'viewer', on: ['same'] })
    const set = (model: string) =>
      call(`${server.url}/api/v1/models/${model}/aliases/shown`, 'PUT', { version: 1 }, bearer(server.admin))
    const [same, fraud] = [(await set('same')).json, (await set('fraud')).json]
    const { decisions } = (await get('/decisions', narrow)).json
    const subjects: string[] = decisions.map(({ change }: { change: { subject: string } }) => change.subject)
    expect(subjects).toContain('same@shown')
    expect(subjects.filter((subject) => !subject.startsWith('same'))).toEqual([])
    expect((await get('/decisions?limit=1', narrow)).json.decisions).toHaveLength(1)
    expect((await get(`/decisions/${same.id}`, narrow)).status).toBe(200)
    expect((await get(`/decisions/${fraud.id}`, narrow)).json.code).toBe('ACCESS_ROLE_MISSING')
    const tenant = await key({ name: 'tenant viewer', tenant: 'initech', role: 'viewer', on: ['same'] })
    for (const path of ['/decisions', `/decisions/${same.id}`])
      expect((await get(path, tenant)).json.code).toBe('ACCESS_TENANT_BOUND')
    const predictor = await key({ name: 'predicts same', predict: ['same'] })
    expect((await get('/decisions', predictor)).json).toEqual({ decisions: [] })
    expect((await get(`/decisions/${same.id}`, predictor)).status).toBe(403)
  })
})

describe('an admin of a tenant', () => {
  it('makes, sees and revokes the keys of that tenant alone', async () => {
    const acme = bearer(await key({ name: 'acme-admin', tenant: 'acme', role: 'admin' })).headers
    await key({ name: 'globex', tenant: 'globex', predict: ['*'] })
    const api = (method: string, path: string, body?: object) =>
      call(`${server.url}/api/v1${path}`, method, body, { headers: acme })
    const made = (await api('POST', '/keys', { name: 'acme-app', predict: ['*'] })).json
    secrets.push(made.secret)
    expect(made.key.tenant).toBe('acme')
    for (const tenant of ['globex', 'default']) {
      const refused = await api('POST', '/keys', { name: 'sneaky', role: 'admin', tenant })
      expect([refused.status, refused.json.code]).toEqual([403, 'ACCESS_OTHER_TENANT'])
    }
    const { keys } = (await api('GET', '/keys')).json
    expect(new Set(keys.map(({ tenant }: { tenant: string }) => tenant))).toEqual(new Set(['acme']))
    for (const [method, path] of [
      ['GET', '/keys/globex'],
      ['DELETE', '/keys/globex'],
      ['DELETE', '/keys/admin'],
      ['POST', '/keys/admin/rotate'],
    ] as const)
      expect((await api(method, path, method === 'GET' ? undefined : {})).json.code).toBe('ACCESS_KEY_NOT_FOUND')
    const path = '/api/v1/decisions?kind=key.create&limit=1000'
    const { decisions } = (await call(server.url + path, 'GET', undefined, bearer(server.admin))).json
    const ofGlobex = decisions.find(
      ({ change }: { change: { detail: { name: string } } }) => change.detail.name === 'globex',
    )
    expect((await api('POST', `/decisions/${ofGlobex.id}/undo`)).json.code).toBe('ACCESS_KEY_NOT_FOUND')
    expect((await api('DELETE', '/keys/acme-app', {})).status).toBe(200)
  })
})

describe('following the log', () => {
  it('ends with the key', async () => {
    const text = await key({ name: 'follower', role: 'viewer' })
    const response = await fetch(`${server.url}/api/v1/log/tail?from=0`, bearer(text))
    const reader = response.body!.getReader()
    expect((await reader.read()).done).toBe(false)
    await server.app.services.access.revoke('follower', undefined, { kind: 'person', name: 'anna' })
    // The next record would be its first that is not its own to read any more.
    expect((await predict(bearer(server.admin).headers)).status).toBe(200)
    let received = ''
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      received += new TextDecoder().decode(value)
    }
    expect(received).not.toContain('"kind":"key.revoke"')
  })
})

describe('limits', () => {
  it('let in as many rows a day as the quota, of every protocol, and say when there are more', async () => {
    const text = await key({ name: 'metered', predict: ['*'], quotaPerDay: 10 })
    const { headers } = bearer(text)
    const batch = { inputs: [{ name: 'x', datatype: 'FP32', shape: [4, 4], data: new Array(16).fill(1) }] }
    expect((await call(`${server.url}/v2/models/same/infer`, 'POST', batch, { headers })).status).toBe(200)
    // What was refused is not counted.
    expect((await call(`${server.url}/v2/models/same/infer`, 'POST', { inputs: [] }, { headers })).status).toBe(400)
    const rows = await call(
      `${server.url}/api/v1/predict/fraud`,
      'POST',
      { inputs: Array.from({ length: 5 }, () => PAYMENT) },
      { headers },
    )
    expect(rows.json.predictions.filter(({ error }: { error?: object }) => error === undefined)).toHaveLength(5)
    const over = await call(`${server.url}/v2/models/same/infer`, 'POST', batch, { headers })
    expect([over.status, over.json.code]).toEqual([429, 'ACCESS_QUOTA_EXCEEDED'])
    expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(over.headers.get('ratelimit-limit')).toBe('10')
    expect(over.headers.get('ratelimit-remaining')).toBe('0')
    expect((await callUnary(grpc, inferenceService.ModelInfer, sameRequest(), { metadata: headers })).code).toBe(0)
    const full = await callUnary(grpc, inferenceService.ModelInfer, sameRequest(), { metadata: headers })
    expect([full.code, full.error]).toEqual([Code.RESOURCE_EXHAUSTED, 'ACCESS_QUOTA_EXCEEDED'])
    await expect
      .poll(
        async () => {
          const path = '/api/v1/usage?caller=metered'
          const { usage } = (await call(server.url + path, 'GET', undefined, bearer(server.admin))).json
          return usage.map((one: Record<string, unknown>) => [one['endpoint'], one['predictions'], one['rows']])
        },
        { timeout: 30_000 },
      )
      .toEqual([
        ['fraud', 5, 5],
        ['same', 2, 5],
      ])
  })

  it('let in as many requests a second as the rate', async () => {
    const { headers } = bearer(await key({ name: 'slow', predict: ['*'], ratePerSecond: 0.01, burst: 3 }))
    const codes = []
    for (let i = 0; i < 5; i++) codes.push((await predict(headers)).json.code)
    expect(codes).toEqual([undefined, undefined, undefined, 'ACCESS_RATE_LIMITED', 'ACCESS_RATE_LIMITED'])
  })
})

describe('wrong keys', () => {
  const attempt = (authorization: string) => {
    try {
      void server.app.access.authenticate({ authorization })
      return 'let in'
    } catch (error) {
      return (error as { code: string }).code
    }
  }
  /** The right id or none, and a secret that is neither. */
  const guess = (start: string, i: number) => `Bearer ${start}${String(i).padStart(32, 'x')}`
  const unknown = 'hr_0123456789ab_'

  it('take no memory', () => {
    const known = server.admin.slice(0, 16)
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    for (let i = 0; i < 2000; i++) attempt(guess(known, i))
    collect()
    const before = process.memoryUsage().heapUsed
    const codes = new Set<string>()
    for (let i = 0; i < 40_000; i++) codes.add(attempt(guess(i % 2 === 0 ? known : unknown, i)))
    expect([...codes]).toEqual(['ACCESS_KEY_INVALID'])
    collect()
    // One that is remembered takes over 200 bytes: 8 MB of these.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(4_000_000)
  })

  it('take the same time whether there is a key of that id or not', async () => {
    const known = server.admin.slice(0, 16)
    const round = (start: string) => {
      const startedMs = performance.now()
      for (let i = 0; i < 50; i++) attempt(guess(start, i))
      return performance.now() - startedMs
    }
    // Side by side, so that whatever else the machine does happens to both.
    const ratio = () => {
      const [ofKnown, ofUnknown] = [[] as number[], [] as number[]]
      for (let i = 0; i < 80; i++) {
        ofKnown.push(round(known))
        ofUnknown.push(round(unknown))
      }
      const median = (times: number[]) => times.toSorted((a, b) => a - b)[times.length / 2]!
      return Math.abs(Math.log(median(ofKnown) / median(ofUnknown)))
    }
    // Without the hash of one that is unknown it would take a third.
    await expect.poll(ratio, { timeout: 60_000 }).toBeLessThan(Math.log(1.3))
  })
})

describe('what is in front of the server', () => {
  /** As bytes: fetch would join them. */
  const status = (path: string, lines: readonly string[]) =>
    new Promise<string>((resolve, reject) => {
      const body = path.startsWith('/api/v1/predict') ? JSON.stringify({ inputs: PAYMENT }) : ''
      const socket = connect(server.port, '127.0.0.1', () => {
        const method = body === '' ? 'GET' : 'POST'
        const more = [
          'host: x',
          'connection: close',
          'content-type: application/json',
          `content-length: ${body.length}`,
        ]
        // Not ended: who closes their half before the reply has gone away, and is not answered.
        socket.write(`${[`${method} ${path} HTTP/1.1`, ...more, ...lines].join('\r\n')}\r\n\r\n${body}`)
      })
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
      })
      socket.on('end', () => resolve(text.split(' ')[1] ?? ''))
      socket.on('error', reject)
    })

  it.each(['/api/v1/predict/fraud', '/api/v1/status', '/metrics'])(
    'does not see another key than %s: two of them are refused, and so is one in the URL',
    async (path) => {
      const other = await server.key({ name: `weak for ${path}`, predict: ['spare'] })
      const strong = `authorization: Bearer ${server.admin}`
      expect(await status(path, [strong])).toBe('200')
      for (const lines of [
        [strong, `authorization: Bearer ${other}`],
        [`authorization: Bearer ${other}`, strong],
        [strong, strong],
        [strong, `x-api-key: ${other}`],
        [`x-api-key: ${other}`, `X-API-Key: ${server.admin}`],
        [`x-api-key: ${server.admin}, ${other}`],
        [`authorization : Bearer ${server.admin}`],
        [`cookie: authorization=Bearer ${server.admin}`],
        [`proxy-authorization: Bearer ${server.admin}`],
        [`authorization: Bearer ${server.admin.toUpperCase()}`],
        [`authorization: Bearer ${server.admin}=`],
        [`authorization: Bearer ${server.admin.slice(0, -1)}`],
      ])
        expect([lines, await status(path, lines)]).toEqual([lines, expect.stringMatching(/^40[01]$/)])
      for (const query of [`key=${server.admin}`, `access_token=${server.admin}`, `x-api-key=${server.admin}`])
        expect(await status(`${path}?${query}`, [])).toBe('401')
      secrets.push(other)
    },
  )
})

describe('the first key', () => {
  it('is an admin’s, made on the machine of the server, and closes what was open', async () => {
    const open = await startTestServer({ folder: tempFolder(), models: ['fraud'] })
    const make = (body: object, headers = {}) => call(`${open.url}/api/v1/keys`, 'POST', body, { headers })
    try {
      expect((await call(`${open.url}/api/v1/models`, 'GET')).status).toBe(200)
      const refused = await make({ name: 'ci', role: 'developer' })
      expect([refused.status, refused.json.code]).toEqual([409, 'ACCESS_FIRST_KEY'])
      expect((await make({ name: 'a', role: 'admin', on: ['fraud'] })).json.code).toBe('ACCESS_FIRST_KEY')
      expect((await make({ name: 'a', role: 'admin', tenant: 'acme' })).json.code).toBe('ACCESS_FIRST_KEY')
      // At once: one is first, and the others have no key.
      const racing = await Promise.all(
        ['admin', 'b', 'c'].map((name) => make({ name, role: 'admin' }, { 'headrace-actor': 'person:anna' })),
      )
      expect(racing.map(({ status }) => status).toSorted()).toEqual([200, 401, 401])
      const first = racing.find(({ status }) => status === 200)!
      expect(first.json.secret).toMatch(/^hr_[0-9a-f]{12}_[\w-]{32}$/)
      expect((await call(`${open.url}/api/v1/models`, 'GET')).status).toBe(401)
      const { headers } = bearer(first.json.secret)
      const { decisions } = (await call(`${open.url}/api/v1/decisions?kind=key.create`, 'GET', undefined, { headers }))
        .json
      expect(decisions[0]).toMatchObject({ by: { name: 'anna' }, change: { detail: { role: 'admin' } } })
      // Neither the key nor its digest is in what everybody may read.
      const [, , secret] = first.json.secret.split('_')
      expect(JSON.stringify(decisions)).not.toContain(secret)
      const digests = (await open.app.services.access.list()).map((one) => Object.keys(one))
      expect(digests.flat()).not.toContain('digest')
    } finally {
      await open.close()
    }
  })
})

everyRoute(() => server)

describe('secrets', () => {
  it('are nowhere in the log of the server, whatever became of their requests', () => {
    expect(secrets.length).toBeGreaterThan(10)
    for (const secret of secrets) expect(logged).not.toContain(secret.slice(16))
    expect(logged).not.toContain('Basic ')
  })
})

function metadataOf(entries: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(entries)) metadata.set(name, value)
  return metadata
}
