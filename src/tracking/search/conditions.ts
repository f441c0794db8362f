// Comparisons as SQL. LIKE tells cases apart and ILIKE does not, on both databases.
import { type RawBuilder, type SqlBool, sql } from 'kysely'
import type { Sql } from '../../store/index.js'
import type { Comparison, Operator } from '../filter/parse.js'
import { headOf, WHOLE_LENGTH } from '../tables.js'

export type Condition = RawBuilder<SqlBool>
export type Dialect = Sql['dialect']

const SYMBOLS: Partial<Record<Operator, string>> = { '=': '=', '!=': '<>', '>': '>', '>=': '>=', '<': '<', '<=': '<=' }

/** `column` is text of ours, never a caller's. */
export function compare(dialect: Dialect, column: string, { operator, value }: Comparison): Condition {
  const left = sql.raw(column)
  switch (operator) {
    case 'IN':
      return sql`${left} in (${sql.join(value as readonly string[])})`
    case 'NOT IN':
      return sql`${left} not in (${sql.join(value as readonly string[])})`
    case 'LIKE':
      // SQLite's LIKE takes A for a; its GLOB does not, and has other signs.
      return dialect === 'sqlite' ? sql`${left} glob ${globOf(value as string)}` : sql`${left} like ${value} escape ''`
    case 'ILIKE':
      return dialect === 'sqlite' ? sql`${left} like ${value}` : sql`${left} ilike ${value} escape ''`
    case 'IS NULL':
      return sql`${left} is null`
    case 'IS NOT NULL':
      return sql`${left} is not null`
    default:
      return sql`${left} ${sql.raw(SYMBOLS[operator]!)} ${operandOf(value)}`
  }
}

/** Postgres would read `1.5` and `1e20` as what the column holds: whole numbers of 64 bits. */
function operandOf(value: Comparison['value']): RawBuilder<unknown> {
  return typeof value === 'number' && !Number.isSafeInteger(value)
    ? sql`cast(${value} as double precision)`
    : sql`${value}`
}

/** A text column that has a `head` beside it, of which there is an index. */
export function compareValue(dialect: Dialect, alias: string, comparison: Comparison): Condition {
  const { operator, value } = comparison
  if (isAboutHead(operator, value)) return compare(dialect, `${alias}.head`, comparison)
  const whole = compare(dialect, `${alias}.value`, comparison)
  if (operator !== '=') return whole
  return sql`${sql.raw(`${alias}.head`)} = ${headOf(value as string)} and ${whole}`
}

const EXACT: readonly Operator[] = ['=', '!=', 'IN', 'NOT IN']

/** Whether the head says as much as the whole: it is equal to nothing longer. */
export function isAboutHead(operator: Operator, value: Comparison['value']): boolean {
  if (!EXACT.includes(operator)) return false
  const texts: readonly unknown[] = Array.isArray(value) ? value : [value]
  return texts.every((text) => typeof text === 'string' && text.length < WHOLE_LENGTH)
}

/** Whether there is no more to a row's value than its head. As bytes, of which a text has no fewer than characters. */
export function hasWholeHead(alias: string): Condition {
  return sql`octet_length(${sql.raw(alias)}.head) < ${sql.lit(WHOLE_LENGTH)}`
}

/** NaN is unlike every number, as in IEEE 754; databases would have it otherwise. */
export function compareMetric(alias: string, { operator, value }: Comparison): Condition {
  const compared = sql<SqlBool>`${sql.raw(`${alias}.value`)} ${sql.raw(SYMBOLS[operator]!)} ${value}`
  const isNan = sql.raw(`${alias}.is_nan`)
  return operator === '!=' ? sql`(${isNan} = 1 or ${compared})` : sql`${isNan} = 0 and ${compared}`
}

export function allOf(conditions: readonly Condition[]): Condition {
  return conditions.length === 0 ? sql`1 = 1` : sql`${sql.join(conditions, sql` and `)}`
}

function globOf(pattern: string): string {
  return pattern.replace(/[*?[]/g, '[$&]').replaceAll('%', '*').replaceAll('_', '?')
}
