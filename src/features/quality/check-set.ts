// Rules over a whole set of rows, counted by DuckDB in one pass (uniqueness and order of time take one of their own each), and explained
// where they are broken: since when, how much more than before, and in which segment.
import type { Expectation } from '../definitions/expectation.js'
import { type Duration, durationMs } from '../duration.js'
import { FeatureErrors } from '../errors.js'
import { type Onset, onsetOf, segmentsOf } from './anomaly.js'
import { counted, dateText, number, percent, segmentText } from './phrases.js'
import { populationStabilityIndex } from './psi.js'
import { columnOf, type QualityColumn, type QualityTable } from './quality-table.js'
import { checkRules, isRowRule, reasonOf } from './row-rules.js'
import { binsSql, breachSql } from './rule-sql.js'
import type { QualityReport, RuleResult } from './types.js'

export interface CheckSetOptions {
  readonly table: QualityTable
  readonly expectations: readonly Expectation[]
  readonly nowMs: number
  /** Judges rows of this event time or later, and compares them with those before; default: all rows. */
  readonly sinceMs?: number
}

const DEFAULT_PSI = 0.2

/**
 * Judges a set of rows. Throws FEATURE_EXPECTATION_INVALID for a rule about a column that is not there.
 *
 * ```ts
 * const report = await checkSet({ table, expectations, nowMs: clock.nowMs() })
 * report.results.filter((result) => !result.passed).map((result) => result.explanation)
 * ```
 */
export async function checkSet(options: CheckSetOptions): Promise<QualityReport> {
  const { table, expectations, nowMs } = options
  checkRules({ name: table.name, expectations })
  const measures: string[] = []
  const measure = (sql: string): number => measures.push(sql) - 1
  const rows = measure('count(*)')
  const newest = measure('max(event_ms)')
  const plans = expectations.map((rule) => plan(rule, options, measure))
  const scope = options.sinceMs === undefined ? '' : ` WHERE event_ms >= ${Math.trunc(options.sinceMs)}`
  const [found] = await table.duck.rows(`SELECT ${measures.join(', ')} FROM (${table.sql})${scope}`)
  const values = found!.map((value) => (value === null ? null : Number(value)))
  const facts: Facts = {
    rows: values[rows] ?? 0,
    newestMs: values[newest] ?? null,
    valueAt: (at) => values[at] ?? 0,
    scope,
  }
  const results: RuleResult[] = []
  for (const judge of plans) results.push(await judge(facts))
  return {
    of: table.name,
    rows: facts.rows,
    passed: results.every(({ passed }) => passed),
    results,
    checkedMs: nowMs,
  }
}

interface Facts {
  readonly rows: number
  readonly newestMs: number | null
  readonly valueAt: (measure: number) => number
  /** WHERE clause, or nothing. */
  readonly scope: string
}

type Judge = (facts: Facts) => RuleResult | Promise<RuleResult>

