import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { call, type Reply } from '../support/http.js'
import { linearModel } from '../support/onnx-models.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
const MODEL = 'breast-cancer'
/** Each load starts threads, and a machine that is busy takes seconds for them. */
const LONG = { timeout: 120_000 }
let server: TestServer

beforeAll(async () => {
  server = await startTestServer({ folder, models: [MODEL, 'fraud'] })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const get = (path: string) => call(server.url + path, 'GET')
const post = (path: string, body?: unknown) => call(server.url + path, 'POST', body)
const load = (model: string, parameters?: Record<string, unknown>) =>
  post(`/v2/repository/models/${model}/load`, parameters === undefined ? undefined : { parameters })
const loadWith = (config: unknown, model = MODEL) => load(model, { config: JSON.stringify(config) })
const unload = (model: string) => post(`/v2/repository/models/${model}/unload`)

function infer(rows = 1, version?: number): Promise<Reply> {
  const pinned = version === undefined ? '' : `/versions/${version}`
  return post(`/v2/models/${MODEL}${pinned}/infer`, {
    inputs: [{ name: 'features', datatype: 'FP32', shape: [rows, 30], data: new Array(rows * 30).fill(1) }],
  })
}

async function statistics(path = `${MODEL}/versions/1/stats`) {
  const { json } = await get(`/v2/models/${path}`)
  return json.model_stats[0]
}

const onnx = () => readFileSync(join(server.modelsFolder, MODEL, '1/model.onnx'))

describe('statistics', () => {
  it('have the shape that Triton gives them', async () => {
    await infer()
    expect(await statistics()).toMatchObject({ name: MODEL, version: '1', response_stats: {} })
    const keys = [
      'success',
      'fail',
      'queue',
      'compute_input',
      'compute_infer',
      'compute_output',
      'cache_hit',
      'cache_miss',
    ]
    const { inference_stats } = await statistics()
    expect(Object.keys(inference_stats)).toEqual(keys)
    for (const key of keys) expect(inference_stats[key]).toEqual({ count: expect.any(Number), ns: expect.any(Number) })
  })

  it('count requests, rows and runs, and what fails', async () => {
    const before = await statistics()
    await infer(3)
    await infer()
    await post(`/v2/models/${MODEL}/infer`, {
      inputs: [{ name: 'features', datatype: 'FP32', shape: [1, 29], data: new Array(29).fill(1) }],
    })
    const after = await statistics()
    const grown = (key: string) => after.inference_stats[key].count - before.inference_stats[key].count
    expect(after.inference_count - before.inference_count).toBe(4)
    expect(after.execution_count - before.execution_count).toBe(2)
    expect(grown('success')).toBe(2)
    expect(grown('queue')).toBe(2)
    expect(grown('compute_infer')).toBe(2)
    expect(grown('fail')).toBe(1)
    expect(after.batch_stats.find((batch: { batch_size: number }) => batch.batch_size === 3)).toMatchObject({
      compute_infer: { count: 1 },
    })
    expect(after.inference_stats.compute_infer.ns).toBeGreaterThan(before.inference_stats.compute_infer.ns)
    expect(Math.abs(after.last_inference - Date.now())).toBeLessThan(60_000)
  })

  it('are there for all models, for one and for a version', async () => {
    const { json } = await get('/v2/models/stats')
    expect(
      json.model_stats.map(({ name, version }: { name: string; version: string }) => `${name}/${version}`),
    ).toEqual(expect.arrayContaining([`${MODEL}/1`, 'fraud/1', 'fraud/2']))
    expect((await get('/v2/models/fraud/stats')).json.model_stats.length).toBeGreaterThan(1)
    expect(await get('/v2/models/absent/stats')).toMatchObject({ status: 404 })
    expect(await get(`/v2/models/${MODEL}/versions/9/stats`)).toMatchObject({ status: 404 })
    expect(await get(`/v2/models/${MODEL}/versions/x/stats`)).toMatchObject({ status: 400 })
  })
})

describe('the configuration', () => {
  it("is Triton's ModelConfig, without the batch axis in its dims", async () => {
    const { json } = await get(`/v2/models/${MODEL}/config`)
    expect(json).toMatchObject({
      name: MODEL,
      platform: 'onnxruntime_onnx',
      backend: 'onnxruntime',
      max_batch_size: 32,
      input: [{ name: 'features', data_type: 'TYPE_FP32', dims: [30] }],
      instance_group: [{ count: 1, kind: 'KIND_CPU' }],
      version_policy: { all: {} },
      dynamic_batching: { max_queue_delay_microseconds: 10_000 },
    })
    expect(await get(`/v2/models/${MODEL}/versions/1/config`)).toMatchObject({ status: 200, json: { name: MODEL } })
    expect(await get('/v2/models/absent/config')).toMatchObject({ status: 404 })
  })

  it('is taken back whole, with a number changed', async () => {
    const { json } = await get(`/v2/models/${MODEL}/config`)
    expect(await loadWith({ ...json, max_batch_size: 8 })).toMatchObject({ status: 200 })
    expect((await get(`/v2/models/${MODEL}/config`)).json.max_batch_size).toBe(8)
    expect(await load(MODEL)).toMatchObject({ status: 200, json: { name: MODEL, load: true } })
    expect((await get(`/v2/models/${MODEL}/config`)).json).toEqual(json)
  })
})

describe('loading with a config', () => {
  it('takes what Triton takes, numbers as text among them', async () => {
    const config = {
      max_batch_size: '16',
      dynamic_batching: {
        preferred_batch_size: ['4', 8],
        max_queue_delay_microseconds: '2500',
        default_queue_policy: { max_queue_size: 77 },
      },
      instance_group: [{ count: 2, kind: 'KIND_CPU' }],
    }
    expect(await loadWith(config)).toMatchObject({ status: 200 })
    expect((await get(`/v2/models/${MODEL}/config`)).json).toMatchObject({
      max_batch_size: 16,
      dynamic_batching: {
        preferred_batch_size: [4, 8],
        max_queue_delay_microseconds: 2500,
        default_queue_policy: { max_queue_size: 77 },
      },
      instance_group: [{ count: 2 }],
    })
    expect(await infer(5)).toMatchObject({ status: 200 })
    // A client may send the object itself.
    expect(await load(MODEL, { config: { max_batch_size: 0 } })).toMatchObject({ status: 200 })
    const { json } = await get(`/v2/models/${MODEL}/config`)
    expect(json.max_batch_size).toBe(0)
    expect(json.input[0].dims).toEqual([-1, 30])
    expect(await load(MODEL)).toMatchObject({ status: 200 })
  })

  it.each([
    ['no JSON', '{"max', 'REPOSITORY_CONFIG_INVALID'],
    ['a list', '[]', 'REPOSITORY_CONFIG_INVALID'],
    ['a number', 7, 'HTTP_BODY_INVALID'],
    ['an unknown key', { max_batch_sise: 1 }, 'REPOSITORY_CONFIG_INVALID'],
    ['a wrong type', { max_batch_size: 'many' }, 'REPOSITORY_CONFIG_INVALID'],
    ['a fraction', { max_batch_size: 1.5 }, 'REPOSITORY_CONFIG_INVALID'],
    ['a negative size', { max_batch_size: -1 }, 'REPOSITORY_CONFIG_INVALID'],
    ['a huge size', { max_batch_size: 2 ** 40 }, 'REPOSITORY_CONFIG_INVALID'],
    ['too many instances', { instance_group: [{ count: 65 }] }, 'REPOSITORY_CONFIG_INVALID'],
    ['a GPU', { instance_group: [{ kind: 'KIND_GPU' }] }, 'REPOSITORY_CONFIG_UNSUPPORTED'],
    [
      'sequences',
      { sequence_batching: { direct: {}, max_sequence_idle_microseconds: 5 } },
      'REPOSITORY_CONFIG_UNSUPPORTED',
    ],
    ['another name', { name: 'fraud' }, 'REPOSITORY_CONFIG_INVALID'],
    ['another backend', { backend: 'python' }, 'REPOSITORY_CONFIG_INVALID'],
    [
      'other inputs',
      { input: [{ name: 'features', data_type: 'TYPE_INT8', dims: [30] }] },
      'REPOSITORY_CONFIG_INVALID',
    ],
    ['a version that is not there', { version_policy: { specific: { versions: [7] } } }, 'REPOSITORY_LOAD_FAILED'],
    ['no version', { version_policy: { specific: { versions: [] } } }, 'REPOSITORY_CONFIG_INVALID'],
    ['two policies', { version_policy: { all: {}, latest: {} } }, 'REPOSITORY_CONFIG_INVALID'],
    ['batching without batches', { max_batch_size: 0, dynamic_batching: {} }, 'REPOSITORY_CONFIG_INVALID'],
    [
      'a preferred size above the largest',
      { max_batch_size: 4, dynamic_batching: { preferred_batch_size: [8] } },
      'REPOSITORY_CONFIG_INVALID',
    ],
    ['a prototype', '{"__proto__": {"max_batch_size": 1}}', 'REPOSITORY_CONFIG_INVALID'],
  ])('refuses %s, and what is served goes on', async (_, config, code) => {
    const { json, status } = await load(MODEL, { config: typeof config === 'object' ? JSON.stringify(config) : config })
    expect(json.code).toBe(code)
    expect(status).toBeGreaterThanOrEqual(400)
    if (code.startsWith('REPOSITORY_')) expect(json.error).toContain(`failed to load '${MODEL}'`)
    expect(await infer()).toMatchObject({ status: 200 })
    expect((await get(`/v2/models/${MODEL}/config`)).json.max_batch_size).toBe(32)
  })

  it('refuses a config that is too long, and parameters that are none', async () => {
    const long = await load(MODEL, { config: JSON.stringify({ name: 'x'.repeat(300_000) }) })
    expect(long.json.code).toBe('REPOSITORY_CONFIG_INVALID')
    expect((await load(MODEL, { confg: '{}' })).json.code).toBe('HTTP_BODY_INVALID')
    expect((await post(`/v2/repository/models/${MODEL}/load`, '[1')).json.code).toBe('HTTP_JSON_INVALID')
    expect((await post(`/v2/repository/models/${MODEL}/load`, { parameters: [] })).json.code).toBe('HTTP_BODY_INVALID')
  })

  it('says of a model that is not there what clients look for', async () => {
    for (const name of ['absent', '..%2Fx', 'a%00b', '%F0%9F%92%A9', 'x'.repeat(500)]) {
      const { status, json } = await load(name)
      expect(status === 404 || status === 400).toBe(true)
      if (status === 404) expect(json.error).toContain('failed to load')
    }
    expect((await unload('absent')).json).toMatchObject({ code: 'REPOSITORY_MODEL_UNKNOWN' })
  })

  it('serves the versions that its policy names', async () => {
    const versions = async () => (await get('/v2/models/fraud')).json.versions
    const all = await versions()
    expect(await loadWith({ version_policy: { latest: { num_versions: 1 } } }, 'fraud')).toMatchObject({ status: 200 })
    expect(await versions()).toEqual(all.slice(-1))
    const { json: config } = await get('/v2/models/fraud/config')
    expect(config.version_policy).toEqual({ latest: { num_versions: 1 } })
    expect(await loadWith(config, 'fraud')).toMatchObject({ status: 200, json: { load: true } })
    expect(await versions()).toEqual(all.slice(-1))
    expect(await loadWith({ version_policy: { specific: { versions: ['1'] } } }, 'fraud')).toMatchObject({
      status: 200,
    })
    expect(await versions()).toEqual(['1'])
    expect(await load('fraud')).toMatchObject({ status: 200 })
    expect(await versions()).toEqual(all)
  })

  it('fails no request while a model is loaded again and again', LONG, async () => {
    let isDone = false
    const statuses = new Set<number>()
    let answers = 0
    const callers = Array.from({ length: 4 }, async () => {
      while (!isDone) {
        statuses.add((await infer(2)).status)
        answers++
      }
    })
    for (let i = 0; i < 10; i++) expect(await loadWith({ max_batch_size: 4 + (i % 5) })).toMatchObject({ status: 200 })
    expect(await load(MODEL)).toMatchObject({ status: 200 })
    isDone = true
    await Promise.all(callers)
    expect([...statuses]).toEqual([200])
    expect(answers).toBeGreaterThan(20)
  })
})

describe('unloading', () => {
  it('takes a model out of service until it is loaded again, and keeps its counts', async () => {
    const { inference_count } = await statistics()
    expect(await unload(MODEL)).toMatchObject({ status: 200, json: { name: MODEL, unload: true } })
    const refused = await infer()
    expect(refused.status).toBe(404)
    expect(refused.json.error).toContain(`Request for unknown model: '${MODEL}' is not found`)
    expect((await get(`/v2/models/${MODEL}/ready`)).status).toBe(404)
    expect((await get('/v2/health/ready')).status).toBe(200)
    const index = (await post('/v2/repository/index', {})).json
    expect(index).toContainEqual({ name: MODEL, version: '1', state: 'UNAVAILABLE', reason: 'unloaded' })
    const ready = (await post('/v2/repository/index', { ready: true })).json
    expect(ready.map(({ name }: { name: string }) => name)).not.toContain(MODEL)
    expect((await statistics()).inference_count).toBe(inference_count)
    expect(await load(MODEL)).toMatchObject({ status: 200 })
    expect(await infer()).toMatchObject({ status: 200 })
  })

  it('answers what is under way', async () => {
    const answers = Array.from({ length: 20 }, () => infer(8))
    await Promise.race(answers)
    const [unloaded, ...replies] = await Promise.all([unload(MODEL), ...answers])
    expect(unloaded.status).toBe(200)
    for (const { status, json } of replies) {
      expect([200, 404]).toContain(status)
      if (status === 404) expect(json.code).toBe('SERVING_MODEL_NOT_FOUND')
    }
    expect(await load(MODEL)).toMatchObject({ status: 200 })
  })

  it('and loading at the same time, over and over, end in what was asked for last', LONG, async () => {
    const storm = await Promise.all(
      Array.from({ length: 24 }, (_, i) => (i % 3 === 0 ? unload(MODEL) : loadWith({ max_batch_size: 1 + (i % 7) }))),
    )
    expect(new Set(storm.map(({ status }) => status))).toEqual(new Set([200]))
    expect(await load(MODEL)).toMatchObject({ status: 200 })
    expect(await infer()).toMatchObject({ status: 200 })
    expect((await get(`/v2/models/${MODEL}/config`)).json.max_batch_size).toBe(32)
  })
})

describe('decisions', () => {
  const latest = async () => (await get('/api/v1/decisions?limit=1')).json.decisions[0]
  const undo = (id: string) => post(`/api/v1/decisions/${id}/undo`, {})

  it('say who loaded what, and can be undone', async () => {
    await call(
      `${server.url}/v2/repository/models/${MODEL}/load`,
      'POST',
      { parameters: { config: '{"max_batch_size": 5}' } },
      { headers: { 'headrace-actor': 'anna' } },
    )
    const decision = await latest()
    expect(decision).toMatchObject({ change: { kind: 'repository.load', subject: MODEL }, by: { name: 'anna' } })
    expect((await undo(decision.id)).status).toBe(200)
    expect((await get(`/v2/models/${MODEL}/config`)).json.max_batch_size).toBe(32)
  })

  it('of an unload can be undone, and undone again', async () => {
    await unload(MODEL)
    const decision = await latest()
    expect(decision.change).toMatchObject({ kind: 'repository.unload' })
    const back = await undo(decision.id)
    expect(back.status).toBe(200)
    expect(await infer()).toMatchObject({ status: 200 })
    expect((await undo(back.json.id)).status).toBe(200)
    expect((await infer()).status).toBe(404)
    expect(await load(MODEL)).toMatchObject({ status: 200 })
    // It is loaded since, by another decision.
    expect((await undo(decision.id)).status).toBe(409)
    expect(await infer()).toMatchObject({ status: 200 })
  })
})

describe('files', () => {
  const base64 = (content: Uint8Array) => Buffer.from(content).toString('base64')
  const loadFiles = (files: Record<string, unknown>, model = MODEL, config: unknown = '{}') =>
    load(model, {
      ...(config === null ? {} : { config }),
      ...Object.fromEntries(Object.entries(files).map(([name, content]) => [`file:${name}`, content])),
    })

  it('become a new version, which is served with the config', async () => {
    const content = base64(onnx())
    const reply = await loadFiles({ '4/model.onnx': content }, MODEL, '{"max_batch_size": 3}')
    expect(reply).toMatchObject({ status: 200 })
    expect(await infer(1, 4)).toMatchObject({ status: 200, json: { model_version: '4' } })
    expect((await get(`/v2/models/${MODEL}/versions/4/config`)).json.max_batch_size).toBe(3)
    // The same again changes nothing; other content under its number is refused.
    expect(await loadFiles({ '4/model.onnx': content })).toMatchObject({ status: 200 })
    const other = base64(readFileSync(join(server.modelsFolder, 'fraud/1/model.onnx')))
    expect(await loadFiles({ '4/model.onnx': other })).toMatchObject({
      status: 409,
      json: { code: 'REPOSITORY_VERSION_TAKEN' },
    })
    expect(await infer(1, 4)).toMatchObject({ status: 200 })
    expect(await load(MODEL)).toMatchObject({ status: 200 })
  })

  it('become a new model', async () => {
    const manifest = base64(Buffer.from('{"labels": ["no", "yes"]}'))
    const reply = await loadFiles({ '1/model.onnx': base64(onnx()), '1/model.json': manifest }, 'newcomer')
    expect(reply).toMatchObject({ status: 200 })
    expect(await get('/v2/models/newcomer/ready')).toMatchObject({ status: 200, json: { ready: true } })
  })

  it.each([
    ['../../x', 'a path that leaves'],
    ['1/../../model.onnx', 'a path that leaves'],
    ['/etc/passwd', 'an absolute path'],
    ['1//etc/passwd', 'an absolute path'],
    ['1/C:\\x', 'a path of Windows'],
    ['0/model.onnx', 'version 0'],
    ['-1/model.onnx', 'a negative version'],
    ['abc/model.onnx', 'a version that is no number'],
    ['99999999999999999999/model.onnx', 'a version that is too large'],
    ['model.onnx', 'no version'],
    ['7/', 'no path'],
    ['7/model.ts', 'code'],
    ['7/remote.json', 'what makes the server call others'],
    ['7/readme.txt', 'what is no model'],
    ['7/a\u0000b', 'a NUL'],
  ])('named %s are refused: %s', async (name) => {
    expect(await loadFiles({ [name]: 'AAAA' })).toMatchObject({
      status: 400,
      json: { code: 'REPOSITORY_FILE_INVALID', error: expect.stringContaining('failed to load') },
    })
  })

  it('that are no base64, no model, or come without a config are refused, and nothing is left of them', async () => {
    expect((await loadFiles({ '7/model.onnx': 'not base64!' })).json.code).toBe('REPOSITORY_FILE_INVALID')
    expect((await loadFiles({ '7/model.onnx': 'AAA' })).json.code).toBe('REPOSITORY_FILE_INVALID')
    expect((await loadFiles({ '7/model.onnx': 7 })).json.code).toBe('REPOSITORY_FILE_INVALID')
    expect((await loadFiles({ '7/model.onnx': base64(Buffer.from('junk')) })).json.code).toBe('REPOSITORY_FILE_INVALID')
    expect((await loadFiles({ '7/model.onnx': base64(onnx()), '7/extra.bin': 'AAAA' })).json.code).toBe(
      'REPOSITORY_FILE_INVALID',
    )
    expect((await loadFiles({ '7/model.onnx': base64(onnx()) }, MODEL, null)).json.code).toBe(
      'REPOSITORY_CONFIG_INVALID',
    )
    expect((await loadFiles({ '7/model.onnx': base64(onnx()) }, MODEL, '{"backend": "python"}')).json.code).toBe(
      'REPOSITORY_CONFIG_INVALID',
    )
    const index = (await post('/v2/repository/index', {})).json
    expect(index.filter(({ name }: { name: string }) => name === MODEL)).not.toContainEqual(
      expect.objectContaining({ version: '7' }),
    )
  })
})

describe('a version that cannot be loaded', () => {
  it('fails the load, which says so, and the others serve on', async () => {
    const broken = join(server.modelsFolder, 'half', '1')
    mkdirSync(broken, { recursive: true })
    copyFileSync(join(server.modelsFolder, 'fraud/1/model.onnx'), join(broken, 'model.onnx'))
    const { code, error } = (await load('half')).json
    expect(code).toBe('REPOSITORY_MODEL_UNKNOWN')
    expect(error).toContain("failed to load 'half'")
  })
})

describe("KServe v1's explain", () => {
  it('is 501 with a reason for what is there, and 404 for what is not', async () => {
    for (const path of [`${MODEL}:explain`, `${MODEL}/versions/1:explain`])
      expect(await post(`/v1/models/${path}`, { instances: [[1]] })).toMatchObject({
        status: 501,
        json: { code: 'HTTP_NO_EXPLAINER', error: expect.stringContaining(':predict') },
      })
    expect((await post('/v1/models/absent:explain', { instances: [] })).status).toBe(404)
    const get = await call(`${server.url}/v1/models/${MODEL}:explain`, 'GET')
    expect(get.status).toBe(405)
    expect(get.headers.get('allow')).toContain('POST')
  })
})

describe('a restart', () => {
  it('leaves unloaded what was unloaded, and loaded what was loaded with its config', async () => {
    const own = mkdtempSync(join(tmpdir(), 'headrace-test-'))
    const first = await startTestServer({ folder: own, models: [MODEL, 'fraud'] })
    await call(`${first.url}/v2/repository/models/${MODEL}/unload`, 'POST')
    await call(`${first.url}/v2/repository/models/fraud/load`, 'POST', {
      parameters: { config: '{"max_batch_size":6}' },
    })
    await first.close()
    const second = await startTestServer({ folder: own, models: [MODEL, 'fraud'] })
    try {
      expect((await call(`${second.url}/readyz`, 'GET')).status).toBe(200)
      expect((await call(`${second.url}/v2/models/${MODEL}/ready`, 'GET')).status).toBe(404)
      const { json } = await call(`${second.url}/v2/models/fraud/config`, 'GET')
      expect(json.max_batch_size).toBe(6)
      expect(await call(`${second.url}/v2/repository/models/${MODEL}/load`, 'POST')).toMatchObject({ status: 200 })
      expect((await call(`${second.url}/v2/models/${MODEL}/ready`, 'GET')).status).toBe(200)
    } finally {
      await second.close()
      rmSync(own, { recursive: true, force: true })
    }
  })
})

describe('models that are loaded when they are asked for', () => {
  it('are endpoints that answer, of which is known what they look like once they were loaded', async () => {
    const own = mkdtempSync(join(tmpdir(), 'headrace-test-'))
    const lazily = await startTestServer({
      folder: own,
      models: [MODEL],
      config: { serving: { pool: { load: 'lazy' } } },
    })
    try {
      const view = async () => (await call(`${lazily.url}/api/v1/endpoints/${MODEL}`, 'GET')).json
      expect((await call(`${lazily.url}/readyz`, 'GET')).status).toBe(200)
      const first = { ready: true, reason: null, model: MODEL, version: 1 }
      expect(await view()).toMatchObject({ ...first, signature: null, features: [] })
      expect((await call(`${lazily.url}/v2/models/${MODEL}/ready`, 'GET')).status).toBe(200)
      expect(await view()).toMatchObject({ ...first, signature: { inputs: [{ name: 'features' }] } })
    } finally {
      await lazily.close()
      rmSync(own, { recursive: true, force: true })
    }
  })

  it('are loaded by a load, and an unload holds for requests and restarts alike', async () => {
    const own = mkdtempSync(join(tmpdir(), 'headrace-test-'))
    const lazy = { folder: own, models: [MODEL, 'fraud'], config: { serving: { pool: { load: 'lazy' } } } }
    let lazily = await startTestServer(lazy)
    const ask = (method: string, path: string) => call(lazily.url + path, method)
    const state = async (model: string) => {
      const { json } = await ask('GET', `/api/v1/models/${model}`)
      return json.versions.map((version: { state: string }) => version.state)
    }
    try {
      expect(await state(MODEL)).toEqual(['resting'])
      expect(await ask('POST', `/v2/repository/models/${MODEL}/load`)).toMatchObject({ status: 200 })
      expect(await state(MODEL)).toEqual(['ready'])
      expect(await ask('POST', '/v2/repository/models/fraud/unload')).toMatchObject({ status: 200 })
      expect((await ask('GET', '/v2/models/fraud/ready')).status).toBe(404)
      await lazily.close()
      lazily = await startTestServer(lazy)
      expect((await ask('GET', '/v2/models/fraud/ready')).status).toBe(404)
      expect(new Set(await state('fraud'))).toEqual(new Set(['unloaded']))
      expect(await ask('POST', '/v2/repository/models/fraud/load')).toMatchObject({ status: 200 })
      expect((await ask('GET', '/v2/models/fraud/ready')).status).toBe(200)
      // Known from before: it would answer, and rests all the same until it is asked.
      expect(await state(MODEL)).toEqual(['resting'])
      expect(await ask('POST', `/v2/repository/models/${MODEL}/load`)).toMatchObject({ status: 200 })
      expect(await state(MODEL)).toEqual(['ready'])
    } finally {
      await lazily.close()
      rmSync(own, { recursive: true, force: true })
    }
  })
})

describe('copies of versions', () => {
  it('stay when the files of a version are found to be others at a start', LONG, async () => {
    const own = mkdtempSync(join(tmpdir(), 'headrace-test-'))
    const copies = join(own, '.headrace/artifacts')
    const first = await startTestServer({ folder: own, models: [MODEL] })
    const file = join(first.modelsFolder, MODEL, '1/model.onnx')
    const whole = readFileSync(file)
    const kept = await vi.waitFor(() => {
      const [copy] = readdirSync(copies).filter((name) => !name.startsWith('.'))
      return join(copies, copy!, 'model.onnx')
    })
    await first.close()
    const second = await startTestServer({
      folder: own,
      models: [MODEL],
      beforeStart: async () => writeFileSync(file, linearModel([1, 2])),
    })
    expect([...second.app.refused.values()]).toMatchObject([{ code: 'REGISTRY_DIGEST_CHANGED' }])
    await second.close()
    expect(readFileSync(kept).equals(whole)).toBe(true)
    rmSync(own, { recursive: true, force: true })
  })
})
