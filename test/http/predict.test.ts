import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call, type Reply } from '../support/http.js'
import { inferInputs, PARITY_NAMES, PAYMENT, parity, SESSION } from '../support/shop.js'
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
const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Reply> =>
  call(server.url + path, 'POST', body, { headers })

async function inferBody(model: string, rows: Parameters<typeof inferInputs>[0]): Promise<{ inputs: object[] }> {
  return { inputs: inferInputs(rows, (await get(`/v2/models/${model}`)).json.inputs) }
}

function expectClose(arrived: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(arrived).toHaveLength(expected.length)
  for (const [i, value] of expected.entries()) expect(Math.abs(arrived[i]! - value)).toBeLessThanOrEqual(tolerance)
}

describe.each(PARITY_NAMES)('%s answers as the library that trained it', (name) => {
  const { model, version, rows, label, probabilities, tolerance } = parity(name)

  it('over the Open Inference Protocol', async () => {
    const { status, json } = await post(`/v2/models/${model}/versions/${version}/infer`, await inferBody(model, rows))
    expect(status).toBe(200)
    expect(json).toMatchObject({ model_name: model, model_version: String(version) })
    const [labels, probability] = json.outputs
    expect(labels.data).toEqual(label)
    expect(labels.shape[0]).toBe(rows.length)
    expectClose(probability.data, probabilities.flat(), tolerance)
  })

  it('over KServe v1', async () => {
    const { status, json } = await post(`/v1/models/${model}/versions/${version}:predict`, { instances: rows })
    expect(status).toBe(200)
    expect(json.predictions).toHaveLength(rows.length)
    const values = json.predictions.map((row: Record<string, unknown>) => Object.values(row))
    expect(values.map(([first]: [number]) => first)).toEqual(label)
    expectClose(
      values.flatMap(([, second]: [number, number[]]) => second),
      probabilities.flat(),
      tolerance,
    )
  })

  it('over the native call', async () => {
    // The native call follows the route, so the version has to be what the route says.
    await call(`${server.url}/api/v1/endpoints/pinned/route`, 'PUT', { model, version })
    const { status, json } = await post('/api/v1/predict/pinned', { inputs: rows })
    expect(status).toBe(200)
    expect(json.predictions).toHaveLength(rows.length)
    for (const [i, prediction] of json.predictions.entries()) {
      expect(prediction).toMatchObject({ model, version, flags: [] })
      const byClass = prediction.outputs.probabilities as Record<string, number>
      expect(prediction.outputs.label).toBe(Object.keys(byClass)[label[i]!])
      expectClose(Object.values(byClass), probabilities[i]!, tolerance)
    }
  })
})

