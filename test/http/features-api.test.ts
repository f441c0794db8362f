import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call } from '../support/http.js'
import { startTestServer, type TestServer } from '../support/start-server.js'

const DEFINITIONS = `
import { column, count, defineEntity, defineFeatureService, defineFeatureView, defineOnDemandView, fileSource, pushSource, sum } from 'headrace'
const user = defineEntity('user', { keys: { user_id: 'string' }, owner: 'risk' })
const orders = pushSource('orders', { columns: { user_id: 'string', amount: 'float64', big: 'int64' }, eventId: 'order_id' })
export const spend = defineFeatureView('spend', {
  entities: [user], stream: orders,
  features: { spend_1d: sum('amount', { over: '1d', default: 0 }), orders_1d: count({ over: '1d' }) },
})
const newest = defineFeatureView('newest', {
  entities: [user], stream: orders, features: { amount_last: column('float64', { from: 'amount', default: -1 }), big: column('int64') },
})
const countries = defineFeatureView('countries', {
  entities: [user],
  source: fileSource('profiles', { path: 'profiles.csv', eventTime: 'changed' }),
  features: { country: column('string', { default: '??' }) },
  expectations: [{ expect: 'oneOf', column: 'country', values: ['DE', 'FR'] }],
})
const ratio = defineOnDemandView('ratio', {
  views: [spend], request: { amount: 'float64' }, features: { ratio: { type: 'float64', default: 0.5 } },
  transform: ({ request, spend }) => ({ ratio: (request.amount ?? 0) / (spend.spend_1d || 1) }),
})
export default [defineFeatureService('fraud', [spend, ratio]), defineFeatureService('all', [spend, newest, countries])]
`

const folder = mkdtempSync(join(tmpdir(), 'headrace-test-'))
let server: TestServer

