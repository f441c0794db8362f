import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rowsFromLog, servedFromLog } from '../../src/app/features/served-from-log.js'
import {
  column,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  defineOnDemandView,
  pushSource,
  type ServedVector,
} from '../../src/features/index.js'
import { writeServedTrainingSet } from '../../src/features/offline/served-training-set.js'
import { version } from '../../src/route/index.js'
import { type FeatureServer, startFeatureServer } from '../support/feature-server.js'
import { call } from '../support/http.js'

const user = defineEntity('user', { keys: { user_id: 'string' } })
const source = pushSource('events', {
  columns: { spend: 'float64', big: 'int64', taste: 'float32[2]', last: 'string[]', user_id: 'string' },
})
const view = defineFeatureView('user_view', {
  entities: [user],
  stream: source,
  features: {
    spend: column('float64'),
    big: column('int64'),
    taste: column('float32[2]'),
    last: column('string[]'),
  },
})
const twice = defineOnDemandView('twice', {
  views: [view],
  request: { amount: 'float64' },
  features: { double: { type: 'float64' } },
  transform: ({ request }) => ({ double: (request.amount ?? 0) * 2 }),
})
const service = defineFeatureService('all', [view, twice])

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: FeatureServer

beforeAll(async () => {
  server = await startFeatureServer({
    folder,
    definitions: [service],
    versions: {
      'pay/1': {
        inputs: {
          amount: 'FP32',
          spend: 'FP64',
          big: 'INT64',
          taste: { datatype: 'FP32', shape: [-1, 2] },
          last: { datatype: 'BYTES', shape: [-1, 3] },
        },
        manifest: { featureService: 'all' },
      },
    },
    config: {
      endpoints: { secret: { route: version('pay', 1), log: { redact: ['spend', 'user_id'] } } },
    },
  })
  await server.put('user_view', { user_id: 'u1' }, [
    Number.POSITIVE_INFINITY,
    2n ** 60n,
    new Float32Array([0.5, 1]),
    ['a', 'b'],
  ])
}, 60_000)
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const predict = (endpoint: string, body: unknown) => call(`${server.url}/api/v1/predict/${endpoint}`, 'POST', body)

async function vectors(): Promise<ServedVector[]> {
  await server.app.log.flush()
  const found: ServedVector[] = []
  const range = { service: 'all', fromMs: 0, toMs: Date.now() + 1000 }
  for await (const vector of servedFromLog(server.app.log.folder, range)) found.push(vector)
  return found
}

