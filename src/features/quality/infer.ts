// Expectations that a set of rows keeps, to begin from: people know which of them are accidents of this data. Whatever is inferred holds on
// the rows it was inferred from, and the same rows give the same text.
import type { DistributionReference, Expectation } from '../definitions/expectation.js'
import { durationMs } from '../duration.js'
import { ident, literal } from '../offline/sql-text.js'
import { re2Pattern } from './pattern.js'
import type { QualityColumn, QualityTable } from './quality-table.js'
import { isNumeric, numberSql } from './rule-sql.js'

export interface InferOptions {
  readonly table: QualityTable
  readonly nowMs: number
  /** Rows of this event time or later; default: all. */
  readonly sinceMs?: number
}

export interface Inferred {
  readonly rows: number
  readonly fromMs: number | null
  readonly toMs: number | null
  readonly expectations: readonly Expectation[]
}

/** With fewer rows a set of values, a pattern, uniqueness or an order is more likely to be an accident. */
const MIN_ROWS = 100
/** With fewer, shares per bin are noise: the index of two samples of 1,000 rows in ten bins is about 0.02. */
const MIN_DISTRIBUTION_ROWS = 1000
const MAX_SET = 20
const MONTH_MS = 30 * 86_400_000

/** From the most telling to the least: the first that all values match is taken. */
const PATTERNS = [
  '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
  '^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$',
  '^\\d{4}-\\d{2}-\\d{2}$',
  '^\\d{4}-\\d{2}-\\d{2}[T ]\\d{2}:\\d{2}:\\d{2}',
  '^https?://\\S+$',
  '^\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}$',
  '^\\d+$',
  '^[0-9a-f]{16,}$',
]

/**
 * Infers expectations from rows.
 *
 * ```ts
 * const { expectations } = await inferExpectations({ table, nowMs: clock.nowMs() })
 * ```
 */
export async function inferExpectations(options: InferOptions): Promise<Inferred> {
  const { table, nowMs } = options
  const scope = options.sinceMs === undefined ? '' : ` WHERE event_ms >= ${Math.trunc(options.sinceMs)}`
  const from = `(SELECT * FROM (${table.sql})${scope})`
  const first = await firstPass(table, from)
  const { rows } = first
  const expectations: Expectation[] = []
  for (let c = 0; c < table.columns.length; c++) {
    const column = table.columns[c]!
    expectations.push(...(await ofColumn(table, column, first.columns[c]!, rows, from)))
  }
  for (let c = 0; c < table.columns.length; c++) {
    const { distinct, values } = first.columns[c]!
    if (rows >= MIN_ROWS && values === rows && distinct === rows && isKeyLike(table.columns[c]!)) {
      expectations.push({ expect: 'unique', columns: [table.columns[c]!.name] })
    }
  }
  expectations.push(...(await monotonicOnes(table, first, from)))
  if (rows > 0) {
    expectations.push({ expect: 'rowCount', min: Math.max(1, Math.floor(rows / 2)) })
    const freshness = freshnessOf(first, nowMs)
    if (freshness !== undefined) expectations.push({ expect: 'freshness', max: freshness })
  }
  return { rows, fromMs: first.fromMs, toMs: first.toMs, expectations }
}

interface ColumnFacts {
  readonly values: number
  readonly distinct: number
  readonly min: unknown
  readonly max: unknown
}

interface FirstPass {
  readonly rows: number
  readonly fromMs: number | null
  readonly toMs: number | null
  readonly columns: readonly ColumnFacts[]
}

async function firstPass(table: QualityTable, from: string): Promise<FirstPass> {
  const measures = table.columns.flatMap(({ sql, type }) =>
    isScalar(type)
      ? [`count(${sql})`, `count(DISTINCT ${sql})`, `min(${sql})`, `max(${sql})`]
      : [`count(${sql})`, '0', 'NULL', 'NULL'],
  )
  const [found] = await table.duck.rows(
    `SELECT count(*), min(event_ms), max(event_ms)${measures.map((sql) => `, ${sql}`).join('')} FROM ${from}`,
  )
  const [rows, fromMs, toMs, ...rest] = found!
  return {
    rows: Number(rows),
    fromMs: fromMs === null ? null : Number(fromMs),
    toMs: toMs === null ? null : Number(toMs),
    columns: table.columns.map((_, c) => ({
      values: Number(rest[c * 4]),
      distinct: Number(rest[c * 4 + 1]),
      min: rest[c * 4 + 2],
      max: rest[c * 4 + 3],
    })),
  }
}

