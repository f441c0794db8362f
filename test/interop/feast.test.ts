// Feast's client against `headrace serve`: its FeatureStore with a remote online store, as Feast's documentation configures it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CliServer, LONG, startServe } from '../cli/support.js'
import { casesOf } from './python.js'
import { commandPath } from './server.js'

const DAY_MS = 86_400_000

const DEFINITIONS = `
import { column, count, defineEntity, defineFeatureService, defineFeatureView, fileSource, lastK, pushSource, select } from 'headrace'

const driver = defineEntity('driver', { keys: { driver_id: 'int64' } })
const user = defineEntity('user', { keys: { user_id: 'string' } })
const merchant = defineEntity('merchant', { keys: { merchant_id: 'int64' } })

export const stats = defineFeatureView('driver_stats', {
  entities: [driver],
  source: fileSource('driver_stats_file', { path: 'data/stats.json', eventTime: 'event_timestamp' }),
  ttl: '1d',
  features: {
    conv_rate: column('float64'), trips: column('int64', { default: 5 }), city: column('string'), is_active: column('bool'),
    seen_at: column('timestamp'), scores: column('float64[]'), badges: column('string[]'), routes: column('int64[]'),
  },
})
export const live = defineFeatureView('driver_live', {
  entities: [driver],
  stream: pushSource('driver_push', {
    columns: { driver_id: 'int64', speed: 'float64', trips: 'int64', parked_at: 'timestamp' },
  }),
  ttl: '1d',
  features: { speed: column('float64'), trips: column('int64'), parked_at: column('timestamp') },
})
export const pairs = defineFeatureView('pair_stats', {
  entities: [user, merchant],
  source: fileSource('pairs_file', { path: 'data/pairs.json', eventTime: 'event_timestamp' }),
  features: { orders: column('int64') },
})
export const clicks = defineFeatureView('user_clicks', {
  entities: [user],
  stream: pushSource('clicks', {
    columns: { user_id: 'string', page: 'string' }, eventId: 'click_id',
  }),
  features: { clicks_1h: count({ over: '1h' }), last_pages: lastK('page', 'string', 3, { over: '1h' }) },
})
export const drivers = defineFeatureService('drivers', [select(stats, 'conv_rate', 'trips'), select(live, 'speed')])
`

let folder: string
let server: CliServer

const python = () => {
  const command = commandPath('feast')
  return command && join(dirname(command), 'python3')
}

const saw = casesOf({
  file: 'feast_client.py',
  python,
  modules: ['feast', 'ml_dtypes'],
  args: async () => {
    const repo = join(folder, 'feast')
    mkdirSync(repo)
    return [server.url, repo]
  },
})

const NOW_MS = Date.now()
const iso = (ageMs: number) => new Date(NOW_MS - ageMs).toISOString()

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'headrace-feast-'))
  mkdirSync(join(folder, 'features'))
  mkdirSync(join(folder, 'data'))
  mkdirSync(join(folder, 'models'))
  writeFileSync(join(folder, 'features/definitions.ts'), DEFINITIONS)
  writeFileSync(
    join(folder, 'headrace.config.ts'),
    "export default { name: 'drivers', features: { isScheduled: false } }\n",
  )
  const row = {
    ...{ driver_id: 1001, event_timestamp: iso(3_600_000), conv_rate: 0.25, trips: 12, city: 'Köln', is_active: true },
    ...{ seen_at: '2026-11-20T08:00:00Z', scores: [1, 0.5], badges: ['a', 'b'], routes: [1, 2] },
  }
  const stats = [
    row,
    { ...row, driver_id: 1002, conv_rate: 3, trips: 0, is_active: false, scores: [2], badges: [], routes: [] },
    { ...row, driver_id: 1003, event_timestamp: iso(2 * DAY_MS) },
    { ...row, driver_id: 1004, city: null },
  ]
  // JSON.stringify writes no integer of this size.
  const large = JSON.stringify({ ...row, driver_id: 0, trips: 99 }).replace(
    '"driver_id":0',
    `"driver_id":${2n ** 60n + 1n}`,
  )
  writeFileSync(join(folder, 'data/stats.json'), [...stats.map((each) => JSON.stringify(each)), large].join('\n'))
  writeFileSync(
    join(folder, 'data/pairs.json'),
    JSON.stringify({ user_id: 'u|1', merchant_id: 7, event_timestamp: iso(DAY_MS), orders: 3 }),
  )
  server = await startServe(folder, '--grpc-port', '0', '--log-level', 'error')
  const filled = await fetch(`${server.url}/feast/materialize-incremental`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ end_ts: new Date().toISOString() }),
  })
  if (!filled.ok) throw new Error(await filled.text())
}, LONG.timeout)