describe('an infer request', () => {
  it('is answered by the newest version when it names none, with its id echoed and its outputs in the order asked for', async () => {
    const { outputs: all } = (await get('/v2/models/fraud')).json
    const wanted = [all[1].name, all[0].name]
    const { status, json, headers } = await post('/v2/models/fraud/infer?trace=1', {
      ...(await inferBody('fraud', [PAYMENT])),
      id: 'order-7',
      outputs: wanted.map((name) => ({ name })),
    })
    expect(status).toBe(200)
    expect(json).toMatchObject({ model_name: 'fraud', model_version: '2', id: 'order-7' })
    expect(json.outputs.map(({ name }: { name: string }) => name)).toEqual(wanted)
    expect(headers.get('content-type')).toBe('application/json')
    expect(headers.get('headrace-prediction-id')).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('takes its data nested or flat', async () => {
    const values = Object.values(SESSION)
    const input = { name: 'features', datatype: 'FP32', shape: [2, 10] }
    const flat = await post('/v2/models/purchase-intent/infer', {
      inputs: [{ ...input, data: [...values, ...values] }],
    })
    const nested = await post('/v2/models/purchase-intent/infer', { inputs: [{ ...input, data: [values, values] }] })
    expect(flat.status).toBe(200)
    expect(nested.json.outputs).toEqual(flat.json.outputs)
  })

  it('of a client that sends no content type is read as JSON', async () => {
    const body = new TextEncoder().encode(JSON.stringify(await inferBody('fraud', [PAYMENT])))
    expect((await post('/v2/models/fraud/infer', body)).status).toBe(200)
  })

  it('of a megabyte is parsed beside the event loop and answered in full', async () => {
    const rows = Array.from({ length: 20_000 }, () => SESSION)
    const { status, json } = await post('/v2/models/purchase-intent/infer', await inferBody('purchase-intent', rows))
    expect(status).toBe(200)
    expect(json.outputs[0].shape[0]).toBe(20_000)
    expect(new Set(json.outputs[0].data).size).toBe(1)
  })
})

describe('a prediction that fails', () => {
  it('has an id, by which the log tells why', async () => {
    const { status, json, headers } = await post('/v2/models/purchase-intent/infer', {
      inputs: [{ name: 'features', datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] }],
    })
    expect([status, json.code]).toEqual([400, 'TENSOR_SHAPE_MISMATCH'])
    const explained = (await get(`/api/v1/predictions/${headers.get('headrace-prediction-id')}`)).json
    expect(explained.prediction).toMatchObject({ error: 'TENSOR_SHAPE_MISMATCH', calls: [] })
    expect(explained.steps.at(-1)).toMatch(/^Refused with TENSOR_SHAPE_MISMATCH after /)
  })

  it('because its own time limit passed is 504', async () => {
    const body = { ...(await inferBody('fraud', [PAYMENT])), parameters: { timeout: 1 } }
    const { status, json } = await post('/v2/models/fraud/infer', body)
    expect([status, json.code]).toEqual([504, 'SERVING_DEADLINE_EXCEEDED'])
  })
})

describe('the native call', () => {
  it('answers one row with one prediction and a list with a list', async () => {
    const one = await post('/api/v1/predict/fraud', { inputs: PAYMENT })
    expect(one.status).toBe(200)
    expect(one.json).toMatchObject({ endpoint: 'fraud', model: 'fraud', version: 2, flags: [] })
    expect(one.json.id).toBe(one.headers.get('headrace-prediction-id'))
    expect(one.json.timings.total).toBeGreaterThan(0)
    const list = await post('/api/v1/predict/fraud', { inputs: [PAYMENT, PAYMENT, PAYMENT] })
    expect(list.json.predictions.map(({ outputs }: { outputs: unknown }) => outputs)).toEqual(
      Array.from({ length: 3 }, () => one.json.outputs),
    )
    expect(new Set(list.json.predictions.map(({ id }: { id: string }) => id)).size).toBe(3)
  })

  it('keeps the caller’s unit and pinned version in the log, found by the prediction id', async () => {
    const { headers } = await post(
      '/v2/models/fraud/versions/1/infer',
      { ...(await inferBody('fraud', [PAYMENT])) },
      { 'headrace-unit': 'user-7', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
    )
    const id = headers.get('headrace-prediction-id')!
    const { status, json } = await get(`/api/v1/predictions/${id}`)
    expect(status).toBe(200)
    expect(json.prediction).toMatchObject({
      id,
      endpoint: 'fraud',
      unit: 'user-7',
      rows: 1,
      protocol: 'oip',
      flags: ['pinned'],
      traceId: '0af7651916cd43dd8448eb211c80319c',
      error: null,
    })
    expect(json.prediction.calls).toMatchObject([{ leaf: 'fraud/1', role: 'primary', status: 'ok' }])
    expect(json.prediction.payload.inputs).toHaveLength(10)
    expect(json.endpoint).toMatchObject({ name: 'fraud', origin: 'implicit' })
    expect(json.versions).toMatchObject([{ model: 'fraud', version: 1, state: 'ready' }])
    expect(json.steps.join('\n')).toContain('for unit "user-7"')
    expect(json.steps.join('\n')).toContain('Primary call of version 1 of fraud took')
  })

  it('records each row as a prediction of its own with its own unit', async () => {
    const { json } = await post('/api/v1/predict/fraud', { inputs: [PAYMENT, PAYMENT], unit: 'session-1' })
    for (const { id } of json.predictions) {
      const { json: explained } = await get(`/api/v1/predictions/${id}`)
      expect(explained.prediction).toMatchObject({ id, unit: 'session-1', rows: 1, protocol: 'native' })
    }
  })

  it('gives each of 64 callers at once their own answer', async () => {
    const { rows, probabilities, tolerance } = parity('fraud-2')
    const answers = await Promise.all(
      Array.from({ length: 64 }, async (_, i) => {
        const row = rows[i % rows.length]!
        return (await post('/api/v1/predict/fraud', { inputs: row })).json
      }),
    )
    for (const [i, { outputs }] of answers.entries())
      expectClose(Object.values(outputs.probabilities), probabilities[i % rows.length]!, tolerance)
    expect(new Set(answers.map(({ id }) => id)).size).toBe(64)
  })

  it('explains nothing for an id the log does not have', async () => {
    for (const id of ['019375a0-0000-7000-8000-000000000000', 'nothing', '%22']) {
      const { status, json } = await get(`/api/v1/predictions/${id}`)
      expect([status, json.code]).toEqual([404, 'APP_PREDICTION_NOT_FOUND'])
    }
  })
})

describe('more rows than a model’s queue holds', () => {
  it('are refused one by one, and the others are answered', async () => {
    const version = join(server.modelsFolder, 'narrow/1')
    cpSync(join(server.modelsFolder, 'fraud/2'), version, { recursive: true })
    const manifest = JSON.parse(readFileSync(join(version, 'model.json'), 'utf8'))
    writeFileSync(join(version, 'model.json'), JSON.stringify({ ...manifest, batching: { maxQueueRows: 8 } }))
    while ((await get('/v2/models/narrow/ready')).status !== 200)
      await new Promise((resolve) => setTimeout(resolve, 50))

    // All rows of a native call arrive at the queue together.
    const list = await post('/api/v1/predict/narrow', { inputs: Array.from({ length: 64 }, () => PAYMENT) })
    expect(list.status).toBe(200)
    const errors = list.json.predictions.map(({ error }: { error?: { code: string } }) => error?.code ?? 'none')
    expect(new Set(errors)).toEqual(new Set(['none', 'SERVING_QUEUE_FULL']))

    const body = await inferBody('narrow', [PAYMENT, PAYMENT, PAYMENT, PAYMENT])
    const replies = await Promise.all(Array.from({ length: 64 }, () => post('/v2/models/narrow/infer', body)))
    for (const { status, json, headers } of replies) {
      if (status === 200) continue
      expect([status, json.code]).toEqual([429, 'SERVING_QUEUE_FULL'])
      expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    }
    expect((await post('/v2/models/narrow/infer', body)).status).toBe(200)
  })
})
