import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { writeTable } from '../../../test/support/parquet.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { testPlatform } from '../../core/index.js'
import { checkArrived } from '../check-value.js'
import { compileFeatures } from '../compile.js'
import type { CompiledView } from '../compiled.js'
import {
  type BatchSource,
  column,
  count,
  defineEntity,
  defineFeatureView,
  fileSource,
  pushSource,
  sqlSource,
  sum,
} from '../index.js'
import { createEventLog } from '../stream/event-log.js'
import { createOfflineStore } from './offline-store.js'

const user = defineEntity('user', { keys: { user_id: 'string' } })

function offlineIn(root: string, eventFiles: (source: string) => Promise<readonly string[]> = async () => []) {
  return createOfflineStore({
    platform: testPlatform(),
    root,
    environment: {},
    threads: 1,
    memoryLimitBytes: 2 ** 28,
    tempFolder: join(root, 'temp'),
    eventFiles,
  })
}

function viewOf(
  source: BatchSource,
  features: Parameters<typeof defineFeatureView>[1]['features'] = { n: column('float64') },
): CompiledView {
  return compileFeatures([defineFeatureView('v', { entities: [user], source, features })]).views.get('v')!
}

async function all<T>(batches: AsyncIterable<readonly T[]>): Promise<T[]> {
  const rows: T[] = []
  for await (const batch of batches) rows.push(...batch)
  return rows
}

const EVER = { afterKnownMs: undefined, throughKnownMs: Number.POSITIVE_INFINITY }

/** Event times of a CSV column, as they are written. */
async function momentsOf(texts: readonly string[], timeZone?: string): Promise<(number | undefined)[]> {
  const root = tempFolder()
  writeFileSync(join(root, 'rows.csv'), ['user_id,at,n', ...texts.map((text, i) => `u${i},${text},1`)].join('\n'))
  const view = viewOf(
    fileSource('s', { path: 'rows.csv', eventTime: 'at', ...(timeZone === undefined ? {} : { timeZone }) }),
  )
  const rows = await all(offlineIn(root).newestRows(view, EVER))
  return texts.map((_, i) => rows.find(({ key }) => key === `u${i}`)?.eventMs)
}

describe('times in a source', () => {
  it('are ISO text with and without a zone, or numbers from the epoch by their size', async () => {
    const ms = Date.UTC(2026, 0, 2, 3, 4, 5)
    const texts = [
      '2026-01-02T03:04:05Z',
      '2026-01-02 03:04:05',
      '2026-01-02T05:04:05+02:00',
      '2026-01-02T05:04:05.000+0200',
      String(ms / 1000),
      String(ms),
      `${ms}000`,
      `${ms}000000`,
      `${ms / 1000}.25`,
      '',
    ]
    expect(await momentsOf(texts)).toEqual([ms, ms, ms, ms, ms, ms, ms, ms, ms + 250, undefined])
  })

  it('are the same from a file as from an event, whatever unit a number is in', async () => {
    const ms = Date.UTC(2026, 0, 2, 3, 4, 5, 123)
    const numbers = [ms / 1000, ms, ms * 1000, ms * 1e6, -ms, -ms / 1000, 0, 1.0005, 99_999_999_999, 1e11, 1e14, 1e17]
    for (let i = 0; i < 200; i++)
      numbers.push(((i % 7) + 0.123_456) * 10 ** (8 + (i % 10)), (ms + i) / 1000, (ms + i) * 1e6)
    const root = tempFolder()
    await writeTable(
      join(root, 'rows.parquet'),
      { user_id: 'VARCHAR', at: 'DOUBLE', whole: 'BIGINT', n: 'DOUBLE' },
      numbers.map((number, i) => [`u${i}`, number, BigInt(Math.floor(number)), 1]),
    )
    const source = fileSource('s', { path: 'rows.parquet', eventTime: 'at' })
    const view = viewOf(source, { whole: column('timestamp') })
    const rows = await all(offlineIn(root).newestRows(view, EVER))
    for (const [i, number] of numbers.entries()) {
      const row = rows.find(({ key }) => key === `u${i}`)
      expect([number, row?.eventMs, row?.values]).toEqual([
        number,
        checkArrived('timestamp', number),
        [checkArrived('timestamp', BigInt(Math.floor(number)))],
      ])
    }
  })

  it("are read in the source's zone: the first of an hour that is shown twice, and one that is skipped as if it were not", async () => {
    const texts = [
      '2025-07-01 12:00:00',
      '2025-10-26 02:30:00',
      '2025-10-26 03:30:00',
      '2025-03-30 02:30:00',
      '2025-10-26T02:30:00+01:00',
    ]
    expect(await momentsOf(texts, 'Europe/Berlin')).toEqual([
      Date.UTC(2025, 6, 1, 10),
      Date.UTC(2025, 9, 26, 0, 30),
      Date.UTC(2025, 9, 26, 2, 30),
      Date.UTC(2025, 2, 30, 1, 30),
      Date.UTC(2025, 9, 26, 1, 30),
    ])
  })

  it('and text and keys are read from JSON whose columns hold text here and numbers there', async () => {
    const root = tempFolder()
    const ms = Date.UTC(2026, 0, 2, 3, 4, 5)
    const moments = [ms, String(ms), ms / 1000, '2026-01-02T03:04:05Z', '2026-01-02 03:04:05']
    const lines = moments.map((at, i) => JSON.stringify({ user_id: i < 2 ? i : `u${i}`, at, s: i < 2 ? i : `"${i}` }))
    writeFileSync(join(root, 'rows.json'), lines.join('\n'))
    const view = viewOf(
      fileSource('s', { path: 'rows.json', eventTime: 'at', columns: { user_id: 'string', s: 'string' } }),
      { s: column('string') },
    )
    const rows = await all(offlineIn(root).newestRows(view, EVER))
    expect(rows.map(({ key, eventMs, values }) => [key, eventMs, ...values])).toEqual([
      ['0', ms, '0'],
      ['1', ms, '1'],
      ['u2', ms, '"2'],
      ['u3', ms, '"3'],
      ['u4', ms, '"4'],
    ])
  })

  it('that are no moment fail with what arrived', async () => {
    await expect(momentsOf(['soon'])).rejects.toThrow(/Source "s" cannot be read: .*soon/)
  })
})

