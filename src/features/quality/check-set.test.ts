import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { tempFolder } from '../../../test/support/temp-folder.js'
import type { Expectation } from '../definitions/expectation.js'
import { type Duck, openDuck } from '../offline/duck.js'
import { ident, literal } from '../offline/sql-text.js'
import { duckType } from '../offline/value-sql.js'
import type { Value, ValueType } from '../value.js'
import { checkSet } from './check-set.js'
import { inferExpectations } from './infer.js'
import { populationStabilityIndex } from './psi.js'
import type { QualityTable } from './quality-table.js'
import { checkRows, isRowRule } from './row-rules.js'
import { expectationsModule } from './snippet.js'

const fixtures = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/feature-quality/feature-quality.json', import.meta.url), 'utf8'),
) as {
  psi: { reference: number[]; actual: number[]; index: number }[]
  shifted: { values: number[]; edges: number[]; reference: number[]; counts: number[]; index: number }[]
}

const DAY_MS = 86_400_000
const START_MS = Date.UTC(2026, 10, 1)

async function duck(): Promise<Duck> {
  const opened = await openDuck({ memoryLimitBytes: 2 ** 28, threads: 1, tempFolder: tempFolder(), root: '.' })
  onTestFinished(() => opened.close())
  return opened
}

/** Rows with `event_ms` (default one a second), key `k0` and the columns given. */
function tableOf(
  on: Duck,
  columns: Readonly<Record<string, ValueType>>,
  rows: readonly Readonly<Record<string, Value>>[],
): QualityTable {
  const names = Object.keys(columns)
  const types = Object.values(columns)
  const list = rows.map((row, i) => {
    const values = names.map((name, c) => `CAST(${text(row[name] ?? null)} AS ${duckType(types[c]!)})`)
    return `(${row['event_ms'] ?? START_MS + i * 1000}, ${text(row['key'] ?? 'k')}${values.map((value) => `, ${value}`).join('')})`
  })
  const named = ['event_ms', 'k0', ...names].map(ident).join(', ')
  const sql =
    rows.length === 0
      ? `SELECT 0::BIGINT AS event_ms, 0::BIGINT AS known_ms, ''::VARCHAR AS k0${names.map((name, c) => `, CAST(NULL AS ${duckType(types[c]!)}) AS ${ident(name)}`).join('')} WHERE false`
      : `SELECT *, event_ms AS known_ms FROM (VALUES ${list.join(', ')}) AS t(${named})`
  return {
    name: 'orders',
    duck: on,
    sql,
    keys: ['k0'],
    columns: [
      { name: 'user_id', sql: 'k0', type: 'string' },
      ...names.map((name, c) => ({ name, sql: ident(name), type: types[c]! })),
    ],
    aliases: new Map([['amount_eur', 'amount']]),
    times: [],
  }
}

function text(value: Value): string {
  if (value === null) return 'NULL'
  if (typeof value === 'string') return literal(value)
  return typeof value === 'number' ? `'${value}'` : String(value)
}

async function judged(table: QualityTable, rule: Expectation, nowMs = START_MS + DAY_MS, sinceMs?: number) {
  const report = await checkSet({
    table,
    expectations: [rule],
    nowMs,
    ...(sinceMs === undefined ? {} : { sinceMs }),
  })
  return report.results[0]!
}