describe('what the log keeps of served features', () => {
  it('comes back as it was, whole numbers beyond 2^53, infinities, vectors and lists included', async () => {
    const { status, json } = await predict('pay', { entities: { user_id: 'u1' }, inputs: { amount: 4 } })
    expect(status).toBe(200)
    const vector = (await vectors()).find(({ predictionId }) => predictionId === json.id)!
    expect(vector).toMatchObject({
      service: 'all',
      keys: { user_id: 'u1' },
      values: {
        spend: Number.POSITIVE_INFINITY,
        big: 2n ** 60n,
        taste: new Float32Array([0.5, 1]),
        last: ['a', 'b'],
        double: 8,
      },
      sources: { spend: 'online', double: 'on-demand' },
      gaps: {},
      request: { amount: 4 },
    })
    expect(vector.agesMs['spend']).toBeGreaterThanOrEqual(1000)
  })

  it('has 64-bit integers exactly where predictions are explained, queried and followed, however they were sent', async () => {
    const big = '9007199254740993'
    const requests = {
      'v2/models/pay/infer': `{"parameters":{"entity.user_id":"u1"},"inputs":[{"name":"big","datatype":"INT64","shape":[1],"data":[${big}]},
        {"name":"amount","datatype":"FP32","shape":[1],"data":[2]}]}`,
      'api/v1/predict/pay': `{"entities":{"user_id":"u1"},"inputs":{"amount":2,"big":${big}}}`,
    }
    for (const [path, body] of Object.entries(requests)) {
      const headers = { 'Content-Type': 'application/json' }
      const response = await fetch(`${server.url}/${path}`, { method: 'POST', headers, body })
      expect([path, response.status]).toEqual([path, 200])
      const id = response.headers.get('headrace-prediction-id')!
      const { json } = await call(`${server.url}/api/v1/predictions/${id}`, 'GET')
      const inputs = json.prediction.payload.inputs as { name: string; data: unknown[] }[]
      const at = inputs.findIndex(({ name }) => name === 'big')
      expect(inputs[at]!.data).toEqual([big])
      const sql = `SELECT CAST(payload->>'$.inputs[${at}].data[0]' AS BIGINT) FROM predictions WHERE id = '${id}'`
      expect((await call(`${server.url}/api/v1/log/query`, 'POST', { sql })).json.rows).toEqual([[big]])
      const tail = await fetch(`${server.url}/api/v1/log/tail?from=${json.prediction.seq}&limit=1`)
      expect(JSON.parse(await tail.text()).payload.inputs[at].data).toEqual([big])
    }
  })

  it('has no value of a name that may not be kept', async () => {
    const { json } = await predict('secret', { entities: { user_id: 'u1' }, inputs: { amount: 4 } })
    const vector = (await vectors()).find(({ predictionId }) => predictionId === json.id)!
    expect(vector.keys).toEqual({})
    expect(vector.values).not.toHaveProperty('spend')
    const record = (await server.logged()).find((one) => 'id' in one && one.id === json.id)
    expect(JSON.stringify(record)).not.toContain('u1')
    expect(JSON.stringify(record)).not.toContain('Infinity')
  })

  it('becomes a training set with the outcomes that joined', async () => {
    const first = await predict('pay', { entities: { user_id: 'u1' }, inputs: { amount: 1 } })
    const two = await call(`${server.url}/v2/models/pay/infer`, 'POST', {
      parameters: { 'entity.user_id': 'u1' },
      inputs: [{ name: 'amount', datatype: 'FP32', shape: [2], data: [2, 3] }],
    })
    expect(two.status).toBe(200)
    // Refused, so that no model was given anything.
    expect((await predict('pay', { entities: { user_id: 'u1' } })).status).toBe(422)
    const { log } = server.app
    const outcome = (prediction: string, value: boolean, knownMs: number) =>
      log.append({
        kind: 'outcome',
        id: `o${prediction}${knownMs}`,
        timeMs: knownMs,
        prediction,
        endpoint: 'pay',
        tenant: 'default',
        name: 'is_fraud',
        value,
        happenedMs: knownMs,
        knownMs,
      })
    const secondId = (await vectors()).findLast(({ predictionId }) => predictionId.endsWith('#1'))!.predictionId
    outcome(first.json.id, true, 2000)
    outcome(first.json.id, false, 1000)
    outcome(secondId, true, 1000)
    await log.flush()
    const out = join(folder, 'train.parquet')
    const report = await writeServedTrainingSet({
      service: server.featureProject.services.get('all')!,
      rows: rowsFromLog(log.folder, { service: 'all', fromMs: 0, toMs: Date.now() + 1000, outcome: 'is_fraud' }),
      out,
      tempFolder: join(folder, 'work'),
      memoryLimitBytes: 2 ** 28,
      threads: 1,
    })
    expect(report.outcomes).toEqual({ is_fraud: 2 })
    const { DuckDBInstance } = await import('@duckdb/node-api')
    const connection = await (await DuckDBInstance.create(':memory:')).connect()
    const rows = (
      await connection.runAndReadAll(`SELECT * FROM '${out}' ORDER BY event_timestamp, prediction_id`)
    ).getRowObjectsJson()
    connection.closeSync()
    expect(rows).toHaveLength(report.rows)
    expect(rows.every((row) => row['model'] === 'pay')).toBe(true)
    expect(rows.find((row) => row['prediction_id'] === first.json.id)).toMatchObject({
      user_id: 'u1',
      model: 'pay',
      version: 1,
      double: 2,
      big: String(2n ** 60n),
      taste: [0.5, 1],
      last: ['a', 'b'],
      'input.amount': 1,
      is_fraud: 1,
    })
    expect(rows.find((row) => row['prediction_id'] === secondId)).toMatchObject({ double: 6, is_fraud: 1 })
    expect(rows.filter((row) => row['is_fraud'] === null)).toHaveLength(report.rows - 2)
  })
})