const isScalar = (type: string): boolean => isNumeric(type) || type === 'string' || type === 'bool'
const isKeyLike = ({ type }: QualityColumn): boolean => type === 'string' || type === 'int64'

async function ofColumn(
  table: QualityTable,
  column: QualityColumn,
  facts: ColumnFacts,
  rows: number,
  from: string,
): Promise<Expectation[]> {
  const { name, type, sql } = column
  const { values, distinct } = facts
  const found: Expectation[] = [{ expect: 'type', column: name, type }]
  const nullShare = rows === 0 ? 0 : (rows - values) / rows
  if (rows > 0 && values === rows) found.push({ expect: 'notNull', column: name })
  else if (values > 0)
    found.push({ expect: 'nullShare', column: name, max: roundedUp(Math.min(1, nullShare * 1.5 + 0.01)) })
  if (values === 0 || !isScalar(type) || type === 'bool') return found
  const isSmallSet = values >= MIN_ROWS && distinct <= MAX_SET && values >= 20 * distinct
  if (type === 'string') {
    if (isSmallSet) {
      const shares = await sharesOf(table, sql, from)
      found.push({ expect: 'oneOf', column: name, values: shares.map(({ value }) => value).sort() })
      if (values >= MIN_DISTRIBUTION_ROWS && distinct > 1) {
        const reference = Object.fromEntries(shares.map(({ value, share }) => [value, share]))
        found.push({ expect: 'distribution', column: name, reference: { shares: reference } })
      }
      return found
    }
    const pattern = values >= MIN_ROWS ? await patternOf(table, column, facts, from) : undefined
    if (pattern !== undefined) found.push({ expect: 'regex', column: name, pattern })
    return found
  }
  if (type === 'timestamp') return found
  const min = Number(facts.min)
  const max = Number(facts.max)
  found.push({ expect: 'range', column: name, ...widened(min, max) })
  // Numbers of entities are not distributed in a way that lasts.
  const isKey = table.keys.includes(sql)
  if (!isKey && values >= MIN_DISTRIBUTION_ROWS && distinct > 1) {
    const reference = await binned(table, column, from)
    if (reference) found.push({ expect: 'distribution', column: name, reference })
  }
  return found
}

/** A tenth of the span more on both sides, but not below 0 where nothing is; both of two digits. */
function widened(min: number, max: number): { readonly min?: number; readonly max?: number } {
  const margin = (max - min) / 10 || Math.abs(max) / 10
  const low = twoDigits(min >= 0 ? Math.max(0, min - margin) : min - margin, Math.floor)
  const high = twoDigits(max + margin, Math.ceil)
  return {
    ...(Number.isFinite(low) ? { min: Math.min(min, low) } : {}),
    ...(Number.isFinite(high) ? { max: Math.max(max, high) } : {}),
  }
}

function twoDigits(value: number, round: (value: number) => number): number {
  const unit = 10 ** (Math.floor(Math.log10(Math.abs(value))) - 1)
  // Of the smallest numbers there is no tenth; 3 * 0.1 is not 0.3.
  return value === 0 || unit === 0 ? value : Number((round(value / unit) * unit).toPrecision(3))
}

const roundedUp = (share: number): number => Math.min(1, Math.ceil(share * 1000) / 1000)

async function sharesOf(
  table: QualityTable,
  sql: string,
  from: string,
): Promise<{ readonly value: string; readonly share: number }[]> {
  const found = await table.duck.rows(
    `SELECT ${sql} AS value, count(*) FROM ${from} WHERE value IS NOT NULL GROUP BY value ORDER BY value`,
  )
  const counts = found.map(([, count]) => Number(count))
  const shares = shared(counts)
  return found.map(([value], i) => ({ value: String(value), share: shares[i]! }))
}

/** Shares of four decimals that add up to 1. */
function shared(counts: readonly number[]): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0)
  const parts = counts.map((count) => Math.round((count / total) * 10_000))
  const largest = parts.indexOf(Math.max(...parts))
  parts[largest]! += 10_000 - parts.reduce((sum, part) => sum + part, 0)
  return parts.map((part) => part / 10_000)
}

