import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openFlow } from '../../../test/support/feature-flow.js'
import { queryFile, type TestCell, writeTable } from '../../../test/support/parquet.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { ManualClock, testPlatform } from '../../core/index.js'
import { compileFeatures } from '../compile.js'
import {
  column,
  count,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  defineOnDemandView,
  fileSource,
  lastK,
  pushSource,
  sum,
} from '../index.js'
import { createEventLog, type PositionedEventLog } from '../stream/event-log.js'
import { createOfflineStore } from './offline-store.js'
import type { OfflineStore, TrainingSetReport, TrainingSetRequest } from './types.js'

function offlineIn(
  root: string,
  eventFiles: (source: string) => Promise<readonly string[]> = async () => [],
): OfflineStore {
  return createOfflineStore({
    platform: testPlatform({ clock: new ManualClock(T0 + 86_400_000) }),
    root,
    environment: {},
    memoryLimitBytes: 256 * 1024 ** 2,
    threads: 1,
    tempFolder: join(root, 'temp'),
    eventFiles,
  })
}

async function made(
  store: OfflineStore,
  definitions: readonly unknown[],
  service: string,
  request: Partial<TrainingSetRequest> = {},
): Promise<TrainingSetReport> {
  const compiled = compileFeatures(definitions).services.get(service)!
  return store.trainingSet({ service: compiled, labels: 'labels.parquet', out: 'train.parquet', ...request })
}

const user = defineEntity('user', { keys: { user_id: 'string' } })
const account = defineEntity('account', { keys: { account: 'int64' } })
const scores = fileSource('scores', { path: 'scores.parquet', eventTime: 'at', knownTime: 'known' })
const SCORE_COLUMNS = { user_id: 'VARCHAR', at: 'BIGINT', known: 'BIGINT', score: 'DOUBLE', note: 'VARCHAR' }
const LABEL_COLUMNS = { user_id: 'VARCHAR', event_timestamp: 'BIGINT', label: 'INTEGER' }
// Past the size below which numbers count seconds.
const T0 = 1_700_000_000_000

