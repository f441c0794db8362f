// Why a rule is broken: since when, and where the rows that break it are concentrated.
import type { QualityColumn, QualityTable } from './quality-table.js'
import type { Segment } from './types.js'

export interface Onset {
  readonly sinceMs: number
  /** Of the rows before. */
  readonly shareBefore: number
  /** Of the rows since. */
  readonly bad: number
  readonly rows: number
}

const DAY_MS = 86_400_000
/** Columns of more values are names, not segments. */
const MAX_VALUES = 50
const MAX_COLUMNS = 30
/** A segment says something when it holds this share of the rows, this many times its share of all rows. */
const MIN_SHARE = 0.3
const MIN_LIFT = 1.5

/**
 * When it began: at `sinceMs` if that is given, else the first day from which on every day's share is above `max`.
 * undefined when there is nothing before, or it was no better.
 */
export async function onsetOf(
  table: QualityTable,
  breach: string,
  max: number,
  sinceMs: number | undefined,
): Promise<Onset | undefined> {
  const period = sinceMs === undefined ? `event_ms // ${DAY_MS}` : `CAST(event_ms >= ${Math.trunc(sinceMs)} AS INTEGER)`
  const found = await table.duck.rows(
    `SELECT ${period} AS period, count(*), count(*) FILTER (WHERE ${breach}) FROM (${table.sql}) GROUP BY period ORDER BY period`,
  )
  const days = found.map(([period, rows, bad]) => ({ period: Number(period), rows: Number(rows), bad: Number(bad) }))
  let first = days.length
  if (sinceMs === undefined) while (first > 0 && days[first - 1]!.bad / days[first - 1]!.rows > max) first--
  else first = days.findIndex(({ period }) => period === 1)
  if (first <= 0 || first >= days.length) return undefined
  const sum = (of: typeof days) =>
    of.reduce((all, { rows, bad }) => ({ rows: all.rows + rows, bad: all.bad + bad }), { rows: 0, bad: 0 })
  const before = sum(days.slice(0, first))
  const since = sum(days.slice(first))
  const shareBefore = before.bad / before.rows
  if (shareBefore >= since.bad / since.rows) return undefined
  return { sinceMs: sinceMs ?? days[first]!.period * DAY_MS, shareBefore, ...since }
}

/** Values of columns with few values in which the rows of a condition are over-represented: at most three, one per column. */
export async function segmentsOf(
  table: QualityTable,
  about: QualityColumn,
  condition: string,
  scope: string,
): Promise<Segment[]> {
  const candidates = table.columns.filter(
    ({ sql, type }) =>
      sql !== about.sql && (type === 'string' || type === 'bool' || type === 'int64' || type === 'int32'),
  )
  if (candidates.length === 0) return []
  const from = `(SELECT * FROM (${table.sql})${scope})`
  const [distinct] = await table.duck.rows(
    `SELECT ${candidates.map(({ sql }) => `approx_count_distinct(${sql})`).join(', ')} FROM ${from}`,
  )
  const few = candidates.filter((_, i) => Number(distinct![i]) <= MAX_VALUES).slice(0, MAX_COLUMNS)
  if (few.length === 0) return []
  // One pass for all columns: each row of the answer is of the one column that is grouped by.
  const sets = few.map(({ sql }) => `(${sql})`).join(', ')
  const which = few.map(({ sql }, i) => `WHEN grouping(${sql}) = 0 THEN ${i}`).join(' ')
  const value = few.map(({ sql }) => `WHEN grouping(${sql}) = 0 THEN CAST(${sql} AS VARCHAR)`).join(' ')
  const found = await table.duck.rows(
    `SELECT CASE ${which} END, CASE ${value} END, count(*), count(*) FILTER (WHERE ${condition}) FROM ${from} GROUP BY GROUPING SETS (${sets})`,
  )
  const rowsOf = found.filter(([at]) => Number(at) === 0)
  const all = rowsOf.reduce((sum, row) => sum + Number(row[2]), 0)
  const bad = rowsOf.reduce((sum, row) => sum + Number(row[3]), 0)
  if (bad === 0) return []
  const segments = found.map(([at, text, n, b]) => {
    const share = Number(b) / bad
    return {
      column: few[Number(at)]!.name,
      value: text === null ? null : String(text),
      rows: Number(b),
      share,
      lift: share / (Number(n) / all),
    }
  })
  const score = ({ share, lift }: Segment) => share * Math.log(lift)
  const telling = segments
    .filter(({ share, lift }) => share >= MIN_SHARE && lift >= MIN_LIFT)
    .sort((a, b) => score(b) - score(a) || (a.column < b.column ? -1 : 1))
  return few
    .flatMap(({ name }) => telling.find(({ column }) => column === name) ?? [])
    .sort((a, b) => score(b) - score(a) || (a.column < b.column ? -1 : 1))
    .slice(0, 3)
}
