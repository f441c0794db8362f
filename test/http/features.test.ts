import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  column,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  defineOnDemandView,
  pushSource,
} from '../../src/features/index.js'
import type { StoredPrediction } from '../../src/log/index.js'
import { cascade, fallback, lastKnown, shadow, split, version } from '../../src/route/index.js'
import { type FeatureServer, startFeatureServer } from '../support/feature-server.js'
import { call, type Reply } from '../support/http.js'

const user = defineEntity('user', { keys: { user_id: 'string' } })
const item = defineEntity('item', { keys: { item_id: 'int64' } })
const source = pushSource('events', {
  columns: {
    spend: 'float64',
    country: 'string',
    orders: 'int64',
    price: 'float64',
    user_id: 'string',
    item_id: 'int64',
  },
})
const spend = defineFeatureView('user_spend', {
  entities: [user],
  stream: source,
  ttl: '1h',
  features: {
    spend: column('float64', { default: -1 }),
    country: column('string', { default: '??' }),
    orders: column('int64', { default: 0 }),
  },
})
const price = defineFeatureView('item_price', {
  entities: [item],
  stream: source,
  features: { price: column('float64') },
})
const ratio = defineOnDemandView('ratio', {
  views: [spend],
  request: { amount: 'float64' },
  features: { ratio: { type: 'float64', default: 0.5 } },
  transform: ({ request, user_spend }) => {
    if (request.amount === 13) throw new Error('unlucky')
    return { ratio: (request.amount ?? 0) / (user_spend.spend ?? 1) }
  },
})
const usersOnly = defineFeatureService('users', [spend])
const ranking = defineFeatureService('ranking', [spend, price])
const payments = defineFeatureService('payments', [spend, ratio])
const definitions = [usersOnly, ranking, payments]

const USER = { spend: 'FP32', country: 'BYTES', orders: 'INT64' }
const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: FeatureServer

beforeAll(async () => {
  server = await startFeatureServer({
    folder,
    definitions,
    versions: {
      'user/1': { inputs: USER, manifest: { featureService: 'users' } },
      'plain/1': { inputs: { spend: 'FP32' } },
      'rank/1': { inputs: { spend: 'FP32', price: 'FP64' }, manifest: { featureService: 'ranking' } },
      'pay/1': { inputs: { amount: 'FP32', ratio: 'FP32' }, manifest: { featureService: 'payments' } },
      'matrix/1': {
        inputs: { x: { datatype: 'FP32', shape: [-1, 2] } },
        manifest: { featureService: 'users', features: ['spend', 'orders'] },
      },
      'unsure/1': { inputs: USER, manifest: { featureService: 'users' }, sure: 0.55 },
      'small/1': { inputs: { orders: 'INT32' }, manifest: { featureService: 'users' } },
      'lost/1': { inputs: { spend: 'FP32' }, manifest: { featureService: 'nowhere' } },
      'greedy/1': { inputs: { spend: 'FP32', age: 'FP32' }, manifest: { featureService: 'users' } },
    },
    config: {
      endpoints: {
        one: { route: version('user', 1) },
        shadowed: { route: shadow({ name: 'copy', primary: version('user', 1), shadow: version('rank', 1) }) },
        escalating: {
          route: cascade({
            name: 'steps',
            arms: [{ route: version('unsure', 1), confidence: 0.8 }, { route: version('rank', 1) }],
          }),
        },
        half: {
          route: split({
            name: 'halves',
            arms: [
              { name: 'old', weight: 1, route: version('plain', 1) },
              { name: 'new', weight: 1, route: version('user', 1) },
            ],
          }),
        },
        remembered: { route: fallback({ name: 'safe', arms: [version('small', 1), lastKnown()] }), cache: {} },
        byTensors: { route: version('user', 1), cache: { key: 'tensors' } },
        byRequest: { route: version('user', 1), cache: { key: 'request' } },
      },
    },
  })
  await server.put('user_spend', { user_id: 'u1' }, [42.5, 'DE', 7], 5000)
  await server.put('user_spend', { user_id: 'old' }, [1, 'FR', 1], 1.5 * 3_600_000)
  await server.put('user_spend', { user_id: 'holes' }, [null, null, null])
  for (let id = 0; id < 500; id++) await server.put('item_price', { item_id: id }, [id / 2])
}, 60_000)
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const post = (path: string, body: unknown): Promise<Reply> => call(server.url + path, 'POST', body)
const predict = (endpoint: string, body: unknown) => post(`/api/v1/predict/${endpoint}`, body)
const seen = (json: Reply['json']) => JSON.parse(json.outputs.seen)

