// Postgres' columns as the values and moments that are declared: what value-sql.ts is for DuckDB.
import type { CompiledView } from '../compiled.js'
import type { PostgresSource } from '../definitions/source.js'
import type { ValueType } from '../value.js'
import { declaredType, finish, idColumn, missing, type Relation, wantedColumns } from './relation.js'
import { ident, literal, subquery } from './sql-text.js'

export interface PostgresColumn {
  readonly name: string
  /** As format_type says it: `timestamp with time zone`, `bigint`, `text[]`. */
  readonly type: string
}

/** A source as a FROM item. */
export function postgresFrom(source: PostgresSource): string {
  if (source.query !== undefined) return `${subquery(source.query)} AS source`
  return `${(source.table ?? '').split('.').map(ident).join('.')} AS source`
}

/** A view's rows in Postgres' dialect, in the form of relationOf. */
export function postgresRelation(
  view: CompiledView,
  source: PostgresSource,
  columns: readonly PostgresColumn[],
): Relation {
  const byName = new Map(columns.map(({ name, type }) => [name, type]))
  const pick = (name: string, sql: (column: string, type: string) => string): string => {
    const old = Object.entries(source.renames ?? {}).flatMap(([from, now]) => (now === name ? [from] : []))
    const found = [name, ...old].filter((one) => byName.has(one))
    if (found.length === 0) throw missing(source, name, [...byName.keys()])
    const each = found.map((one) => sql(`source.${ident(one)}`, byName.get(one)!))
    return each.length === 1 ? each[0]! : `coalesce(${each.join(', ')})`
  }
  const moment = (name: string) => pick(name, (column, type) => postgresMoment(column, type, source.timeZone))
  const typeOf = (name: string): ValueType => {
    let type = declaredType(view, name)
    if (type === undefined) {
      pick(name, (column, from) => {
        type ??= postgresNatural(from)
        return column
      })
    }
    return type ?? 'string'
  }
  const wanted = wantedColumns(view, typeOf)
  const id = idColumn(view)
  const hasIds = id !== undefined && byName.has(id)
  const select = [
    ...view.keys.map(
      (key, i) => `${pick(key.name, (column, from) => postgresValue(column, from, key.type, undefined))} AS k${i}`,
    ),
    `${moment(source.eventTime)} AS event_ms`,
    ...(source.knownTime === undefined ? [] : [`${moment(source.knownTime)} AS known_ms`]),
    ...(hasIds ? [`source.${ident(id)}::text AS id, 0::bigint AS seq`] : []),
    ...wanted.map(
      ({ column, type }, i) =>
        `${pick(column, (one, from) => postgresValue(one, from, type, source.timeZone))} AS v${i}`,
    ),
  ]
  const types = wanted.map(({ type }) => type)
  return finish(
    view,
    `SELECT ${select.join(', ')} FROM ${postgresFrom(source)}`,
    types,
    source.knownTime === undefined,
    '',
    hasIds,
  )
}

const WHOLE = /^(smallint|integer|bigint)$/
const FRACTIONAL = /^(real|double precision|numeric)/

export function postgresValue(column: string, from: string, type: ValueType, timeZone: string | undefined): string {
  switch (type) {
    case 'timestamp':
      return postgresMoment(column, from, timeZone)
    case 'float64':
    case 'float32':
      return `nullif(${column}::${TYPES[type]}, 'NaN')`
    case 'int64':
    case 'int32': {
      if (!FRACTIONAL.test(from)) return `${column}::${TYPES[type]}`
      // Postgres would round 1.5 to 2; a text that is no number says so.
      const number = `nullif(${column}, 'NaN')`
      return `CASE WHEN ${number} <> trunc(${number}::numeric) THEN (${column}::text || ' is no whole number')::${TYPES[type]} ELSE ${number}::${TYPES[type]} END`
    }
    default:
      return `${column}::${TYPES[type] ?? 'real[]'}`
  }
}

const TYPES: Readonly<Record<string, string>> = {
  float64: 'double precision',
  float32: 'real',
  int64: 'bigint',
  int32: 'integer',
  bool: 'boolean',
  string: 'text',
  'float64[]': 'double precision[]',
  'int64[]': 'bigint[]',
  'string[]': 'text[]',
  'bool[]': 'boolean[]',
}

export function postgresMoment(column: string, from: string, timeZone: string | undefined): string {
  if (from.startsWith('timestamp') && from.endsWith('with time zone')) return epochMs(column)
  if (from.startsWith('timestamp') || from === 'date') return local(`${column}::timestamp`, timeZone)
  if (WHOLE.test(from) || FRACTIONAL.test(from)) return numberMs(`${column}::double precision`)
  const text = `trim(${column}::text)`
  return `CASE WHEN ${text} ~ '^[+-]?\\d+(\\.\\d+)?$' THEN ${numberMs(`${text}::double precision`)}
    WHEN ${text} ~* '\\d[t ]\\d.*(z|[+-]\\d\\d(:?\\d\\d)?)$' THEN ${epochMs(`${text}::timestamptz`)}
    ELSE ${local(`${text}::timestamp`, timeZone)} END`
}

const epochMs = (moment: string) => `floor(extract(epoch FROM ${moment}) * 1000)::bigint`

/** As millisecondsOf in check-value.ts. */
function numberMs(number: string): string {
  const size = `abs(${number})`
  return `floor(CASE WHEN ${size} < 1e11 THEN floor(${number} * 1e6 + 0.5) / 1e3 WHEN ${size} < 1e14 THEN ${number}
    WHEN ${size} < 1e17 THEN ${number} / 1e3 ELSE floor(${number} / 1e3 + 0.5) / 1e3 END)::bigint`
}

/** Of an hour that a clock shows twice the first is meant, where Postgres takes the second. */
function local(timestamp: string, timeZone: string | undefined): string {
  const zone = literal(timeZone ?? 'UTC')
  const later = `(${timestamp} AT TIME ZONE ${zone})`
  if (timeZone === undefined || timeZone === 'UTC') return epochMs(later)
  const earlier = (minutes: number) => `(${later} - interval '${minutes} minutes')`
  const reads = (minutes: number) => `${earlier(minutes)} AT TIME ZONE ${zone} = ${timestamp}`
  return epochMs(`(CASE WHEN ${reads(60)} THEN ${earlier(60)} WHEN ${reads(30)} THEN ${earlier(30)} ELSE ${later} END)`)
}

export function postgresNatural(from: string): ValueType {
  if (from === 'bigint') return 'int64'
  if (WHOLE.test(from)) return 'int32'
  if (FRACTIONAL.test(from)) return 'float64'
  if (from === 'boolean') return 'bool'
  if (from.startsWith('timestamp') || from === 'date') return 'timestamp'
  if (from.endsWith('[]')) {
    const element = postgresNatural(from.slice(0, -2))
    return element === 'timestamp' ? 'string[]' : element === 'int32' ? 'int64[]' : (`${element}[]` as ValueType)
  }
  return 'string'
}