describe('a training set of row views', () => {
  it('is what a search through all rows finds, for any rows with late, equal and missing times', async () => {
    const base = tempFolder()
    const keys = ['a', "o'ne", 'größe "x"', '東京|\\']
    const key = fc.constantFrom(...keys)
    const ms = fc.integer({ min: 0, max: 12 }).map((n) => T0 + n)
    const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { freq: 8 })
    const row = fc.tuple(
      maybe(key),
      maybe(ms),
      maybe(ms),
      maybe(fc.constantFrom(1, 2, Number.NaN)),
      maybe(fc.constantFrom('', 'z', 'ä', '\u{1F600}', '\uFB01')),
    )
    const label = fc.tuple(maybe(key), maybe(ms))
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { maxLength: 30 }),
        fc.array(label, { maxLength: 12 }),
        fc.option(fc.integer({ min: 1, max: 5 })),
        async (rows, labels, ttl) => {
          const root = mkdtempSync(join(base, 'case-'))
          await writeTable(join(root, 'scores.parquet'), SCORE_COLUMNS, rows)
          await writeTable(
            join(root, 'labels.parquet'),
            LABEL_COLUMNS,
            labels.map(([who, at], i) => [who, at, i]),
          )
          const view = defineFeatureView('scores', {
            entities: [user],
            source: scores,
            features: { score: column('float64'), text: column('string', { from: 'note' }) },
            ...(ttl === null ? {} : { ttl }),
          })
          const store = offlineIn(root)
          const report = await made(store, [defineFeatureService('s', [view])], 's', { proofRows: 100 })
          expect(report.rows).toBe(labels.length)
          const out = await queryFile(`SELECT user_id, label, score, text FROM '${join(root, 'train.parquet')}'`)
          const expected = labels.map(([who, at], i) => {
            let best: (typeof rows)[number] | undefined
            for (const one of rows) {
              if (who === null || at === null || one[0] !== who || one[1] === null || one[2] === null) continue
              if (one[1] > at || one[2] > at) continue
              if (best === undefined || order(one, best) > 0) best = one
            }
            if (best !== undefined && ttl !== null && at! - best[1]! > ttl) best = undefined
            return [who, i, cleaned(best?.[3]), best?.[4] ?? null]
          })
          expect(out).toEqual(expected)
          await store.close()
        },
      ),
      { numRuns: 25 },
    )
  }, 60_000)

  it('has a row for every label: without a match, in the future, and when there are no rows at all', async () => {
    const root = tempFolder()
    await writeTable(join(root, 'scores.parquet'), SCORE_COLUMNS, [])
    await writeTable(join(root, 'labels.parquet'), LABEL_COLUMNS, [
      ['a', T0, 1],
      ['a', T0 + 10 * 365 * 86_400_000, 2],
    ])
    const view = defineFeatureView('scores', {
      entities: [user],
      source: scores,
      features: { score: column('float64', { default: 7 }) },
    })
    await made(offlineIn(root), [defineFeatureService('s', [view])], 's', { proofRows: 5 })
    expect(await queryFile(`SELECT label, score FROM '${join(root, 'train.parquet')}'`)).toEqual([
      [1, 7],
      [2, 7],
    ])
  })

  it('is an empty file with all columns when there are no labels', async () => {
    const root = tempFolder()
    await writeTable(join(root, 'scores.parquet'), SCORE_COLUMNS, [['a', T0, T0, 1, null]])
    await writeTable(join(root, 'labels.parquet'), LABEL_COLUMNS, [])
    const view = defineFeatureView('scores', {
      entities: [user],
      source: scores,
      features: { score: column('float64') },
    })
    const report = await made(offlineIn(root), [defineFeatureService('s', [view])], 's', { withTimes: true })
    expect(report).toMatchObject({ rows: 0, features: [{ name: 'score', nulls: 0 }] })
    const names = await queryFile(`SELECT column_name FROM (DESCRIBE SELECT * FROM '${join(root, 'train.parquet')}')`)
    expect(names.flat()).toEqual(['user_id', 'event_timestamp', 'label', 'score', 'score__event_timestamp'])
  })

  it('tells keys of 64 bits apart beyond 2^53, and keeps whole numbers, lists and vectors as they are', async () => {
    const root = tempFolder()
    const source = fileSource('wide', { path: 'wide.parquet', eventTime: 'at' })
    const big = 9_007_199_254_740_993n
    const columns = {
      account: 'BIGINT',
      at: 'TIMESTAMP',
      n: 'BIGINT',
      tags: 'VARCHAR[]',
      v: 'FLOAT[2]',
      seen: 'TIMESTAMPTZ',
    }
    await writeTable(join(root, 'wide.parquet'), columns, [
      [big, '2026-01-01', big + 2n, ['x', "y'"], [1, 0.5], '2025-12-31 23:00:00+00'],
      [big - 1n, '2026-01-01', 1, [], [2, 2], null],
    ])
    await writeTable(join(root, 'labels.parquet'), { account: 'BIGINT', event_timestamp: 'TIMESTAMPTZ' }, [
      [big, '2026-01-01 01:00:00+01'],
      [big - 1n, '2026-01-02'],
    ])
    const view = defineFeatureView('wide', {
      entities: [account],
      source,
      features: { n: column('int64'), tags: column('string[]'), v: column('float32[2]'), seen: column('timestamp') },
    })
    const store = offlineIn(root)
    await made(store, [defineFeatureService('s', [view])], 's', { proofRows: 2 })
    const file = join(root, 'train.parquet')
    expect(await queryFile(`SELECT account, n, tags, v, epoch_ms(seen), typeof(seen) FROM '${file}'`)).toEqual([
      [
        String(big),
        String(big + 2n),
        ['x', "y'"],
        [1, 0.5],
        String(Date.UTC(2025, 11, 31, 23)),
        'TIMESTAMP WITH TIME ZONE',
      ],
      [String(big - 1n), '1', [], [2, 2], null, 'TIMESTAMP WITH TIME ZONE'],
    ])
    const compiled = compileFeatures([view]).views.get('wide')!
    const at = { key: String(big), atMs: Date.UTC(2026, 0, 1) }
    expect(await store.valuesAt(compiled, [at, { ...at, atMs: at.atMs - 1 }, { ...at, key: '5' }])).toEqual([
      [big + 2n, ['x', "y'"], Float32Array.of(1, 0.5), Date.UTC(2025, 11, 31, 23)],
      undefined,
      undefined,
    ])
  })

  it('gives embeddings their TTL and their default', async () => {
    const root = tempFolder()
    const columns = { account: 'BIGINT', at: 'TIMESTAMP', v: 'FLOAT[2]' }
    await writeTable(join(root, 'tastes.parquet'), columns, [[1, '2026-01-01', [1, 0.5]]])
    await writeTable(join(root, 'labels.parquet'), { account: 'BIGINT', event_timestamp: 'TIMESTAMP' }, [
      [1, '2026-01-02'],
      [1, '2026-01-03'],
      [2, '2026-01-02'],
    ])
    const view = defineFeatureView('tastes', {
      entities: [account],
      source: fileSource('tastes', { path: 'tastes.parquet', eventTime: 'at' }),
      features: {
        v: column('float32[2]', { default: Float32Array.of(-1, 0.25) }),
        none: column('float32[2]', { from: 'v' }),
      },
      ttl: '1d',
    })
    await made(offlineIn(root), [defineFeatureService('s', [view])], 's', { proofRows: 3 })
    expect(await queryFile(`SELECT v, none FROM '${join(root, 'train.parquet')}'`)).toEqual([
      [
        [1, 0.5],
        [1, 0.5],
      ],
      [[-1, 0.25], null],
      [[-1, 0.25], null],
    ])
  })

  it('joins composite keys, and writes CSV and JSON', async () => {
    const root = tempFolder()
    const pair = defineEntity('pair', { keys: { user_id: 'string', account: 'int64' } })
    await writeTable(
      join(root, 'pairs.csv'),
      { user_id: 'VARCHAR', account: 'BIGINT', at: 'VARCHAR', score: 'DOUBLE' },
      [
        ['007', 1, '2026-01-01T00:00:00Z', 1.5],
        ['007', 2, '2026-01-01T00:00:00Z', 2.5],
      ],
    )
    await writeTable(join(root, 'labels.csv'), { user_id: 'VARCHAR', account: 'BIGINT', moment: 'VARCHAR' }, [
      ['007', 2, '2026-01-01 00:00:00'],
      ['007', 1, '2025-01-01'],
    ])
    const view = defineFeatureView('pairs', {
      entities: [pair],
      source: fileSource('pairs', { path: 'pairs.*', format: 'csv', eventTime: 'at' }),
      features: { score: column('float64') },
    })
    const store = offlineIn(root)
    for (const out of ['train.csv', 'train.json', 'train.ndjson']) {
      await made(store, [defineFeatureService('s', [view])], 's', { labels: 'labels.csv', timeColumn: 'moment', out })
      expect(
        await queryFile(
          `SELECT user_id, score FROM ${out.endsWith('csv') ? `read_csv('${join(root, out)}', types = {user_id: 'VARCHAR'})` : `read_json('${join(root, out)}')`}`,
        ),
      ).toEqual([
        ['007', 2.5],
        ['007', null],
      ])
    }
    expect(readdirSync(root).filter((name) => name.includes('.new'))).toEqual([])
    expect(readdirSync(join(root, 'temp', 'training-sets'))).toEqual([])
  })

  it('refuses labels without a key or with a name that a feature has, and leaves no file behind', async () => {
    const root = tempFolder()
    await writeTable(join(root, 'scores.parquet'), SCORE_COLUMNS, [])
    const view = defineFeatureView('scores', {
      entities: [user],
      source: scores,
      features: { score: column('float64') },
    })
    const store = offlineIn(root)
    await writeTable(join(root, 'labels.parquet'), { user: 'VARCHAR', event_timestamp: 'BIGINT' }, [['a', 1]])
    await expect(made(store, [defineFeatureService('s', [view])], 's')).rejects.toMatchObject({
      code: 'FEATURE_LABELS_SCHEMA',
      params: { missing: 'user_id' },
    })
    await writeTable(join(root, 'labels.parquet'), { ...LABEL_COLUMNS, Score: 'DOUBLE' }, [['a', T0, 1, 1]])
    await expect(made(store, [defineFeatureService('s', [view])], 's')).rejects.toThrow('"score"')
    await expect(
      made(store, [defineFeatureService('s', [view])], 's', { labels: 'none.parquet' }),
    ).rejects.toMatchObject({ code: 'FEATURE_TRAINING_SET_INVALID' })
    expect(existsSync(join(root, 'train.parquet'))).toBe(false)
  })

  it('refuses to replace its labels or a file of its sources', async () => {
    const root = tempFolder()
    await writeTable(join(root, 'scores.parquet'), SCORE_COLUMNS, [])
    await writeTable(join(root, 'labels.parquet'), LABEL_COLUMNS, [])
    const before = readFileSync(join(root, 'labels.parquet'))
    const view = defineFeatureView('scores', {
      entities: [user],
      source: scores,
      features: { score: column('float64') },
    })
    const store = offlineIn(root)
    for (const [out, what] of [
      ['./labels.parquet', 'the labels'],
      ['scores.parquet', 'rows of source "scores"'],
    ] as const) {
      await expect(made(store, [defineFeatureService('s', [view])], 's', { out })).rejects.toThrow(`holds ${what}`)
    }
    expect(readFileSync(join(root, 'labels.parquet'))).toEqual(before)
  })
})

