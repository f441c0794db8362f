import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call, type Reply } from '../support/http.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer
const early: Record<string, Reply> = {}

beforeAll(async () => {
  server = await startTestServer({
    folder,
    async beforeStart(url) {
      for (const path of ['/livez', '/readyz', '/v2/health/ready', '/v2/models/fraud/ready'])
        early[path] = await call(url + path, 'GET')
    },
  })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const get = (path: string, headers: Record<string, string> = {}): Promise<Reply> =>
  call(server.url + path, 'GET', undefined, { headers })

describe('probes', () => {
  it('say that the server lives but is not ready while the models load', () => {
    expect(early['/livez']).toMatchObject({ status: 200, json: { live: true } })
    expect(early['/readyz']).toMatchObject({ status: 503, json: { ready: false } })
    expect(early['/v2/health/ready']).toMatchObject({ status: 503, json: { ready: false } })
  })

  it('say that it is ready once every model answered a test prediction', async () => {
    expect(await get('/readyz')).toMatchObject({ status: 200, json: { ready: true } })
    expect(await get('/v2/health/ready')).toMatchObject({ status: 200, json: { ready: true } })
    expect(await get('/v2/health/live?probe=1')).toMatchObject({ status: 200, json: { live: true } })
  })

  it('answer HEAD without a body', async () => {
    const reply = await call(`${server.url}/readyz`, 'HEAD')
    expect(reply.status).toBe(200)
    expect(reply.text).toBe('')
  })

  it('expose Prometheus metrics', async () => {
    await get('/v2/models/fraud')
    const { status, text, headers } = await get('/metrics')
    expect(status).toBe(200)
    expect(headers.get('content-type')).toContain('text/plain')
    expect(text).toContain('# TYPE ml_predictions_total counter')
  })
})

describe('the Open Inference Protocol', () => {
  it('tells what the server is', async () => {
    const { json, headers } = await get('/v2')
    expect(json).toMatchObject({
      name: 'headrace',
      extensions: expect.arrayContaining(['statistics', 'model_repository']),
    })
    expect(json.version).toMatch(/^\d+\.\d+\.\d+/)
    expect(headers.get('content-type')).toBe('application/json')
  })

  it('lists models and describes them', async () => {
    expect((await get('/v2/models')).json).toEqual({
      models: ['breast-cancer', 'fraud', 'fraud-rule', 'product-ranking', 'purchase-intent'],
    })
    const { json } = await get('/v2/models/fraud?ignored=1')
    expect(json).toMatchObject({ name: 'fraud', versions: ['1', '2'], platform: 'onnxruntime_onnx' })
    expect(json.inputs).toContainEqual({ name: 'amount', datatype: 'FP32', shape: [-1, 1] })
    expect((await get('/v2/models/fraud-rule')).json).toMatchObject({ platform: 'headrace_script' })
    expect(json.inputs).toContainEqual({ name: 'country', datatype: 'BYTES', shape: [-1, 1] })
    expect((await get('/v2/models/fraud/versions/1')).json.inputs).toEqual(json.inputs)
  })

  it('says which models and versions are ready', async () => {
    for (const path of ['/v2/models/fraud/ready', '/v2/models/fraud/versions/2/ready', '/v1/models/fraud'])
      expect(await get(path)).toMatchObject({ status: 200, json: { name: 'fraud', ready: true } })
  })

  it('answers 404 for a name or version it does not have, with the words that clients of Triton look for', async () => {
    for (const path of ['/v2/models/nobody', '/v2/models/nobody/ready', '/v1/models/nobody']) {
      const { status, json, headers } = await get(path)
      expect([status, json.code]).toEqual([404, 'PATH_ENDPOINT_NOT_FOUND'])
      expect(json.error).toContain('Request for unknown model')
      expect(headers.get('content-type')).toBe('application/json')
    }
    for (const path of ['/v2/models/fraud/versions/9', '/v2/models/fraud/versions/9/ready'])
      expect(await get(path)).toMatchObject({ status: 404, json: { code: 'SERVING_VERSION_NOT_FOUND' } })
  })

  it.each([
    '/v2/models/fraud/versions/0',
    '/v2/models/fraud/versions/one/ready',
    '/v2/models/%FF',
    '/v2/models/%E0%A4%A',
  ])('refuses the path %s', async (path) => {
    expect(await get(path)).toMatchObject({ status: 400, json: { code: 'HTTP_BAD_PATH' } })
  })

  it('lists the repository, with an empty body, a filter, or no content type', async () => {
    const index = `${server.url}/v2/repository/index`
    const all = await call(index, 'POST')
    expect(all.json).toEqual([
      { name: 'breast-cancer', version: '1', state: 'READY', reason: '' },
      { name: 'fraud', version: '1', state: 'READY', reason: '' },
      { name: 'fraud', version: '2', state: 'READY', reason: '' },
      { name: 'fraud-rule', version: '1', state: 'READY', reason: '' },
      { name: 'product-ranking', version: '1', state: 'READY', reason: '' },
      { name: 'purchase-intent', version: '1', state: 'READY', reason: '' },
    ])
    expect((await call(index, 'POST', { ready: true })).json).toEqual(all.json)
    expect((await call(index, 'POST', new TextEncoder().encode('{"ready": false}'))).json).toEqual(all.json)
  })
})

describe('KServe v1', () => {
  it('lists models', async () => {
    expect((await get('/v1/models')).json).toEqual({
      models: ['breast-cancer', 'fraud', 'fraud-rule', 'product-ranking', 'purchase-intent'],
    })
  })

  it('is alive at /, where a browser is sent to the console', async () => {
    expect(await get('/')).toMatchObject({ status: 200, json: { status: 'alive' } })
    const browser = await get('/', { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' })
    expect(browser.status).toBe(302)
    expect(browser.headers.get('location')).toBe('/console/')
  })
})

describe('a path', () => {
  it('that does not exist is 404', async () => {
    for (const path of ['/nothing', '/v3', '/api/v1', '/v2/models/fraud/nothing'])
      expect(await get(path)).toMatchObject({ status: 404, json: { code: 'HTTP_NOT_FOUND' } })
  })

  it('may end with a slash', async () => {
    expect((await get('/v2/')).json.name).toBe('headrace')
    expect((await get('/v2/models/fraud/')).json.name).toBe('fraud')
    expect((await call(`${server.url}/api/v1/models/`, 'POST')).headers.get('allow')).toBe('GET, HEAD')
  })

  it.each([
    ['GET', '/v2/models/fraud/infer', 'POST'],
    ['PUT', '/v2/models/fraud/versions/1/infer', 'POST'],
    ['GET', '/v1/models/fraud:predict', 'POST'],
    ['GET', '/api/v1/predict/fraud', 'POST'],
    ['POST', '/livez', 'GET, HEAD'],
    ['DELETE', '/metrics', 'GET, HEAD'],
    ['POST', '/v2/models/fraud', 'GET, HEAD'],
    ['GET', '/v2/repository/index', 'POST'],
    ['PATCH', '/api/v1/models/fraud/aliases/champion', 'DELETE, PUT'],
    ['DELETE', '/api/v1/decisions/verify', 'GET, HEAD'],
    ['OPTIONS', '/api/v1/status', 'GET, HEAD'],
  ])('with a wrong method is 405: %s %s', async (method, path, allow) => {
    const { status, json, headers } = await call(server.url + path, method)
    expect([status, json?.code]).toEqual([405, 'HTTP_METHOD_NOT_ALLOWED'])
    expect(headers.get('allow')).toBe(allow)
    expect(headers.get('content-type')).toBe('application/json')
  })
})