async function loggedOf(id: string): Promise<StoredPrediction> {
  const found = (await server.logged()).find((record) => record.kind === 'prediction' && record.id === id)
  return found as StoredPrediction
}

/** What the log says of a feature. */
function feature({ payload }: StoredPrediction, name: string) {
  const group = payload!.served!.groups.find(({ names }) => names.includes(name))!
  const at = group.names.indexOf(name)
  return { ...group, value: group.values?.[at], values: group.rowValues?.[at] }
}

describe('a prediction by its entity alone', () => {
  it('is answered from what the online store knows, and logs values, sources and ages', async () => {
    const { status, json } = await predict('user', { entities: { user_id: 'u1' } })
    expect(status).toBe(200)
    expect(seen(json)).toEqual({ spend: 42.5, country: 'DE', orders: 7 })
    expect(json.flags).toEqual([])
    expect(json.timings.features).toBeGreaterThanOrEqual(0)
    const record = await loggedOf(json.id)
    const { served, inputs } = record.payload!
    expect(served).toMatchObject({ services: ['users'], keys: { user_id: { value: 'u1' } }, request: {} })
    expect(feature(record, 'spend')).toMatchObject({ type: 'float64', value: 42.5, source: 'online' })
    expect(feature(record, 'spend').ageMs).toBeGreaterThanOrEqual(5000)
    expect(inputs.map(({ name }) => name)).toEqual(['spend', 'country', 'orders'])
  })

  it('gets defaults for an entity nobody knows, and says so', async () => {
    const { json } = await predict('user', { entities: { user_id: 'nobody' } })
    expect(seen(json)).toEqual({ spend: -1, country: '??', orders: 0 })
    expect(json.flags).toEqual(['features-default'])
    expect(feature(await loggedOf(json.id), 'spend')).toMatchObject({ value: -1, source: 'default', gap: 'missing' })
  })

  it('gets defaults where the row is past its time to live', async () => {
    const { json } = await predict('user', { entities: { user_id: 'old' } })
    expect(seen(json).spend).toBe(-1)
    expect(json.flags).toEqual(['features-default'])
    expect(feature(await loggedOf(json.id), 'spend')).toMatchObject({
      source: 'default',
      gap: 'expired',
      ageMs: expect.closeTo(1.5 * 3_600_000, -5),
    })
  })

  it('gives a model that knows no null NaN, 0 and empty text for a row without values', async () => {
    const { json } = await predict('user', { entities: { user_id: 'holes' } })
    expect(seen(json)).toEqual({ spend: 'NaN', country: '', orders: 0 })
    expect(json.flags).toEqual([])
  })

  it('takes defaults for an entity that is said to be none', async () => {
    const { status, json } = await predict('user', { entities: { user_id: null } })
    expect(status).toBe(200)
    expect(json.flags).toEqual(['features-default'])
  })

  it('fills the columns of a matrix', async () => {
    const { json } = await predict('matrix', { entities: { user_id: 'u1' } })
    expect(seen(json).x).toEqual([42.5, 7])
  })
})

