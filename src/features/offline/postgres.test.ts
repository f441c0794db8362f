import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { queryFile, writeTable } from '../../../test/support/parquet.js'
import { postgresMissing, startPostgres, type TestPostgres } from '../../../test/support/postgres.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { testPlatform } from '../../core/index.js'
import { compileFeatures } from '../compile.js'
import {
  column,
  count,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  fileSource,
  postgresSource,
} from '../index.js'
import { schemaChanges } from '../quality/schema-change.js'
import { createOfflineStore } from './offline-store.js'

const reason = postgresMissing()

const T0 = Date.UTC(2026, 2, 29)
const COLUMNS = {
  who: 'VARCHAR',
  account: 'BIGINT',
  at: 'TIMESTAMP',
  known: 'TIMESTAMPTZ',
  n: 'DOUBLE',
  note: 'VARCHAR',
  big: 'BIGINT',
  tags: 'VARCHAR[]',
}

describe.skipIf(reason !== undefined)(
  `sources in Postgres${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    let server: TestPostgres
    let client: pg.Client
    beforeAll(async () => {
      server = await startPostgres()
      client = new pg.Client({ connectionString: server.url })
      await client.connect()
    }, 60_000)
    afterAll(async () => {
      await client?.end()
      await server?.stop()
    })

    const entity = defineEntity('pair', { keys: { who: 'string', account: 'int64' } })
    const features = {
      n: column('float64'),
      text: column('string', { from: 'note' }),
      big: column('int64'),
      tags: column('string[]'),
    }
    const times = { eventTime: 'at', knownTime: 'known', timeZone: 'Europe/Berlin' } as const

    it('give, joined there or read here, what the same rows in a file give', async () => {
      const base = tempFolder()
      const ms = fc.integer({ min: 0, max: 8 }).map((n) => new Date(T0 + n * 1000).toISOString())
      const key = fc.constantFrom("o'ne", 'größe', '東京')
      const account = fc.constantFrom(1n, 9_007_199_254_740_993n)
      const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { freq: 8 })
      const row = fc.tuple(
        maybe(key),
        account,
        maybe(ms),
        maybe(ms),
        maybe(fc.constantFrom(1.5, 2, Number.NaN)),
        maybe(fc.constantFrom('', 'a"b', 'ä\\', '\u{1F600}', '\uFB01')),
        account,
        maybe(fc.constantFrom(['x', 'y"\\'], [])),
      )
      const label = fc.tuple(maybe(key), account, maybe(ms))
      await fc.assert(
        fc.asyncProperty(
          fc.array(row, { maxLength: 25 }),
          fc.array(label, { maxLength: 10 }),
          fc.option(fc.constantFrom('1s', '3s')),
          async (rows, labels, ttl) => {
            const root = mkdtempSync(join(base, 'case-'))
            await client.query('DROP SCHEMA IF EXISTS "my shop" CASCADE; CREATE SCHEMA "my shop"')
            await client.query(
              'CREATE TABLE "my shop".rows (who text, account bigint, at timestamp, known timestamptz, n double precision, note text, big bigint, tags text[])',
            )
            for (const one of rows)
              await client.query(
                'INSERT INTO "my shop".rows VALUES ($1, $2, $3::text::timestamp, $4, $5, $6, $7, $8)',
                [...one],
              )
            await client.query(
              'CREATE TABLE "my shop".labels (who text, account bigint, event_timestamp timestamptz, i integer)',
            )
            for (const [i, one] of labels.entries())
              await client.query('INSERT INTO "my shop".labels VALUES ($1, $2, $3, $4)', [...one, i])
            await writeTable(join(root, 'rows.parquet'), COLUMNS, rows)
            await writeTable(
              join(root, 'labels.parquet'),
              { who: 'VARCHAR', account: 'BIGINT', event_timestamp: 'TIMESTAMPTZ', i: 'INTEGER' },
              labels.map((one, i) => [...one, i]),
            )
            const options = { entities: [entity], features, ...(ttl === null ? {} : { ttl }) } as const
            const there = defineFeatureView('rows', {
              ...options,
              source: postgresSource('there', { table: 'my shop.rows', ...times }),
            })
            const here = defineFeatureView('rows', {
              ...options,
              source: fileSource('here', { path: 'rows.parquet', ...times }),
            })
            const store = createOfflineStore({
              platform: testPlatform(),
              root,
              environment: { DATABASE_URL: server.url },
              threads: 1,
              memoryLimitBytes: 2 ** 28,
              tempFolder: join(root, 'temp'),
              eventFiles: async () => [],
            })
            const make = async (view: typeof there, labelsAt: string, out: string) => {
              const service = compileFeatures([defineFeatureService('s', [view])]).services.get('s')!
              await store.trainingSet({ service, labels: labelsAt, out, withTimes: true, proofRows: 20 })
              return queryFile(`SELECT * FROM '${join(root, out)}' ORDER BY i`)
            }
            const expected = await make(here, 'labels.parquet', 'a.parquet')
            expect(expected).toHaveLength(labels.length)
            expect(await make(there, 'postgres:my shop.labels', 'b.parquet')).toEqual(expected)
            expect(await make(there, 'labels.parquet', 'c.parquet')).toEqual(expected)
            await store.close()
          },
        ),
        { numRuns: 12 },
      )
    }, 90_000)

    it('feed windows, and tell what they hold', async () => {
      const root = tempFolder()
      await client.query('CREATE TABLE events (who text, account bigint, at timestamptz)')
      await client.query(
        `INSERT INTO events SELECT 'a', 1, timestamptz '2026-01-01' + i * interval '1 minute' FROM generate_series(1, 25000) AS i`,
      )
      const source = postgresSource('events', { query: 'SELECT * FROM events', eventTime: 'at' })
      const view = defineFeatureView('events', { entities: [entity], source, features: { n: count({ over: '1d' }) } })
      const compiled = compileFeatures([view]).views.get('events')!
      const store = createOfflineStore({
        platform: testPlatform(),
        root,
        environment: { DATABASE_URL: server.url },
        tempFolder: root,
        eventFiles: async () => [],
      })
      expect(await store.schema(compiled)).toEqual([
        { name: 'who', type: 'text' },
        { name: 'account', type: 'bigint' },
        { name: 'at', type: 'timestamp with time zone' },
      ])
      expect(await store.valuesAt(compiled, [{ key: 'a|1', atMs: Date.UTC(2026, 0, 10) }])).toEqual([[1440]])

      const before = await store.schema(compiled)
      const read = new Set(before.map(({ name }) => name))
      const altered = async (change: string) => {
        await client.query(`ALTER TABLE events ${change}`)
        return schemaChanges(before, await store.schema(compiled), read).breaking
      }
      expect(await altered('ALTER who TYPE varchar(40), ALTER account TYPE numeric, ADD note text')).toEqual([])
      expect(await altered('ALTER account TYPE integer')).toEqual(['column "account" was bigint and is integer'])
      expect(await altered('RENAME who TO name')).toEqual([
        'column "who" (text) is gone; was it renamed to "name" or "note"?',
        'column "account" was bigint and is integer',
      ])
    })

    it('fail with what is wrong: no URL, a server that is not there, a missing column', async () => {
      const root = tempFolder()
      const view = (table: string) =>
        compileFeatures([
          defineFeatureView('v', {
            entities: [entity],
            features: { n: column('float64') },
            source: postgresSource('s', { table, eventTime: 'at' }),
          }),
        ]).views.get('v')!
      const store = (url?: string) =>
        createOfflineStore({
          platform: testPlatform(),
          root,
          environment: { DATABASE_URL: url },
          tempFolder: root,
          eventFiles: async () => [],
        })
      const moments = [{ key: 'a|1', atMs: T0 }]
      await expect(store().valuesAt(view('x'), moments)).rejects.toThrow('DATABASE_URL')
      await expect(store('postgres://test@127.0.0.1:1/x').valuesAt(view('x'), moments)).rejects.toMatchObject({
        code: 'FEATURE_SOURCE_UNREADABLE',
      })
      await expect(store(server.url).valuesAt(view('nowhere; DROP TABLE events'), moments)).rejects.toMatchObject({
        code: 'FEATURE_SOURCE_UNREADABLE',
      })
      await client.query('CREATE TABLE few (who text, account bigint, at timestamp)')
      await expect(store(server.url).valuesAt(view('few'), moments)).rejects.toMatchObject({
        code: 'FEATURE_SOURCE_SCHEMA',
        params: { missing: 'n' },
      })
    })
  },
)