/** Edges at the deciles, rounded where that keeps them apart. */
async function binned(
  table: QualityTable,
  { sql }: QualityColumn,
  from: string,
): Promise<DistributionReference | undefined> {
  const value = `CAST(${sql} AS DOUBLE)`
  const deciles = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
  const [found] = await table.duck.rows(
    `SELECT quantile_disc(${value}, [${deciles.join(', ')}]) FROM ${from} WHERE isfinite(${value})`,
  )
  const list = found?.[0] as { readonly items: readonly number[] } | null | undefined
  if (!list) return undefined
  const edges = [...new Set(list.items.map((edge) => Number(edge.toPrecision(4))))].sort((a, b) => a - b)
  const [counts] = await table.duck.rows(
    `SELECT ${[...edges.map((edge) => `count(*) FILTER (WHERE ${sql} < ${numberSql(edge)})`), `count(${sql})`].join(', ')} FROM ${from}`,
  )
  const below = counts!.map(Number)
  return { edges, shares: shared(below.map((count, i) => count - (i === 0 ? 0 : below[i - 1]!))) }
}

async function patternOf(
  table: QualityTable,
  { sql }: QualityColumn,
  { min, max }: ColumnFacts,
  from: string,
): Promise<string | undefined> {
  const prefix = commonPrefix(String(min), String(max)).replace(/\d+$/, '')
  const candidates = [...PATTERNS]
  if (prefix !== '') {
    const escaped = prefix.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
    candidates.push(`^${escaped}\\d+$`, `^${escaped}[0-9a-f]+$`, `^${escaped}[A-Za-z0-9_-]+$`)
  }
  candidates.push('^[A-Z]{2,3}$', '^[a-z][a-z0-9_-]*$')
  const [found] = await table.duck.rows(
    `SELECT ${candidates.map((pattern) => `count(*) FILTER (WHERE NOT regexp_matches(${sql}, ${literal(re2Pattern(pattern))}))`).join(', ')} FROM ${from}`,
  )
  const at = found!.findIndex((count) => Number(count) === 0)
  return candidates[at]
}

/** Of the smallest and the largest text: then of all. */
function commonPrefix(a: string, b: string): string {
  let i = 0
  while (i < a.length && a[i] === b[i]) i++
  return a.slice(0, i)
}

/** Numbers that never fall (or rise) from one row of an entity to the next, in at least as many steps as make it no accident. */
async function monotonicOnes(table: QualityTable, first: FirstPass, from: string): Promise<Expectation[]> {
  const candidates = table.columns.filter(
    ({ sql, type }, c) =>
      isNumeric(type) &&
      !table.keys.includes(sql) &&
      first.columns[c]!.values === first.rows &&
      first.columns[c]!.distinct > 1,
  )
  if (first.rows < MIN_ROWS || candidates.length === 0) return []
  const keys = table.keys.length === 0 ? '' : `PARTITION BY ${table.keys.join(', ')} `
  const steps = candidates.map(
    ({ sql }, i) =>
      `${sql} - lag(${sql}) OVER (${keys}ORDER BY event_ms, known_ms, ${sql}) AS ${ident(`rise${i}`)}, ${sql} - lag(${sql}) OVER (${keys}ORDER BY event_ms, known_ms, ${sql} DESC) AS ${ident(`fall${i}`)}`,
  )
  const counts = candidates.flatMap((_, i) =>
    [`rise${i}`, `fall${i}`].flatMap((name) => [
      `count(*) FILTER (WHERE ${ident(name)} > 0)`,
      `count(*) FILTER (WHERE ${ident(name)} < 0)`,
    ]),
  )
  const [found] = await table.duck.rows(`SELECT ${counts.join(', ')} FROM (SELECT ${steps.join(', ')} FROM ${from})`)
  const numbers = found!.map(Number)
  return candidates.flatMap(({ name }, i): Expectation[] => {
    const [rises, risesBroken, fallsBroken, falls] = numbers.slice(i * 4, i * 4 + 4)
    if (risesBroken === 0 && rises! >= MIN_ROWS / 2) return [{ expect: 'monotonic', column: name }]
    if (fallsBroken === 0 && falls! >= MIN_ROWS / 2)
      return [{ expect: 'monotonic', column: name, direction: 'falling' }]
    return []
  })
}

/** Twice the age of the newest row, at least an hour; nothing for data that were not fresh to begin with. */
function freshnessOf({ toMs }: FirstPass, nowMs: number): string | undefined {
  if (toMs === null || nowMs - toMs > MONTH_MS) return undefined
  const hours = Math.max(1, Math.ceil((2 * Math.max(0, nowMs - toMs)) / durationMs('1h', '')))
  return hours % 24 === 0 || hours > 72 ? `${Math.ceil(hours / 24)}d` : `${hours}h`
}