describe('a value that the request brings', () => {
  it('overrides the store, null included', async () => {
    const { json } = await predict('user', { entities: { user_id: 'u1' }, inputs: { spend: 3, country: null } })
    expect(seen(json)).toEqual({ spend: 3, country: '', orders: 7 })
    expect(json.flags).toEqual([])
    expect(feature(await loggedOf(json.id), 'spend')).toMatchObject({ value: 3, source: 'request' })
  })

  it('saves the reading, and the key, when it is all of them', async () => {
    const before = server.reads.length
    const { json } = await predict('user', { inputs: { spend: 1, country: 'X', orders: 2 } })
    expect(seen(json)).toEqual({ spend: 1, country: 'X', orders: 2 })
    expect(server.reads.length).toBe(before)
  })

  it('is what on-demand features are computed from', async () => {
    const { json } = await predict('pay', { entities: { user_id: 'u1' }, inputs: { amount: 85 } })
    expect(seen(json)).toEqual({ amount: 85, ratio: 2 })
    const overridden = await predict('pay', { entities: { user_id: 'u1' }, inputs: { amount: 85, spend: 85 } })
    expect(seen(overridden.json)).toEqual({ amount: 85, ratio: 1 })
    expect((await loggedOf(json.id)).payload!.served!.request).toEqual({ amount: { value: 85 } })
  })

  it('that a transform fails on costs its own features only', async () => {
    const { status, json } = await predict('pay', { entities: { user_id: 'u1' }, inputs: { amount: 13 } })
    expect(status).toBe(200)
    expect(seen(json)).toEqual({ amount: 13, ratio: 0.5 })
    expect(json.flags).toEqual(['features-default'])
    expect(feature(await loggedOf(json.id), 'ratio')).toMatchObject({ source: 'default', gap: 'failed' })
  })
})