describe('a training set with windows and on-demand features', () => {
  it('counts what was known and had happened, and computes from it; the proof agrees', async () => {
    const root = tempFolder()
    const platform = testPlatform()
    const log = createEventLog({ platform, folder: join(root, 'events'), retentionMs: () => undefined })
    const clicks = pushSource('clicks', {
      columns: { user_id: 'string', item: 'string', price: 'float64' },
      eventId: 'item',
      lateness: '10s',
    })
    const event = (eventMs: number, knownMs: number, item: string, price: number | null) => ({
      eventMs,
      knownMs,
      id: item,
      row: { user_id: 'a', item, price },
    })
    await log.append('clicks', [
      event(T0, T0, 'i1', 1),
      event(T0 + 1000, T0 + 1000, 'i2', null),
      event(T0 + 1500, T0 + 9000, 'i3', 5),
      event(T0 + 500, T0 + 60_000, 'i4', 100),
      event(T0 + 1500, T0 + 9500, 'i3', 50),
      event(T0 + 20_000, T0 + 20_000, 'i5', Number.POSITIVE_INFINITY),
    ])
    const view = defineFeatureView('clicks', {
      entities: [user],
      stream: clicks,
      windowing: 'exact',
      features: {
        n: count({ over: '30s', default: -1 }),
        spent: sum('price', { over: '10s' }),
        items: lastK('item', 'string', 2, { over: '30s' }),
        dear: count({ over: '30s', where: ({ price }) => Number(price) > 2 }),
      },
    })
    const ratio = defineOnDemandView('ratio', {
      views: [view],
      request: { amount: 'float64' },
      features: { per_click: { type: 'float64', default: 0 } },
      transform: ({ request, clicks: { n } }) => {
        if (request.amount === null) throw new Error('no amount')
        return { per_click: request.amount / Number(n) }
      },
    })
    const moments: [TestCell, number, TestCell][] = [
      ['a', T0, 1],
      ['a', T0 + 1, 1],
      ['a', T0 + 8999, 4],
      ['a', T0 + 9000, 6],
      ['a', T0 + 9000, null],
      ['b', T0 + 9000, 6],
      ['a', T0 + 50_000, 2],
    ]
    await writeTable(
      join(root, 'labels.parquet'),
      { user_id: 'VARCHAR', event_timestamp: 'BIGINT', amount: 'DOUBLE' },
      [...moments, [null, T0, 1], ['a', null, 1]],
    )
    const store = offlineIn(root, (source) => log.files(source))
    const steps: string[] = []
    const report = await made(store, [defineFeatureService('s', [view, ratio])], 's', {
      proofRows: 50,
      onProgress: ({ step }) => steps.push(step),
    })
    expect(steps).toEqual(['labels', 'clicks', 'on-demand', 'proof', 'output', 'done'])
    expect(report.proof).toEqual({ rows: 9, values: 45 })
    expect(await queryFile(`SELECT n, spent, items, dear, per_click FROM '${join(root, 'train.parquet')}'`)).toEqual([
      ['-1', null, null, null, -1],
      ['1', 1, ['i1'], '0', 1],
      ['2', 1, ['i2', 'i1'], '0', 2],
      ['3', 6, ['i3', 'i2'], '1', 2],
      ['3', 6, ['i3', 'i2'], '1', 0],
      ['-1', null, null, null, -6],
      ['1', null, ['i5'], '1', 2],
      ['-1', null, null, null, -1],
      ['-1', null, null, null, -1],
    ])
    const compiled = compileFeatures([view]).views.get('clicks')!
    expect(
      await store.valuesAt(compiled, [
        { key: 'a', atMs: T0 + 9000 },
        { key: 'a', atMs: T0 },
      ]),
    ).toEqual([[3, 6, ['i3', 'i2'], 1], undefined])
    await log.close()
  })
})