function plan(rule: Expectation, options: CheckSetOptions, measure: (sql: string) => number): Judge {
  const { table, nowMs } = options
  const reason = reasonOf(rule)
  const column = (name: string): QualityColumn => {
    const found = columnOf(table, name)
    if (found) return found
    const problem = `there is no column "${name}"; there are ${table.columns.map((one) => one.name).join(', ')}`
    throw FeatureErrors.EXPECTATION_INVALID({ where: `${table.name}: ${reason}`, problem })
  }
  const result = (passed: boolean, measured: number | null, explanation: string): RuleResult => ({
    rule,
    reason,
    passed,
    measured,
    explanation,
    segments: [],
  })

  if (isRowRule(rule)) {
    const of = column(rule.column)
    const breach = breachSql(rule, of)
    const at = measure(`count(*) FILTER (WHERE ${breach})`)
    return async ({ rows, valueAt }) => {
      const bad = valueAt(at)
      if (bad === 0) return result(true, 0, `All ${counted(rows, 'row')} keep "${reason}".`)
      const what = `Share of rows that break "${reason}"`
      return explained(options, result(false, bad / rows, ''), what, breach, of, bad, rows, 0)
    }
  }
  switch (rule.expect) {
    case 'nullShare': {
      const of = column(rule.column)
      const breach = `${of.sql} IS NULL`
      const at = measure(`count(*) FILTER (WHERE ${breach})`)
      return async ({ rows, valueAt }) => {
        const share = rows === 0 ? 0 : valueAt(at) / rows
        const what = `Null share of ${rule.column}`
        if (share <= rule.max) return result(true, share, `${what} is ${percent(share)}, at most ${percent(rule.max)}.`)
        return explained(options, result(false, share, ''), what, breach, of, valueAt(at), rows, rule.max)
      }
    }
    case 'rowCount':
      return ({ rows }) => {
        const { min = 0, max = Number.POSITIVE_INFINITY } = rule
        const wanted = rule.max === undefined ? `at least ${number(min)}` : `${number(min)} to ${number(max)}`
        const passed = rows >= min && rows <= max
        return result(passed, rows, `There are ${counted(rows, 'row')}; expected ${wanted}.`)
      }
    case 'freshness': {
      const maxMs = durationMs(rule.max as Duration, `${table.name}: freshness`)
      return ({ newestMs }) => {
        if (newestMs === null) return result(false, null, `There is no row; the newest may be ${rule.max} old.`)
        const ageMs = Math.max(0, nowMs - newestMs)
        const text = `The newest row is of ${dateText(newestMs, true)}, ${hours(ageMs)} old; it may be ${rule.max} old.`
        return result(ageMs <= maxMs, ageMs, text)
      }
    }
    case 'unique': {
      const columns = rule.columns.map((name) => column(name).sql)
      return async ({ scope, rows }) => {
        const there = columns.map((sql) => `${sql} IS NOT NULL`).join(' AND ')
        const [found] = await table.duck.rows(
          `SELECT coalesce(sum(n - 1), 0), count(*) FROM (SELECT count(*) AS n FROM (SELECT * FROM (${table.sql})${scope}) WHERE ${there} GROUP BY ${columns.join(', ')} HAVING count(*) > 1)`,
        )
        const extra = Number(found![0])
        const names = rule.columns.join(', ')
        return result(
          extra === 0,
          extra,
          extra === 0
            ? `${names} is unique in ${counted(rows, 'row')}.`
            : `${counted(extra, 'row')} of ${number(rows)} repeat ${names}: ${counted(Number(found![1]), 'value')} come${Number(found![1]) === 1 ? 's' : ''} more than once.`,
        )
      }
    }
    case 'monotonic': {
      const of = column(rule.column)
      const isFalling = rule.direction === 'falling'
      const keys = table.keys.length === 0 ? '' : `PARTITION BY ${table.keys.join(', ')} `
      return async ({ scope }) => {
        const [found] = await table.duck.rows(
          `SELECT count(*) FILTER (WHERE v ${isFalling ? '>' : '<'} before), count(before) FROM (
             SELECT v, lag(v) OVER (${keys}ORDER BY event_ms, known_ms, v${isFalling ? ' DESC' : ''}) AS before
             FROM (SELECT *, ${of.sql} AS v FROM (${table.sql})${scope}) WHERE v IS NOT NULL)`,
        )
        const breaks = Number(found![0])
        const steps = Number(found![1])
        const text = `${rule.column} ${isFalling ? 'rises' : 'falls'} in ${counted(breaks, 'step')} of ${number(steps)} from one row of an entity to its next.`
        return result(
          breaks === 0,
          breaks,
          breaks === 0 ? `${rule.column} never ${isFalling ? 'rises' : 'falls'}.` : text,
        )
      }
    }
    case 'distribution': {
      const of = column(rule.column)
      const bins = binsSql(rule.reference, of)
      const at = bins.conditions.map((condition) => measure(`count(*) FILTER (WHERE ${condition})`))
      const max = rule.max ?? DEFAULT_PSI
      return async ({ valueAt, scope }) => {
        const counts = at.map(valueAt)
        const total = counts.reduce((sum, count) => sum + count, 0)
        if (total === 0) return result(false, null, `${rule.column} has no value to compare with its reference.`)
        const shares = counts.map((count) => count / total)
        const index = populationStabilityIndex(bins.shares, shares)
        const text = `The distribution of ${rule.column} is ${number(index)} away from its reference (population stability index; at most ${max})`
        if (index <= max) return result(true, index, `${text}.`)
        // The bin that grew most carries what is new.
        let most = 0
        for (let i = 1; i < shares.length; i++) {
          if (shares[i]! - bins.shares[i]! > shares[most]! - bins.shares[most]!) most = i
        }
        const segments = await segmentsOf(table, of, bins.conditions[most]!, scope)
        return {
          ...result(false, index, ''),
          explanation: `${text}: ${bins.labels[most]} holds ${percent(shares[most]!)} of the values, expected ${percent(bins.shares[most]!)}.${segmentText(segments)}`,
          segments,
        }
      }
    }
  }
}

/** "Null share of amount rose from 0.1 % to 12 %: 12,000 of 100,000 rows since 2026-11-20. Of them 98 % have country = 'DE'." */
async function explained(
  { table, sinceMs }: CheckSetOptions,
  result: RuleResult,
  what: string,
  breach: string,
  column: QualityColumn,
  bad: number,
  rows: number,
  max: number,
): Promise<RuleResult> {
  const onset: Onset | undefined = await onsetOf(table, breach, max, sinceMs)
  const scope = onset ? ` WHERE event_ms >= ${onset.sinceMs}` : ''
  const segments = await segmentsOf(table, column, breach, scope)
  const now = onset ?? { bad, rows }
  const share = percent(now.bad / now.rows)
  const change = onset ? `rose from ${percent(onset.shareBefore)} to ${share}` : `is ${share}, at most ${percent(max)}`
  const since = onset ? ` since ${dateText(onset.sinceMs, onset.sinceMs % 86_400_000 !== 0)}` : ''
  return {
    ...result,
    explanation: `${what} ${change}: ${number(now.bad)} of ${counted(now.rows, 'row')}${since}.${segmentText(segments)}`,
    segments,
  }
}

function hours(ms: number): string {
  if (ms < 3_600_000) return `${number(ms / 60_000)} min`
  return ms < 172_800_000 ? `${number(ms / 3_600_000)} h` : `${number(ms / 86_400_000)} d`
}