describe('columns of a source', () => {
  it('that are missing are told with what there is and what was probably meant', async () => {
    const root = tempFolder()
    await writeTable(join(root, 'rows.parquet'), { user_id: 'VARCHAR', at: 'BIGINT', nn: 'DOUBLE' }, [])
    const view = viewOf(fileSource('s', { path: 'rows.parquet', eventTime: 'at' }))
    await expect(all(offlineIn(root).newestRows(view, EVER))).rejects.toMatchObject({
      code: 'FEATURE_SOURCE_SCHEMA',
      params: { missing: 'n', meant: 'nn', columns: ['user_id', 'at', 'nn'] },
    })
  })

  it('that were renamed are read under both names, over all files; whole numbers are not rounded', async () => {
    const root = tempFolder()
    await writeTable(join(root, 'a-1.parquet'), { user_id: 'VARCHAR', at: 'BIGINT', old: 'DOUBLE' }, [['a', 1, 5]])
    await writeTable(join(root, 'a-2.parquet'), { user_id: 'VARCHAR', at: 'BIGINT', n: 'DOUBLE' }, [['b', 1, 6]])
    const source = fileSource('s', { path: 'a-*.parquet', eventTime: 'at', renames: { old: 'n' } })
    const rows = await all(offlineIn(root).newestRows(viewOf(source, { n: column('int64') }), EVER))
    expect(rows.map(({ key, values }) => [key, values])).toEqual([
      ['a', [5]],
      ['b', [6]],
    ])
    await writeTable(join(root, 'a-3.parquet'), { user_id: 'VARCHAR', at: 'BIGINT', n: 'DOUBLE' }, [['c', 1, 1.5]])
    await expect(all(offlineIn(root).newestRows(viewOf(source, { n: column('int64') }), EVER))).rejects.toThrow(
      '1.5 is no whole number',
    )
  })

  it('and files may have any name: quotes end no statement, and brackets are no pattern where such a file is', async () => {
    const root = tempFolder()
    const name = `we"ird'; DROP TABLE x; --`
    await writeTable(join(root, "it's [1].parquet"), { user_id: 'VARCHAR', at: 'BIGINT', [name]: 'DOUBLE' }, [
      ['a', 1, 2],
    ])
    const source = fileSource('s', { path: "it's [1].parquet", eventTime: 'at' })
    const rows = await all(offlineIn(root).newestRows(viewOf(source, { n: column('float64', { from: name }) }), EVER))
    expect(rows).toMatchObject([{ key: 'a', values: [2] }])
  })

  it('of a query are those it selects, from files of the project; anything but one SELECT is refused', async () => {
    const root = tempFolder()
    await writeTable(join(root, 'rows.parquet'), { user_id: 'VARCHAR', at: 'TIMESTAMP', n: 'DOUBLE' }, [
      ['a', '2026-01-01', 2],
    ])
    const source = (query: string) => sqlSource('s', { query, eventTime: 'at' })
    const query = `SELECT user_id, "at", n * 2 AS n FROM 'rows.parquet' -- doubled`
    const store = offlineIn(root)
    expect(await all(store.newestRows(viewOf(source(query)), EVER))).toMatchObject([{ values: [4] }])
    expect(await store.schema(viewOf(source(query)))).toContainEqual({ name: 'n', type: 'DOUBLE' })
    for (const bad of [
      `SELECT 1; DROP TABLE x`,
      `COPY (${query}) TO 'x.csv'`,
      'SELEC 1',
      `SELECT * FROM 'none.parquet'`,
    ]) {
      await expect(all(store.newestRows(viewOf(source(bad)), EVER)), bad).rejects.toMatchObject({
        code: 'FEATURE_SOURCE_UNREADABLE',
      })
    }
  })
})