beforeAll(async () => {
  mkdirSync(join(folder, 'features'))
  writeFileSync(join(folder, 'headrace.config.mjs'), 'export default {}')
  writeFileSync(join(folder, 'features', 'features.ts'), DEFINITIONS)
  writeFileSync(
    join(folder, 'profiles.csv'),
    'user_id,country,changed\nu1,DE,2026-01-01T00:00:00Z\nu2,FR,2026-01-01T00:00:00Z\nu3,XX,2026-01-01T00:00:00Z\n',
  )
  server = await startTestServer({ folder, models: [] })
  await materialised()
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

const get = (path: string) => call(`${server.url}/api/v1/features${path}`, 'GET')
const post = (path: string, body: unknown) => call(`${server.url}/api/v1/features${path}`, 'POST', body)
const online = async (body: unknown) => (await post('/online', body)).json
const feature = (answer: { features: { name: string }[] }, name: string) =>
  // biome-ignore lint/suspicious/noExplicitAny: whatever the server says of it
  answer.features.find((one) => one.name === name) as any

/** Every view has a table that requests read. */
async function materialised(): Promise<void> {
  for (;;) {
    const { views } = (await get('/status')).json
    if (views.every((view: { live: string | null }) => view.live !== null)) return
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function ended(started: { readonly status: number; readonly json: { readonly id: string } }) {
  expect(started.status).toBe(202)
  for (;;) {
    const { json } = await get(`/jobs/${started.json.id}`)
    if (json.state !== 'running') return json
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('the features API', () => {
  it('gives every definition with what its features mean', async () => {
    const { json } = await get('')
    expect(json.entities).toMatchObject([{ name: 'user', keys: [{ name: 'user_id', type: 'string' }], owner: 'risk' }])
    expect(json.sources.map(({ name }: { name: string }) => name).sort()).toEqual(['orders', 'profiles'])
    expect(json.views.find(({ name }: { name: string }) => name === 'spend')).toMatchObject({
      kind: 'windows',
      stream: 'orders',
      features: [{ name: 'spend_1d', meaning: 'sum(amount) over 1d', default: 0 }, { name: 'orders_1d' }],
    })
    expect(json.services.map(({ name }: { name: string }) => name)).toEqual(['fraud', 'all'])
  })

  it('counts pushed events, once each, and says what it did with them', async () => {
    const events = [
      { order_id: 'a', user_id: 'u1', amount: 10, big: '9007199254740993' },
      { order_id: 'b', user_id: 'u1', amount: 5 },
      { order_id: 'a', user_id: 'u1', amount: 10 },
      { order_id: 'c', user_id: 'u2', amount: 'ten' },
    ]
    const pushed = await post('/push', { source: 'orders', events })
    expect(pushed.json).toMatchObject({ accepted: 2, duplicates: 1, refused: 1 })
    expect(pushed.json.problems).toMatchObject([{ index: 3, code: 'FEATURE_VALUE_TYPE' }])
    const answer = await online({
      service: 'fraud',
      entities: [{ user_id: 'u1' }, { user_id: 'nobody' }],
      request: { amount: [30, 1] },
    })
    expect(answer).toMatchObject({ rows: 2, isDegraded: true })
    expect(feature(answer, 'spend_1d')).toMatchObject({
      type: 'float64',
      values: [15, 0],
      statuses: ['present', 'missing'],
      sources: ['online', 'default'],
    })
    expect(feature(answer, 'spend_1d').agesMs).toEqual([expect.any(Number), null])
    expect(feature(answer, 'ratio').values).toEqual([2, 1])
    const quarantine = (await get('/quarantine?of=orders')).json
    expect(quarantine.counts).toMatchObject([{ of: 'orders', rows: 1 }])
    expect(JSON.parse(quarantine.rows[0].row)).toMatchObject({ order_id: 'c' })
    expect((await call(`${server.url}/api/v1/features/quarantine?of=orders`, 'DELETE')).json).toEqual({ removed: 1 })
  })

  it('reads picked features by columns, and a single value for every row', async () => {
    const picked = await online({ features: ['newest:big', 'countries:country'], entities: { user_id: ['u1', 'u2'] } })
    expect(feature(picked, 'newest:big').values).toEqual(['9007199254740993', null])
    expect(feature(picked, 'countries:country').values).toEqual(['DE', 'FR'])
    const one = await online({ service: 'fraud', entities: { user_id: 'u1' }, request: { amount: [1, 2].length } })
    expect(one.rows).toBe(1)
  })

  it('keeps rows that break an expectation out, and counts them', async () => {
    const answer = await online({ features: ['countries:country'], entities: { user_id: ['u3'] } })
    expect(feature(answer, 'countries:country')).toMatchObject({ values: ['??'], statuses: ['missing'] })
    expect((await get('/quarantine?of=countries')).json.counts).toMatchObject([{ reason: 'oneOf country', rows: 1 }])
  })

  it.each<[string, unknown, number, string]>([
    ['an unknown service', { service: 'fruad', entities: [{ user_id: 'u1' }] }, 404, 'FEATURE_SERVICE_UNKNOWN'],
    [
      'an unknown feature',
      { features: ['spend:spend_2d'], entities: { user_id: 'u' } },
      404,
      'FEATURE_REFERENCE_UNKNOWN',
    ],
    [
      'an unknown key',
      { service: 'fraud', entities: { usr_id: 'u' }, request: { amount: 1 } },
      422,
      'FEATURE_KEY_UNKNOWN',
    ],
    ['a key of another type', { service: 'all', entities: { user_id: 5 } }, 422, 'FEATURE_KEY_TYPE'],
    ['no key at all', { service: 'all', entities: {} }, 422, 'FEATURE_KEY_MISSING'],
    ['no input', { service: 'fraud', entities: { user_id: 'u' } }, 422, 'FEATURE_REQUEST_MISSING'],
    [
      'an unknown input',
      { service: 'fraud', entities: { user_id: 'u' }, request: { amuont: 1 } },
      422,
      'FEATURE_INPUT_UNKNOWN',
    ],
    [
      'an input of another type',
      { service: 'fraud', entities: { user_id: 'u' }, request: { amount: 'x' } },
      422,
      'FEATURE_VALUE_TYPE',
    ],
    [
      'columns of two lengths',
      { service: 'all', entities: { user_id: ['a', 'b'], x: [1] } },
      422,
      'FEATURE_ROWS_INVALID',
    ],
    ['rows that are no objects', { service: 'all', entities: ['u1'] }, 400, 'HTTP_BODY_INVALID'],
    ['no rows', { service: 'all', entities: [] }, 422, 'FEATURE_ROWS_INVALID'],
    [
      'too many rows',
      { service: 'all', entities: { user_id: new Array(10_001).fill('u') } },
      413,
      'FEATURE_READ_TOO_LARGE',
    ],
    ['a service and features', { service: 'all', features: ['spend:spend_1d'] }, 400, 'HTTP_BODY_INVALID'],
    ['neither', { entities: { user_id: 'u' } }, 400, 'HTTP_BODY_INVALID'],
  ])('refuses %s', async (_, body, status, code) => {
    const refused = await post('/online', body)
    expect([refused.status, refused.json.code]).toEqual([status, code])
  })

  it('takes a prototype key for the name that it is', async () => {
    const body = '{"service":"all","entities":[{"__proto__":"x"}]}'
    const refused = await call(`${server.url}/api/v1/features/online`, 'POST', body, {
      headers: { 'content-type': 'application/json' },
    })
    expect([refused.status, refused.json.code]).toEqual([422, 'FEATURE_KEY_UNKNOWN'])
  })

  it('materialises as a job, and refuses what is not there', async () => {
    let job = await ended(await post('/materialise', { views: ['countries'], full: true }))
    // The one of the start is still being checked.
    while (job.error?.code === 'FEATURE_MATERIALISE_RUNNING')
      job = await ended(await post('/materialise', { views: ['countries'], full: true }))
    expect(job.error).toBeNull()
    expect(job).toMatchObject({
      kind: 'materialise',
      state: 'done',
      result: { views: [{ view: 'countries', mode: 'full', keys: 2 }] },
    })
    expect((await get('/status')).json.views.find(({ view }: { view: string }) => view === 'countries')).toMatchObject({
      lastMaterialised: { state: 'done', keys: 2 },
    })
    expect((await post('/materialise', { views: ['contries'] })).json.code).toBe('FEATURE_VIEW_UNKNOWN')
    expect((await get('/jobs/none')).json.code).toBe('FEATURE_JOB_UNKNOWN')
    expect((await get('/jobs')).json.jobs.length).toBeGreaterThan(0)
  })

  it('makes a training set as a job, with a proof', async () => {
    writeFileSync(
      join(folder, 'labels.csv'),
      `user_id,event_timestamp,label\nu1,${new Date().toISOString()},1\nu9,2026-01-02T00:00:00Z,0\n`,
    )
    const job = await ended(
      await post('/training-sets', { service: 'all', labels: 'labels.csv', out: 'train.csv', proofRows: 2 }),
    )
    expect(job.error).toBeNull()
    expect(job.result).toMatchObject({ rows: 2, proof: { rows: 2 } })
    const failed = await ended(await post('/training-sets', { service: 'all', labels: 'none.csv', out: 'train.csv' }))
    expect(failed).toMatchObject({ state: 'failed', error: { code: expect.stringMatching(/^FEATURE_/) } })
  })

  it('infers expectations and judges by those there are', async () => {
    const inferred = await ended(await post('/infer', { view: 'countries' }))
    expect(inferred.result.module).toContain('countriesExpectations')
    const checked = await ended(await post('/check', { view: 'countries' }))
    expect(checked.result).toMatchObject({ of: 'countries', passed: false, rows: 3 })
  })

  it('shows lineage around a name', async () => {
    const { nodes } = (await get('/lineage?name=ratio')).json
    expect(nodes.map(({ id }: { id: string }) => id)).toEqual(
      expect.arrayContaining(['source:orders', 'view:spend', 'on-demand:ratio', 'service:fraud']),
    )
    expect((await get('/lineage?name=rato')).json).toMatchObject({ code: 'FEATURE_NAME_UNKNOWN' })
  })

  it('compares what was served, of which there is nothing yet', async () => {
    const job = await ended(await post('/verify', { service: 'all' }))
    expect(job.result).toMatchObject({ service: 'all', vectors: 0, matchRate: 1 })
    expect((await get('/verify')).json.reports).toMatchObject([{ service: 'all' }])
  })
})