afterAll(async () => {
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** A store may have let go of the row already. */
const TOO_OLD: unknown = expect.stringMatching(/^(OUTSIDE_MAX_AGE|NOT_FOUND)$/)

describe("Feast's FeatureStore with a remote online store", LONG, () => {
  it('reads features of every type', async ({ skip }) => {
    const seenAt = Date.parse('2026-11-20T08:00:00Z') / 1000
    expect(await saw('features', skip)).toEqual({
      values: {
        driver_id: [1001, 1002],
        conv_rate: [0.25, 3],
        trips: [12, 0],
        city: ['Köln', 'Köln'],
        is_active: [true, false],
        seen_at: [seenAt, seenAt],
        scores: [[1, 0.5], [2]],
        // The client cannot read an empty list.
        badges: [['a', 'b'], null],
        routes: [[1, 2], null],
      },
      kinds: {
        ...{ driver_id: 'int', conv_rate: 'float', trips: 'int', city: 'str', is_active: 'bool', seen_at: 'int' },
        ...{ scores: 'list', badges: 'list', routes: 'list' },
      },
    })
  })

  it('is told what is present, null, past its time to live, and not there', async ({ skip }) => {
    expect(await saw('statuses', skip)).toEqual({
      values: { driver_id: [1001, 1003, 1004, 999], trips: [12, null, 12, null], city: ['Köln', null, null, null] },
      statuses: {
        driver_id: ['PRESENT', 'PRESENT', 'PRESENT', 'PRESENT'],
        trips: ['PRESENT', TOO_OLD, 'PRESENT', 'NOT_FOUND'],
        city: ['PRESENT', TOO_OLD, 'NULL_VALUE', 'NOT_FOUND'],
      },
    })
  })

  it('reads a feature service, under short and full names', async ({ skip }) => {
    const values = { driver_id: [1001] }
    expect(await saw('feature service', skip)).toEqual({
      short: { ...values, conv_rate: [0.25], trips: [12], speed: [null] },
      full: { ...values, driver_stats__conv_rate: [0.25], driver_stats__trips: [12], driver_live__speed: [null] },
    })
  })

  it('finds rows by several keys, and by integers that no float holds', async ({ skip }) => {
    expect(await saw('composite keys', skip)).toEqual({
      ...{ user_id: ['u|1', 'u|1'], merchant_id: [7, 8], orders: [3, null] },
    })
    expect(await saw('large ids', skip)).toMatchObject({ trips: [99, null] })
  })

  it('tells features of one name apart', async ({ skip }) => {
    expect(await saw('names that clash', skip)).toEqual({
      short: ['FeatureNameCollisionError', expect.stringContaining('full_feature_names')],
      full: { driver_id: [1001], driver_stats__trips: [12], driver_live__trips: [null] },
    })
  })

  it('writes rows, of which the newest stays and an old one is past its time to live', async ({ skip }) => {
    expect(await saw('writes', skip)).toEqual({ seen: [50, 50, 60], expired: null, parked: true })
  })

  it('pushes to the views of a push source', async ({ skip }) => {
    expect(await saw('push', skip)).toEqual({ speed: [1.5, 2], kind: 'float' })
  })

  it('reads through the online store of its provider', async ({ skip }) => {
    expect(await saw('online read', skip)).toEqual({
      at: new Date(NOW_MS - 3_600_000).getUTCFullYear(),
      trips: 12,
      city: 'Köln',
    })
  })

  it('raises errors of its own classes that say what to do', async ({ skip }) => {
    expect(await saw('refusals', skip)).toEqual({
      view: ['FeatureViewNotFoundException', expect.stringContaining('Known: ')],
      feature: ['SpecifiedFeaturesNotPresentError', expect.stringContaining('trips')],
      'key name': ['EntityNotFoundException', expect.stringContaining('Did you mean "driver_id"')],
      'key type': ['FeastError', expect.stringContaining('FEATURE_KEY_TYPE')],
      'key null': ['FeastError', expect.stringContaining('FEATURE_KEY_MISSING')],
      'key missing': ['FeastError', expect.stringContaining('merchant_id')],
      aggregation: ['FeastError', expect.stringContaining('FEATURE_VIEW_NOT_WRITABLE')],
    })
  })
})

describe("Feast's HTTP API", LONG, () => {
  it('takes events, each once, and counts them', async ({ skip }) => {
    expect(await saw('events over http', skip)).toEqual({
      push: [200, 2, 1],
      read: { user_id: ['u9', 'nobody'], clicks_1h: [2, null], last_pages: [['cart', 'home'], null] },
      'unknown source': 404,
      'unknown target': 422,
      'unequal columns': 422,
    })
  })

  it('materialises views', async ({ skip }) => {
    expect(await saw('materialise', skip)).toEqual({
      incremental: [200, null],
      full: [200, null],
      all: [200, null],
      later: [202, { status: 'accepted', feature_views: ['pair_stats'] }],
      backwards: 422,
      'unknown view': 404,
      'no time': 422,
      'still there': [12],
    })
  })

  it('says that it is well', async ({ skip }) => {
    expect(await saw('health', skip)).toBe(200)
  })

  it('refuses what is no request, as a JSON string that holds JSON', async ({ skip }) => {
    expect(await saw('bad bodies', skip)).toEqual({
      'no entities': 422,
      'no row': 422,
      'no feature': 422,
      'no reference': 422,
      'a list': 422,
      'no JSON': 400,
      shape: '{',
    })
  })
})
