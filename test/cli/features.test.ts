// `headrace features …` as a user runs it: on the data folder alone, and against a server that has it open.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CliServer, headrace, headraceJson, LONG, makeFolder, startServe } from './support.js'

const FEATURES = `
import { column, count, defineEntity, defineFeatureService, defineFeatureView, fileSource, pushSource, select, sum } from 'headrace'
const user = defineEntity('user', { keys: { user_id: 'string' }, owner: 'shop' })
const orders = pushSource('orders', {
  columns: { user_id: 'string', amount: 'float64' }, eventTime: 'ordered_at', eventId: 'order_id',
  expectations: [{ expect: 'range', column: 'amount', min: 0 }],
})
const history = fileSource('history', { path: 'data/orders.csv', eventTime: 'ordered_at', knownTime: 'loaded_at' })
export const spend = defineFeatureView('spend', {
  entities: [user], source: history, stream: orders, owner: 'payments',
  features: { spend_9000d: sum('amount', { over: '9000d', default: 0 }), orders_9000d: count({ over: '9000d' }) },
})
export const profile = defineFeatureView('profile', {
  entities: [user],
  source: fileSource('profiles', { path: 'data/profiles.csv', eventTime: 'changed_at' }),
  features: { country: column('string', { default: '??' }), taste: column('float32[2]') },
  expectations: [{ expect: 'oneOf', column: 'country', values: ['DE'] }],
})
export const fraud = defineFeatureService('fraud', [spend, select(profile, 'country')])
`

const MODEL = `
import { defineScript } from 'headrace'
export default defineScript({
  inputs: { spend_9000d: 'FP64', orders_9000d: 'INT64', country: 'BYTES' },
  outputs: { score: 'FP64' },
  row: ({ spend_9000d, country }) => ({ score: spend_9000d + (country === 'DE' ? 1000 : 0) }),
})
`

const FILES = {
  'headrace.config.mjs': 'export default { features: { verify: { every: undefined } } }',
  'features/shop.ts': FEATURES,
  'models/fraud/1/model.ts': MODEL,
  'models/fraud/1/model.json': '{"featureService": "fraud"}',
  'data/orders.csv':
    'order_id,user_id,amount,ordered_at,loaded_at\no1,u1,10,2026-01-01T00:00:00Z,2026-01-02T00:00:00Z\no2,u1,20,2026-01-03T00:00:00Z,2026-01-05T00:00:00Z\n',
  'data/profiles.csv': 'user_id,country,taste,changed_at\nu1,DE,"[1,2]",2026-01-01\nu2,FR,"[3,4]",2026-01-01\n',
  // The second order was loaded after the second label.
  'data/labels.csv':
    'user_id,event_timestamp,is_fraud\nu1,2026-01-02T12:00:00Z,0\nu1,2026-01-04T00:00:00Z,1\nu1,2026-01-06T00:00:00Z,1\nu9,2026-01-06T00:00:00Z,0\n',
}
const TRAINED = [
  'user_id,event_timestamp,is_fraud,spend_9000d,orders_9000d,country',
  'u1,2026-01-02T12:00:00Z,0,10.0,1,DE',
  'u1,2026-01-04T00:00:00Z,1,10.0,1,DE',
  'u1,2026-01-06T00:00:00Z,1,30.0,2,DE',
  'u9,2026-01-06T00:00:00Z,0,0.0,,??',
  '',
].join('\n')

const { folder, remove } = makeFolder()
for (const [name, content] of Object.entries(FILES)) {
  mkdirSync(dirname(join(folder, name)), { recursive: true })
  writeFileSync(join(folder, name), content)
}
afterAll(remove)

const features = (...args: string[]) => headrace(folder, 'features', ...args)
const json = <T>(...args: string[]) => headraceJson<T>(folder, 'features', ...args)
const trainingSet = ['training-set', '--service', 'fraud', '--entities', 'data/labels.csv']