describe('rules over a set of rows', () => {
  it('tell since when a share of nulls rose, by how much, and where', async () => {
    const rows = Array.from({ length: 4000 }, (_, i) => {
      const day = Math.floor(i / 400)
      const country = i % 5 === 0 ? 'DE' : 'FR'
      const isNull = (day >= 8 && country === 'DE' && i % 10 === 0) || i % 1000 === 1
      return {
        event_ms: START_MS + day * DAY_MS + i,
        amount: isNull ? null : 1,
        country,
        channel: i % 3 === 0 ? 'web' : 'app',
      }
    })
    const table = tableOf(await duck(), { amount: 'float64', country: 'string', channel: 'string' }, rows)
    const result = await judged(table, { expect: 'nullShare', column: 'amount', max: 0.01 })
    expect(result.passed).toBe(false)
    expect(result.explanation).toBe(
      "Null share of amount rose from 0.125 % to 10 %: 80 of 800 rows since 2026-11-09. Of them 100 % have country = 'DE', 5 times its share of all rows.",
    )
    expect(result.segments[0]).toMatchObject({ column: 'country', value: 'DE', rows: 80, share: 1, lift: 5 })
    expect((await judged(table, { expect: 'nullShare', column: 'amount', max: 0.05 })).passed).toBe(true)
    const since = await judged(
      table,
      { expect: 'nullShare', column: 'amount_eur', max: 0.05 },
      START_MS,
      START_MS + 8 * DAY_MS,
    )
    expect(since.explanation).toContain('rose from 0.125 % to 10 %: 80 of 800 rows since 2026-11-09.')
  })

  it('count rows, repeats, falls and age', async () => {
    const on = await duck()
    const table = tableOf(on, { id: 'int64', total: 'float64' }, [
      { id: 1, total: 1, key: 'a' },
      { id: 2, total: 5, key: 'b' },
      { id: 2, total: 2, key: 'a' },
      { id: null, total: 1, key: 'a' },
      { id: null, total: null, key: 'a' },
    ])
    expect(await judged(table, { expect: 'unique', columns: ['id'] })).toMatchObject({
      passed: false,
      measured: 1,
      explanation: '1 row of 5 repeat id: 1 value comes more than once.',
    })
    expect((await judged(table, { expect: 'unique', columns: ['id', 'user_id'] })).passed).toBe(true)
    expect(await judged(table, { expect: 'monotonic', column: 'total' })).toMatchObject({ passed: false, measured: 1 })
    expect(await judged(table, { expect: 'rowCount', min: 6 })).toMatchObject({
      passed: false,
      explanation: 'There are 5 rows; expected at least 6.',
    })
    expect((await judged(table, { expect: 'freshness', max: '1h' }, START_MS + 3_000_000)).passed).toBe(true)
    expect(await judged(table, { expect: 'freshness', max: '1h' }, START_MS + 7_204_000)).toMatchObject({
      passed: false,
      measured: 7_200_000,
      explanation: 'The newest row is of 2026-11-01T00:00:04Z, 2 h old; it may be 1h old.',
    })
    const empty = tableOf(on, { total: 'float64' }, [])
    expect((await judged(empty, { expect: 'freshness', max: '1h' })).passed).toBe(false)
    expect((await judged(empty, { expect: 'rowCount', min: 1 })).passed).toBe(false)
    expect((await judged(empty, { expect: 'nullShare', column: 'total', max: 0 })).passed).toBe(true)
  })

  it('refuse a column that is not there, naming those that are', async () => {
    const table = tableOf(await duck(), { amount: 'float64' }, [{ amount: 1 }])
    await expect(judged(table, { expect: 'notNull', column: 'amout' })).rejects.toThrow(
      'there is no column "amout"; there are user_id, amount',
    )
  })

  it('break where the rules for single rows break', async () => {
    const on = await duck()
    const rules: Expectation[] = [
      { expect: 'notNull', column: 'n' },
      { expect: 'range', column: 'n', min: -1, max: 2.5 },
      { expect: 'range', column: 's', min: 0 },
      { expect: 'type', column: 'n', type: 'int32' },
      { expect: 'oneOf', column: 'n', values: [1, 'a'] },
      { expect: 'oneOf', column: 's', values: [1, 'a'] },
      { expect: 'oneOf', column: 'b', values: [true] },
      { expect: 'regex', column: 's', pattern: '^[a-b]\\u00e9?$' },
      { expect: 'regex', column: 'n', pattern: 'a' },
    ]
    const row = fc.record({
      n: fc.option(fc.constantFrom(0, 1, 1.5, -1, 2.5, 3, 1e10, -0.5), { nil: null }),
      s: fc.option(fc.constantFrom('a', 'b', 'é', 'aé', '', "it's"), { nil: null }),
      b: fc.option(fc.boolean(), { nil: null }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 12 }), async (rows) => {
        const report = await checkSet({
          table: tableOf(on, { n: 'float64', s: 'string', b: 'bool' }, rows),
          expectations: rules,
          nowMs: 0,
        })
        rules.forEach((rule, i) => {
          const bad = checkRows({ name: 'orders', expectations: [rule] }, rows).breaches.length
          expect([rule, report.results[i]!.measured]).toEqual([rule, bad / rows.length])
        })
      }),
      { numRuns: 30 },
    )
  })
})

describe('the population stability index', () => {
  it('is the one of NumPy', () => {
    for (const { reference, actual, index } of fixtures.psi) {
      expect(populationStabilityIndex(reference, actual)).toBeCloseTo(index, 10)
    }
  })

  it('is measured against edges as NumPy bins them', async () => {
    const on = await duck()
    for (const { values, edges, reference, index } of fixtures.shifted) {
      const table = tableOf(
        on,
        { x: 'float64' },
        values.map((x) => ({ x })),
      )
      const result = await judged(table, {
        expect: 'distribution',
        column: 'x',
        reference: { edges, shares: reference },
      })
      expect(result.measured).toBeCloseTo(index, 10)
      expect(result.passed).toBe(index <= 0.2)
    }
  })

  it('is told with the bin that grew, of text too', async () => {
    const rows = Array.from({ length: 100 }, (_, i) => ({ s: i < 60 ? 'new' : i < 80 ? 'a' : 'b', web: i < 55 }))
    const table = tableOf(await duck(), { s: 'string', web: 'bool' }, rows)
    const result = await judged(table, {
      expect: 'distribution',
      column: 's',
      reference: { shares: { a: 0.5, b: 0.5 } },
    })
    expect(result.explanation).toContain('other values holds 60 % of the values, expected 0 %.')
    expect(result.explanation).toContain("Of them 91.7 % have web = 'true'")
  })
})

