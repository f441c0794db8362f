// KServe's version 1 beside its bodies: versions and labels in the path, and what TensorFlow Serving's clients read.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call, type Reply } from '../support/http.js'
import { PAYMENT } from '../support/shop.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer

beforeAll(async () => {
  server = await startTestServer({ folder, models: ['fraud'] })
  await call(`${server.url}/api/v1/models/fraud/aliases/stable`, 'PUT', { version: 1 })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const get = (path: string): Promise<Reply> => call(server.url + path, 'GET')
const predict = (path: string): Promise<Reply> =>
  call(`${server.url}/v1/models/${path}:predict`, 'POST', { instances: [PAYMENT], signature_name: 'serving_default' })

const available = (version: string): object => ({
  version,
  state: 'AVAILABLE',
  status: { error_code: 'OK', error_message: '' },
})

describe('the status of a model', () => {
  it('pleases clients of KServe and of TensorFlow Serving', async () => {
    expect((await get('/v1/models/fraud')).json).toEqual({
      name: 'fraud',
      ready: true,
      model_version_status: [available('1'), available('2')],
    })
  })

  it('is told of one version, by its number or its label', async () => {
    const { json } = await get('/v1/models/fraud/versions/1')
    expect(json).toEqual({ name: 'fraud', ready: true, model_version_status: [available('1')] })
    expect((await get('/v1/models/fraud/labels/stable')).json).toEqual(json)
  })

  it('is 404 for models, versions and labels that are not there', async () => {
    expect((await get('/v1/models/nobody')).status).toBe(404)
    expect((await get('/v1/models/fraud/versions/9')).status).toBe(404)
    expect(await get('/v1/models/fraud/labels/nobody')).toMatchObject({
      status: 404,
      json: { code: 'APP_ALIAS_NOT_FOUND' },
    })
  })
})

describe('a prediction', () => {
  it.each(['fraud/versions/1', 'fraud/labels/stable'])(
    'is answered by the version that the path names: %s',
    async (path) => {
      const reply = await predict(path)
      expect(reply.status).toBe(200)
      expect(reply.headers.get('headrace-flags')).toBe('pinned')
      const id = reply.headers.get('headrace-prediction-id')
      const { prediction } = (await get(`/api/v1/predictions/${id}`)).json
      expect(prediction.calls).toMatchObject([{ leaf: 'fraud/1' }])
    },
  )

  it('is 404 for a label that is not there', async () => {
    expect((await predict('fraud/labels/nobody')).status).toBe(404)
    expect((await predict('fraud/labels/%FF')).status).toBe(400)
  })
})