describe('headrace features without a server', LONG, () => {
  it('lists and shows what is defined, and what flows into what', async () => {
    const [list, show, lineage, unknown] = [
      await features('list'),
      await features('show', 'spend'),
      await features('lineage', 'history'),
      await features('show', 'spent'),
    ]
    expect(list.stdout).toMatch(/spend:spend_9000d +float64 +user_id +sum\(amount\) over 9000d +payments/)
    expect(show.stdout).toMatch(/view spend\n(?:.*\n)*? {2}source: history\n {2}stream: orders/)
    expect(lineage.stdout.split('\n').map((line) => line.trim())).toEqual(
      expect.arrayContaining(['source history', 'view spend  (payments)', 'version fraud/1', 'endpoint fraud']),
    )
    expect(unknown).toMatchObject({ status: 3, stdout: '' })
    expect(unknown.stderr).toContain('FEATURE_NAME_UNKNOWN')
  })

  it('fills the store, and reads what it has', async () => {
    const done = await json<{ views: unknown[] }>('materialise')
    expect(done.views).toMatchObject([
      { view: 'spend', mode: 'full', keys: 1, quarantined: 0 },
      { view: 'profile', mode: 'full', keys: 1, quarantined: 1 },
    ])
    const { stdout } = await features('get', 'user_id=u1', '--service', 'fraud')
    expect(stdout).toMatch(/spend_9000d +30 .*\norders_9000d +2 .*\ncountry +DE /)
    const status = await json<{ views: unknown[]; alerts: { alert: string }[] }>('status')
    expect(status.views).toMatchObject([
      {
        view: 'spend',
        live: 'spend@1.1',
        freshnessMs: expect.any(Number),
        lastMaterialised: { state: 'done' },
      },
      { view: 'profile', live: 'profile@1.1', freshnessMs: expect.any(Number) },
    ])
  })

  it('makes a training set of what was known, with its proof', async () => {
    const { stdout, status } = await features(...trainingSet, '--out', 'data/train.csv', '--proof', '4')
    expect(status).toBe(0)
    expect(stdout).toContain('Proof: 12 values of 4 rows derived again by brute force, all the same.')
    expect(readFileSync(join(folder, 'data/train.csv'), 'utf8')).toBe(TRAINED)
  })
})