describe('a batch source beside a stream', () => {
  it('counts copies of an event once, by the id of the stream', async () => {
    const root = tempFolder()
    await writeTable(join(root, 'kept.csv'), { user_id: 'VARCHAR', at: 'BIGINT', event: 'VARCHAR', n: 'DOUBLE' }, [
      ['a', T0, '007', 1],
      ['a', T0, '007', 1],
      ['a', T0, '7', 2],
    ])
    const view = defineFeatureView('kept', {
      entities: [user],
      source: fileSource('kept', { path: 'kept.csv', eventTime: 'at' }),
      stream: pushSource('events', { columns: { user_id: 'string', event: 'string', n: 'float64' }, eventId: 'event' }),
      features: { n: count({ over: '1h' }) },
    })
    const compiled = compileFeatures([view]).views.get('kept')!
    expect(await offlineIn(root).valuesAt(compiled, [{ key: 'a', atMs: T0 + 1 }])).toEqual([[2]])
  })

  it('is one history in training sets, their proof, checks and the online store: the one before the seam, the other from it on', async () => {
    const root = tempFolder()
    const HOUR = 3_600_000
    const MINUTE = 60_000
    // Hops of five minutes begin at full hours.
    const dayMs = Math.floor(T0 / (24 * HOUR)) * 24 * HOUR
    const clock = new ManualClock(dayMs + 10 * HOUR)
    const platform = testPlatform({ clock })
    // Numbers in the file look like numbers; to the stream they are text.
    await writeTable(join(root, 'kept.csv'), { user_id: 'VARCHAR', at: 'BIGINT', item: 'VARCHAR', amount: 'DOUBLE' }, [
      ['a', dayMs + 10 * HOUR + 10 * MINUTE, '7', 1],
      ['a', dayMs + 11 * HOUR + 40 * MINUTE, '8', 10],
      // Beyond the seam: the stream's are taken.
      ['a', dayMs + 12 * HOUR, '9', 100],
      ['b', dayMs + 11 * HOUR, '7', 5],
    ])
    const stream = pushSource('orders', {
      columns: { user_id: 'string', item: 'string', amount: 'float64' },
      lateness: '10m',
    })
    const source = fileSource('kept', { path: 'kept.csv', eventTime: 'at' })
    const spend = defineFeatureView('spend', {
      entities: [user],
      source,
      stream,
      features: {
        total: sum('amount', { over: '3h' }),
        n: count({ over: '30m' }),
        items: lastK('item', 'string', 5, { over: '3h' }),
      },
    })
    const latest = defineFeatureView('latest', {
      entities: [user],
      source,
      stream,
      features: { amount: column('float64'), item: column('string') },
    })
    const definitions = [defineFeatureService('s', [spend, latest])]
    const logs: PositionedEventLog[] = []
    const offline = createOfflineStore({
      platform,
      root,
      environment: {},
      threads: 1,
      tempFolder: join(root, 'temp'),
      eventFiles: async (source) => logs[0]!.files(source),
      eventsSinceMs: async (source) => logs[0]!.sinceMs(source),
    })
    const flow = await openFlow({ folder: root, definitions, platform, offline, fillAtStart: false })
    logs.push(flow.log)
    try {
      const at = (hour: number, minute: number) => dayMs + hour * HOUR + minute * MINUTE
      const push = async (knownMs: number, eventMs: number, item: string, amount: number) => {
        clock.advance(knownMs - clock.nowMs())
        const row = { user_id: 'a', item, amount, event_timestamp: eventMs }
        await flow.ingestor.push('orders', [{ knownMs, row }])
      }
      await push(at(10, 10), at(10, 10), '7', 1)
      await push(at(11, 45), at(11, 40), '8', 10)
      await push(at(12, 1), at(12, 0), '9', 200)
      await push(at(12, 20), at(12, 15), '10', 1000)
      // Too late to count.
      await push(at(12, 30), at(12, 10), '11', 5000)
      for (const view of ['spend', 'latest']) await flow.materialiser.materialise({ view })
      const nowMs = at(12, 40)
      clock.advance(nowMs - clock.nowMs())
      const moments = [
        { key: 'a', atMs: at(12, 1) },
        { key: 'a', atMs: at(12, 16) },
        { key: 'a', atMs: nowMs },
        { key: 'b', atMs: nowMs },
      ]
      await writeTable(
        join(root, 'labels.parquet'),
        LABEL_COLUMNS,
        moments.map(({ key, atMs }) => [key, atMs, 0]),
      )
      const report = await made(offline, definitions, 's', { proofRows: 10 })
      expect(report.proof).toEqual({ rows: 4, values: 20 })
      const rows = await queryFile(`SELECT total, n, items, amount, item FROM '${join(root, 'train.parquet')}'`)
      expect(rows).toEqual([
        [211, '2', ['7', '8', '9'], 200, '9'].map(reverseItems),
        [211, '1', ['7', '8', '9'], 200, '9'].map(reverseItems),
        [1211, '1', ['7', '8', '9', '10'], 1000, '10'].map(reverseItems),
        [5, '0', ['7'], 5, '7'],
      ])
      const spends = await offline.valuesAt(flow.view('spend'), moments)
      const latests = await offline.valuesAt(flow.view('latest'), moments)
      const asText = ([total, n, items]: readonly unknown[]) => [total, String(n), items]
      expect(moments.map((_, i) => [...asText(spends[i]!), ...latests[i]!])).toEqual(rows)
      for (const key of ['a', 'b']) {
        const i = moments.findIndex((moment) => moment.key === key && moment.atMs === nowMs)
        expect(await flow.read('spend', key)).toEqual(spends[i])
        expect(await flow.read('latest', key)).toEqual(latests[i])
      }
    } finally {
      await flow.close()
      await offline.close()
    }
  })
})

/** Lists come newest first. */
const reverseItems = (value: unknown) => (Array.isArray(value) ? [...value].reverse() : value)

type Row = [string | null, number | null, number | null, number | null, string | null]

function cleaned(value: number | null | undefined): number | null {
  return value === null || value === undefined || Number.isNaN(value) ? null : value
}

/** By event time, known time and values; null lowest, text by its bytes. */
function order(a: Row, b: Row): number {
  if (a[1] !== b[1]) return a[1]! - b[1]!
  if (a[2] !== b[2]) return a[2]! - b[2]!
  const [x, y] = [cleaned(a[3]) ?? -1, cleaned(b[3]) ?? -1]
  if (x !== y) return x - y
  if (a[4] === null || b[4] === null) return (a[4] === null ? 0 : 1) - (b[4] === null ? 0 : 1)
  return Buffer.compare(Buffer.from(a[4]), Buffer.from(b[4]))
}