describe("a caller's mistake", () => {
  it.each<[string, string, unknown, string]>([
    ['a missing key', 'user', {}, 'FEATURE_KEY_MISSING'],
    ['a key that no entity has', 'user', { entities: { userid: 'u1' } }, 'FEATURE_KEY_UNKNOWN'],
    ['a key of the wrong type', 'user', { entities: { user_id: 5 } }, 'FEATURE_KEY_TYPE'],
    [
      'a value of the wrong type',
      'user',
      { entities: { user_id: 'u1' }, inputs: { spend: 'much' } },
      'FEATURE_VALUE_TYPE',
    ],
    [
      "a value beyond the range of the model's input",
      'user',
      { entities: { user_id: 'u1' }, inputs: { spend: 1e39 } },
      'TENSOR_FEATURE_TYPE',
    ],
    [
      'an input that nobody takes',
      'user',
      { entities: { user_id: 'u1' }, inputs: { spnd: 1 } },
      'TENSOR_FEATURE_UNKNOWN',
    ],
    ['a missing input of a transform', 'pay', { entities: { user_id: 'u1' } }, 'FEATURE_REQUEST_MISSING'],
    ['a missing input that no service gives', 'greedy', { entities: { user_id: 'u1' } }, 'TENSOR_FEATURE_MISSING'],
  ])('such as %s is a 4xx with its name', async (_, endpoint, body, code) => {
    const { status, json } = await predict(endpoint, body)
    expect(json.code).toBe(code)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
  })

  it.each([
    ['native', '/api/v1/predict/user', '{"entities":{"__proto__":"u1"}}', 'FEATURE_KEY_UNKNOWN'],
    ['OIP', '/v2/models/user/infer', '{"inputs":[],"parameters":{"entity.__proto__":"u1"}}', 'FEATURE_KEY_UNKNOWN'],
    // JSON's reader has rounded it: it would be somebody else's.
    [
      'OIP',
      '/v2/models/rank/infer',
      '{"inputs":[],"parameters":{"entity.user_id":"u1","entity.item_id":9007199254740993}}',
      'FEATURE_KEY_TYPE',
    ],
  ])('in a key over %s is found (%s %s)', async (_, path, body, code) => {
    const reply = await fetch(server.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
    const { code: found } = (await reply.json()) as { code: string }
    expect([reply.status, found]).toEqual([code === 'FEATURE_KEY_TYPE' ? 422 : reply.status, code])
    expect(Math.floor(reply.status / 100)).toBe(4)
  })

  it('is none when model.json names a service that nobody defined', async () => {
    const { status, json } = await predict('lost', { entities: { user_id: 'u1' } })
    expect([status, json.code]).toEqual([500, 'PATH_VERSION_UNFIT'])
  })
})

describe('many rows', () => {
  it('read the user once for 500 items, in one reading', async () => {
    const before = server.reads.length
    const { status, json } = await predict('rank', {
      entities: Array.from({ length: 500 }, (_, id) => ({ user_id: 'u1', item_id: id })),
    })
    expect(status).toBe(200)
    expect(json.predictions).toHaveLength(500)
    expect(JSON.parse(json.predictions[7].outputs.seen)).toEqual({ spend: 42.5, price: 3.5 })
    expect(server.reads.length).toBe(before + 1)
    expect(server.reads.at(-1)!.map(({ keys }) => keys.length)).toEqual([1, 500])
  })

  it('come over the Open Inference Protocol as key tensors and parameters', async () => {
    const { status, json } = await post('/v2/models/rank/infer', {
      parameters: { 'entity.user_id': 'u1' },
      inputs: [{ name: 'item_id', datatype: 'INT64', shape: [3], data: [0, 4, 999] }],
    })
    expect(status).toBe(200)
    const [first] = json.outputs
    expect(first.data.map((text: string) => JSON.parse(text).price)).toEqual([0, 2, 'NaN'])
    expect(json.parameters.headrace_flags).toBe('features-default')
    const whole = await post('/v2/models/user/infer', {
      inputs: [],
      parameters: { 'entity.user_id': 'u1' },
    })
    expect(JSON.parse(whole.json.outputs[0].data[0])).toEqual({ spend: 42.5, country: 'DE', orders: 7 })
    const records = (await server.logged()).filter(({ kind }) => kind === 'prediction') as StoredPrediction[]
    const ranked = records.findLast(({ endpoint, rows }) => endpoint === 'rank' && rows === 3)!
    expect(ranked.payload!.served!.keys).toEqual({ user_id: { value: 'u1' }, item_id: { values: [0, 4, 999] } })
    expect(feature(ranked, 'price')).toMatchObject({ values: [0, 2, null], sources: ['online', 'online', 'default'] })
  })

  it('come over KServe v1 with keys among the columns', async () => {
    const { json } = await post('/v1/models/rank:predict', {
      instances: [
        { user_id: 'u1', item_id: 2 },
        { user_id: 'u2', item_id: 3, spend: 9 },
      ],
    })
    expect(json.predictions.map((row: { seen: string }) => JSON.parse(row.seen))).toEqual([
      { spend: 42.5, price: 1 },
      { spend: 9, price: 1.5 },
    ])
    const columns = await post('/v1/models/rank:predict', { inputs: { user_id: ['u1'], item_id: [4] } })
    expect(JSON.parse(columns.json.outputs.seen[0])).toEqual({ spend: 42.5, price: 2 })
  })

  it('are parsed by a worker when they are many bytes', async () => {
    const { status, json } = await predict('rank', {
      entities: Array.from({ length: 6000 }, (_, id) => ({ user_id: 'u1', item_id: id % 500 })),
    })
    expect(status).toBe(200)
    expect(json.predictions).toHaveLength(6000)
  }, 30_000)

  it('as whole tensors need no keys', async () => {
    const before = server.reads.length
    const { status, json } = await post('/v2/models/matrix/infer', {
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }],
    })
    expect(status).toBe(200)
    expect(JSON.parse(json.outputs[0].data[0]).x).toEqual([1, 2])
    expect(server.reads.length).toBe(before)
  })
})