describe('the history of a view', () => {
  it('is the newest row per key in a range of knowledge, in the order of keys, and goes on after one', async () => {
    const root = tempFolder()
    await writeTable(
      join(root, 'rows.parquet'),
      { user_id: 'VARCHAR', at: 'BIGINT', known: 'BIGINT', n: 'DOUBLE' },
      [
        ['b', 1, 5, 1],
        ['b', 3, 4, 2],
        ['b', 2, 9, 3],
        ["a'", 1, 1, 4],
        ['c', 1, 1, Number.NaN],
        ['c', 1, 1, null],
        [null, 1, 1, 9],
        ['d', null, 1, 9],
        ['d', 1, null, 9],
      ].map(([who, at, known, n]) => [
        who!,
        at === null ? null : 1e12 + Number(at),
        known === null ? null : 1e12 + Number(known),
        n!,
      ]),
    )
    const store = offlineIn(root)
    const view = viewOf(fileSource('s', { path: 'rows.parquet', eventTime: 'at', knownTime: 'known' }))
    const row = (key: string, eventMs: number, knownMs: number, n: number | null) => ({
      key,
      eventMs: 1e12 + eventMs,
      knownMs: 1e12 + knownMs,
      values: [n],
    })
    expect(await all(store.newestRows(view, EVER))).toEqual([
      row("a'", 1, 1, 4),
      row('b', 3, 4, 2),
      row('c', 1, 1, null),
    ])
    expect(await all(store.newestRows(view, { afterKnownMs: 1e12 + 4, throughKnownMs: 1e12 + 9 }))).toEqual([
      row('b', 2, 9, 3),
    ])
    expect(await all(store.newestRows(view, { ...EVER, afterKey: "a'" }))).toEqual([
      row('b', 3, 4, 2),
      row('c', 1, 1, null),
    ])
  })

  it('is, of a window view, the events by key and knowledge, without late ones', async () => {
    const root = tempFolder()
    const log = createEventLog({ platform: testPlatform(), folder: join(root, 'events'), retentionMs: () => undefined })
    const source = pushSource('clicks', {
      columns: { user_id: 'string', n: 'float64', big: 'int64', v: 'float32[2]' },
      lateness: '1s',
    })
    const row = (user_id: string, n: number) => ({ user_id, n, big: 9_007_199_254_740_993n, v: Float32Array.of(1, 2) })
    await log.append('clicks', [
      { eventMs: 5000, knownMs: 6000, id: 'x', row: row('b', Number.NEGATIVE_INFINITY) },
      { eventMs: 4000, knownMs: 4000, id: undefined, row: row('b', 2) },
      { eventMs: 4000, knownMs: 5001, id: undefined, row: row('b', 3) },
      { eventMs: 4500, knownMs: 4500, id: undefined, row: row('a|b', 4) },
    ])
    const view = compileFeatures([
      defineFeatureView('v', {
        entities: [user],
        stream: source,
        features: { n: count({ over: '1m' }), s: sum('n', { over: '1m' }) },
      }),
    ]).views.get('v')!
    const store = offlineIn(root, (name) => log.files(name))
    const range = { fromMs: 0, beforeMs: 10_000, throughKnownMs: 10_000 }
    expect(await all(store.events(view, range))).toEqual([
      { key: 'a|b', eventMs: 4500, knownMs: 4500, id: undefined, values: [4] },
      { key: 'b', eventMs: 4000, knownMs: 4000, id: undefined, values: [2] },
      { key: 'b', eventMs: 5000, knownMs: 6000, id: 'x', values: [Number.NEGATIVE_INFINITY] },
    ])
    expect(await all(store.events(view, { ...range, afterKey: 'a|b', beforeMs: 5000 }))).toHaveLength(1)
    const rows = compileFeatures([
      defineFeatureView('r', {
        entities: [user],
        stream: source,
        features: { big: column('int64'), v: column('float32[2]') },
      }),
    ]).views.get('r')!
    expect(await all(store.newestRows(rows, EVER))).toMatchObject([
      { key: 'a|b' },
      { key: 'b', eventMs: 5000, values: [9_007_199_254_740_993n, Float32Array.of(1, 2)] },
    ])
    await log.close()
  })

  it('of a stream without events is empty', async () => {
    const view = compileFeatures([
      defineFeatureView('v', {
        entities: [user],
        stream: pushSource('p', { columns: { user_id: 'string', n: 'float64' } }),
        features: { n: count({ over: '1m' }) },
      }),
    ]).views.get('v')!
    const store = offlineIn(tempFolder())
    expect(await store.valuesAt(view, [{ key: 'a', atMs: 1e12 }])).toEqual([undefined])
  })
})