describe('headrace features with a server', LONG, () => {
  let server: CliServer
  beforeAll(async () => {
    server = await startServe(folder, '--log-level', 'error', '--no-grpc')
  }, LONG.timeout)
  afterAll(() => server.stop())

  it('takes events in, once each, and keeps out what breaks a rule', async () => {
    writeFileSync(
      join(folder, 'events.ndjson'),
      [
        '{"order_id":"p1","user_id":"u1","amount":7}',
        '{"order_id":"p1","user_id":"u1","amount":7}',
        // More than a server takes at once.
        `{"order_id":"p2","user_id":"u5","note":"${'x'.repeat(700_000)}"}`,
        `{"order_id":"p3","user_id":"u5","note":"${'x'.repeat(700_000)}"}`,
      ].join('\n'),
    )
    expect(await json('push', 'orders', '--file', 'events.ndjson')).toMatchObject({ accepted: 3, duplicates: 1 })
    const refused = await features(
      'push',
      'orders',
      '--event',
      '[{"user_id":"u1","amount":-1},{"user_id":"u1","amount":"1"}]',
    )
    expect(refused.stdout).toMatch(
      /^0 taken in, .* 2 refused\.\n {2}event 1: amount is -1; expected at least 0\n {2}event 2: Column "amount" of "orders" is to be float64, but the text "1" arrived/,
    )
    const kept = await json<{ counts: unknown[]; rows: unknown[] }>('quarantine', '--of', 'orders')
    expect(kept.counts).toEqual([
      { of: 'orders', reason: 'FEATURE_VALUE_TYPE', rows: 1, dropped: 0 },
      { of: 'orders', reason: 'range amount', rows: 1, dropped: 0 },
    ])
    expect((await features('quarantine', '--of', 'orders', '--retry')).stdout).toBe('0 taken in, 2 refused again.\n')
    expect((await features('quarantine', '--of', 'orders', '--remove')).stdout).toBe('2 rows removed.\n')
    expect((await features('quarantine', '--of', 'orders')).stdout).toBe('No rows are in quarantine.\n')
  })

  it('passes no share of matches while nothing was served', async () => {
    const { status, stdout, stderr } = await features('verify', '--service', 'fraud', '--min-match', '0.5')
    expect(stdout).toContain('Nothing of fraud was served')
    expect(stderr).toContain('CLI_FEATURES_NOT_COMPARED')
    expect(status).toBe(1)
  })

  it('proves that what models were given is what the definitions say, and makes a training set of it', async () => {
    const predicted = await headraceJson<{ outputs: { score: number } }>(
      folder,
      'predict',
      'fraud',
      '--entity',
      'user_id=u1',
    )
    expect(predicted.outputs.score).toBe(1037)
    await headraceJson(folder, 'predict', 'fraud', '--entity', 'user_id=nobody')
    const report = await json<{ checked: number; matchRate: number }>('verify', '--service', 'fraud', '--since', '1h')
    expect(report).toMatchObject({ checked: 2, matchRate: 1 })
    const { stdout } = await features('training-set', '--service', 'fraud', '--from-log', '--out', 'data/served.csv')
    expect(stdout).toContain(`2 rows in ${join(folder, 'data/served.csv')}.`)
    const [head, first] = readFileSync(join(folder, 'data/served.csv'), 'utf8').split('\n')
    expect(head).toBe('prediction_id,event_timestamp,model,version,weight,user_id,spend_9000d,orders_9000d,country')
    expect(first).toMatch(/,fraud,1,1\.0,u1,37\.0,3,DE$/)
  })

  it('says what is wrong with what it is given, by its exit status too', async () => {
    const given: readonly (readonly [number, string, readonly string[]])[] = [
      [3, 'No feature service named "frau". Known: fraud.', ['get', 'user_id=u1', '--service', 'frau']],
      [3, 'There is no stream source "history". Known: orders.', ['push', 'history', '--event', '{}']],
      [3, '"history" is a source, not a feature view. Name one that reads it: spend.', ['infer', 'history']],
      [2, 'Give --service or --feature.', ['get', 'user_id=u1']],
      [2, '"u1" is no key=value.', ['get', 'u1', '--service', 'fraud']],
      [2, '--event is no JSON', ['push', 'orders', '--event', '{']],
      [2, 'Give --entities with the labels, or --from-log.', ['training-set', '--service', 'fraud', '--out', 'x.csv']],
      [1, 'There are no labels at', ['training-set', '--service', 'fraud', '--entities', 'no.csv', '--out', 'x.csv']],
      [2, '--of', ['quarantine', '--retry']],
    ]
    const ended = await Promise.all(given.map(([, , args]) => features(...args)))
    for (const [i, { status, stderr, stdout }] of ended.entries()) {
      const [wanted, message, args] = given[i]!
      expect({ args, status, stdout }).toEqual({ args, status: wanted, stdout: '' })
      expect(stderr).toContain(message)
    }
    expect(existsSync(join(folder, 'x.csv'))).toBe(false)
  })

  it('judges rows by what is expected of them, and says what they keep', async () => {
    const judged = await features('check', 'profile')
    expect(judged.status).toBe(1)
    expect(judged.stdout).toMatch(/broken +oneOf country/)
    expect(judged.stderr).toContain('"profile"')
    expect((await features('infer', 'profile')).stdout).toContain("{ expect: 'notNull', column: 'country' }")
  })

  it('makes the training set that the command alone makes', async () => {
    const done = await json<{ rows: number; proof: unknown }>(...trainingSet, '--out', 'data/again.csv', '--proof', '4')
    expect(done).toMatchObject({ rows: 4, proof: { rows: 4, values: 12 } })
    // The server has taken in an order since, which nobody knew of then.
    expect(readFileSync(join(folder, 'data/again.csv'), 'utf8')).toBe(TRAINED)
  })
})