describe('inferred expectations', () => {
  const rowsOf = (n: number) =>
    Array.from({ length: n }, (_, i) => ({
      event_ms: START_MS + i * 60_000,
      key: `user_${i % 40}`,
      id: `o-${1000 + i}`,
      email: `p${i % 77}@shop.example`,
      amount: i % 17 === 0 ? null : ((i * 7919) % 1000) / 10,
      total: i,
      country: ['DE', 'FR', 'US'][i % 3]!,
    }))
  const columns = { id: 'string', email: 'string', amount: 'float64', total: 'int64', country: 'string' } as const

  it('say of data what a person would', async () => {
    const table = tableOf(await duck(), columns, rowsOf(2000))
    const inferred = await inferExpectations({ table, nowMs: START_MS + 2000 * 60_000 })
    const of = (expected: Partial<Expectation>) =>
      expect(inferred.expectations).toContainEqual(expect.objectContaining(expected))
    of({ expect: 'type', column: 'amount', type: 'float64' })
    of({ expect: 'notNull', column: 'id' })
    of({ expect: 'nullShare', column: 'amount', max: 0.099 })
    of({ expect: 'regex', column: 'id', pattern: '^o-\\d+$' })
    of({ expect: 'regex', column: 'email', pattern: '^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$' })
    of({ expect: 'range', column: 'amount', min: 0, max: 110 })
    of({ expect: 'oneOf', column: 'country', values: ['DE', 'FR', 'US'] })
    of({ expect: 'unique', columns: ['id'] })
    of({ expect: 'monotonic', column: 'total' })
    of({ expect: 'rowCount', min: 1000 })
    of({ expect: 'freshness', max: '1h' })
    of({ expect: 'distribution', column: 'country', reference: { shares: { DE: 0.3335, FR: 0.3335, US: 0.333 } } })
    expect(inferred.expectations.find((one) => one.expect === 'distribution' && one.column === 'amount')).toBeDefined()
  })

  it('give a module, the same each time', async () => {
    const table = tableOf(await duck(), columns, rowsOf(300))
    const write = async () => expectationsModule('card-orders', await inferExpectations({ table, nowMs: START_MS }))
    const module = await write()
    expect(await write()).toBe(module)
    expect(module).toContain('// Inferred from 300 rows of "card-orders", 2026-11-01 to 2026-11-01.')
    expect(module).toContain('export const cardOrdersExpectations: readonly Expectation[] = [')
    expect(module).toContain("  { expect: 'regex', column: 'id', pattern: '^o-\\\\d+$' },\n")
  })

  it('hold on the rows that they are inferred from', async () => {
    const on = await duck()
    const value = fc.oneof(
      fc.constantFrom(0, -0.1, 1e-9, 3e300, -5, 1 / 3, 123456.789),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.constant(null),
    )
    const row = fc.record({
      x: value,
      n: fc.option(fc.integer(), { nil: null }),
      s: fc.option(
        fc.oneof(
          fc.constantFrom('a1', 'a22', "it's", 'x.y[1]', ''),
          fc.string({ maxLength: 3, unit: fc.constantFrom('a', 'é', '1', '\\', '|', '-') }),
        ),
        { nil: null },
      ),
      b: fc.option(fc.boolean(), { nil: null }),
      key: fc.constantFrom('a', 'b'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 30 }), fc.constantFrom(1, 60), async (some, times) => {
        const rows = Array.from({ length: times }, () => some).flat()
        const table = tableOf(on, { x: 'float64', n: 'int64', s: 'string', b: 'bool' }, rows)
        const nowMs = START_MS + rows.length * 1000
        const { expectations } = await inferExpectations({ table, nowMs })
        const report = await checkSet({ table, expectations, nowMs })
        expect(report.results.filter(({ passed }) => !passed)).toEqual([])
        const bySingleRows = checkRows(
          { name: 'orders', expectations: expectations.filter((rule) => isRowRule(rule) && rule.column !== 'user_id') },
          rows,
        )
        expect(bySingleRows.breaches).toEqual([])
      }),
      { numRuns: 25 },
    )
  })
})
