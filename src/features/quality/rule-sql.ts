// Rules as conditions in SQL: true for a row that breaks them. They say what row-rules.ts says; a test holds the two together.
import type { DistributionReference } from '../definitions/expectation.js'
import { literal } from '../offline/sql-text.js'
import { re2Pattern } from './pattern.js'
import type { QualityColumn } from './quality-table.js'
import type { RowRule } from './types.js'

const WHOLE = new Set(['int64', 'int32', 'timestamp'])
const FLOAT = new Set(['float64', 'float32'])
export const isNumeric = (type: string): boolean => WHOLE.has(type) || FLOAT.has(type)

/** A double, exactly. */
export const numberSql = (value: number): string => `CAST('${value}' AS DOUBLE)`

export function breachSql(rule: RowRule, { sql, type }: QualityColumn): string {
  const any = `${sql} IS NOT NULL`
  switch (rule.expect) {
    case 'notNull':
      return `${sql} IS NULL`
    case 'type':
      return typeBreachSql(rule.type, sql, type)
    case 'range': {
      if (!isNumeric(type)) return any
      const parts = [
        ...(rule.min === undefined ? [] : [`${sql} < ${numberSql(rule.min)}`]),
        ...(rule.max === undefined ? [] : [`${sql} > ${numberSql(rule.max)}`]),
      ]
      return parts.length === 0 ? 'false' : `(${parts.join(' OR ')})`
    }
    case 'oneOf': {
      const allowed = rule.values.flatMap((value) =>
        typeof value === 'number' && isNumeric(type)
          ? [numberSql(value)]
          : typeof value === 'string' && type === 'string'
            ? [literal(value)]
            : typeof value === 'boolean' && type === 'bool'
              ? [String(value)]
              : [],
      )
      return allowed.length === 0 ? any : `${sql} NOT IN (${allowed.join(', ')})`
    }
    case 'regex':
      return type === 'string' ? `NOT regexp_matches(${sql}, ${literal(re2Pattern(rule.pattern))})` : any
  }
}

/** The relation has one type per column already: what is left is whether its values fit another. */
function typeBreachSql(wanted: string, sql: string, type: string): string {
  if (wanted === type || (FLOAT.has(wanted) && isNumeric(type))) return 'false'
  if (wanted === 'int64' || wanted === 'timestamp') {
    if (WHOLE.has(type)) return 'false'
    if (FLOAT.has(type)) return `${sql} <> trunc(${sql})`
  }
  if (wanted === 'int32' && isNumeric(type))
    return `(${sql} <> trunc(${sql}) OR ${sql} NOT BETWEEN -2147483648 AND 2147483647)`
  return `${sql} IS NOT NULL`
}

/** A condition per bin, in the order of the reference's shares; null belongs to none. */
export function binsSql(
  reference: DistributionReference,
  { sql }: QualityColumn,
): { readonly conditions: string[]; readonly labels: string[]; readonly shares: number[] } {
  if ('edges' in reference) {
    const { edges } = reference
    const conditions = reference.shares.map(
      (_, i) =>
        [
          ...(i === 0 ? [] : [`${sql} >= ${numberSql(edges[i - 1]!)}`]),
          ...(i === edges.length ? [] : [`${sql} < ${numberSql(edges[i]!)}`]),
        ].join(' AND ') || `${sql} IS NOT NULL`,
    )
    const labels = reference.shares.map((_, i) =>
      i === 0 ? `below ${edges[0]}` : i === edges.length ? `from ${edges[i - 1]} on` : `${edges[i - 1]} to ${edges[i]}`,
    )
    return { conditions, labels, shares: [...reference.shares] }
  }
  const text = `CAST(${sql} AS VARCHAR)`
  const named = Object.keys(reference.shares).filter((value) => value !== '')
  const rest = named.length === 0 ? `${sql} IS NOT NULL` : `${text} NOT IN (${named.map(literal).join(', ')})`
  return {
    conditions: [...named.map((value) => `${text} = ${literal(value)}`), rest],
    labels: [...named.map((value) => `'${value}'`), 'other values'],
    shares: [...named.map((value) => reference.shares[value]!), reference.shares[''] ?? 0],
  }
}