describe('the last known answer of an endpoint with features', () => {
  it('is kept by the keys that were sent, whatever the features were', async () => {
    await server.put('user_spend', { user_id: 'grows' }, [1, 'DE', 7], 5000)
    const well = await predict('remembered', { entities: { user_id: 'grows' } })
    expect([seen(well.json), well.json.flags]).toEqual([{ orders: 7 }, []])
    // No INT32 holds it.
    await server.put('user_spend', { user_id: 'grows' }, [1, 'DE', 2 ** 40])
    await server.put('user_spend', { user_id: 'other' }, [1, 'DE', 2 ** 40])
    const after = await predict('remembered', { entities: { user_id: 'grows' } })
    expect([after.status, seen(after.json), after.json.flags]).toEqual([200, { orders: 7 }, ['stale', 'fallback']])
    const other = await predict('remembered', { entities: { user_id: 'other' } })
    expect(other.status).toBeGreaterThanOrEqual(500)
  })
})

describe('a route of several versions', () => {
  it('reads the union once, and a shadow that lacks a key is its own misfit', async () => {
    const before = server.reads.length
    const { json } = await predict('shadowed', { entities: { user_id: 'u1' } })
    expect(seen(json)).toEqual({ spend: 42.5, country: 'DE', orders: 7 })
    expect(json.flags).toEqual([])
    expect(server.reads.length).toBe(before + 1)
    const both = await predict('shadowed', { entities: { user_id: 'u1', item_id: 6 } })
    expect(both.status).toBe(200)
    // Shadows are logged when they are done, which is after the answer.
    const lateOf = async (id: string) =>
      (await server.logged()).find((record) => record.kind === 'call' && record.prediction === id)
    await expect.poll(() => lateOf(json.id)).toMatchObject({ call: { status: 'PATH_VERSION_UNFIT', role: 'shadow' } })
    await expect.poll(() => lateOf(both.json.id)).toMatchObject({ call: { status: 'ok', role: 'shadow' } })
    expect(JSON.stringify(await lateOf(both.json.id))).toContain('\\"price\\":3')
  })

  it('gives each version of a cascade its own service', async () => {
    const { json } = await predict('escalating', { entities: { user_id: 'u1', item_id: 8 } })
    expect(json.model).toBe('rank')
    expect(seen(json)).toEqual({ spend: 42.5, price: 4 })
    expect((await loggedOf(json.id)).payload!.served!.services).toEqual(['ranking', 'users'])
  })

  it('leaves a version without a service what the request brings', async () => {
    const bodies = await Promise.all(
      Array.from({ length: 24 }, (_, i) =>
        post('/api/v1/predict/half', { unit: `unit-${i}`, entities: { user_id: 'u1' }, inputs: { spend: 1 } }),
      ),
    )
    const byModel = new Map(bodies.map(({ json }) => [json.model, seen(json)]))
    expect(byModel.get('user')).toEqual({ spend: 1, country: 'DE', orders: 7 })
    expect(byModel.get('plain')).toEqual({ spend: 1 })
  })

  it('serves a pinned version by its own service, and one without by the request alone', async () => {
    const pinned = await post('/v2/models/user/versions/1/infer', {
      inputs: [],
      parameters: { 'entity.user_id': 'u1' },
    })
    expect(JSON.parse(pinned.json.outputs[0].data[0]).orders).toBe(7)
    expect(pinned.json.parameters.headrace_flags).toBe('pinned')
    const plain = await post('/v2/models/plain/versions/1/infer', {
      inputs: [{ name: 'spend', datatype: 'FP32', shape: [1], data: [5] }],
    })
    expect(JSON.parse(plain.json.outputs[0].data[0])).toEqual({ spend: 5 })
  })
})

describe('the cache', () => {
  it.each(['byTensors', 'byRequest'])(
    'of %s gives an answer again only while the features are the same',
    async (endpoint) => {
      const key = `cache-${endpoint}`
      await server.put('user_spend', { user_id: key }, [1, 'A', 1], 3000)
      const ask = () => predict(endpoint, { entities: { user_id: key } })
      expect((await ask()).json.flags).toEqual([])
      expect((await ask()).json.flags).toEqual(['cached'])
      await server.put('user_spend', { user_id: key }, [2, 'A', 1], 1000)
      const changed = await ask()
      expect(changed.json.flags).toEqual([])
      expect(seen(changed.json).spend).toBe(2)
    },
  )
})
