// Columns as they stand in a source, as the values and moments that are declared: DuckDB expressions.
import type { ValueType } from '../value.js'
import { literal } from './sql-text.js'

/** DuckDB's type that holds values of a type; a timestamp is its milliseconds. */
export function duckType(type: ValueType): string {
  const scalar = SCALARS[type]
  if (scalar !== undefined) return scalar
  if (type.startsWith('float32[')) return type.replace('float32', 'FLOAT')
  return `${SCALARS[type.slice(0, -2)]!}[]`
}

const SCALARS: Readonly<Record<string, string>> = {
  float64: 'DOUBLE',
  float32: 'FLOAT',
  int64: 'BIGINT',
  int32: 'INTEGER',
  bool: 'BOOLEAN',
  string: 'VARCHAR',
  timestamp: 'BIGINT',
}

const WHOLE = /^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER)$/
const FRACTIONAL = /^(DOUBLE|FLOAT|DECIMAL)/

/** A column as a value of `type`. Fails while it runs on a value that is none; NaN is null. */
export function valueSql(column: string, from: string, type: ValueType, timeZone: string | undefined): string {
  if (type === 'timestamp') return momentSql(column, from, timeZone)
  const into = duckType(type)
  if (type === 'string' && from === 'JSON') return jsonText(column)
  if (type === 'float64' || type === 'float32') return `nullif(CAST(${column} AS ${into}), 'NaN')`
  if ((type === 'int64' || type === 'int32') && FRACTIONAL.test(from)) {
    const number = from.startsWith('DECIMAL') ? column : `nullif(${column}, 'NaN')`
    // DuckDB would round 1.5 to 2.
    return `CAST(CASE WHEN ${number} <> trunc(${number}) THEN error(CAST(${number} AS VARCHAR) || ' is no whole number') ELSE ${number} END AS ${into})`
  }
  return `CAST(${column} AS ${into})`
}

/** One value or, where `condition` does not hold, the other. DuckDB's CASE knows no arrays of a fixed length, but lists. */
export function choiceSql(type: ValueType, condition: string, value: string, other: string): string {
  if (!type.startsWith('float32[')) return `CASE WHEN ${condition} THEN ${value} ELSE ${other} END`
  const list = (one: string) => `CAST(${one} AS FLOAT[])`
  return `CAST(CASE WHEN ${condition} THEN ${list(value)} ELSE ${list(other)} END AS ${duckType(type)})`
}

/** An entity key as text or a 64-bit integer. */
export function keySql(column: string, from: string, type: 'string' | 'int64'): string {
  return valueSql(column, from, type, undefined)
}

/**
 * A column as whole milliseconds since the epoch. Numbers count from the epoch: below 10^11 in size they are seconds, below 10^14
 * milliseconds, below 10^17 microseconds, else nanoseconds. Text is ISO 8601, or such a number.
 */
export function momentSql(column: string, from: string, timeZone: string | undefined): string {
  if (from === 'JSON') return momentSql(jsonText(column), 'VARCHAR', timeZone)
  if (from === 'TIMESTAMP WITH TIME ZONE') return `epoch_ms(${column})`
  if (from.startsWith('TIMESTAMP') || from === 'DATE') return local(`CAST(${column} AS TIMESTAMP)`, timeZone)
  if (WHOLE.test(from) || FRACTIONAL.test(from)) return numberMs(`CAST(${column} AS DOUBLE)`)
  if (from === 'VARCHAR') {
    const text = `trim(${column})`
    // Nearly all text is of the first form, which costs a quarter of the others.
    return `CASE WHEN regexp_full_match(${column}, '\\d{4}-\\d\\d-\\d\\d[T ]\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,6})?Z') THEN epoch_ms(CAST(${column}[:-2] AS TIMESTAMP))
      WHEN regexp_full_match(${text}, '[+-]?\\d+(\\.\\d+)?') THEN ${numberMs(`CAST(${text} AS DOUBLE)`)}
      WHEN regexp_full_match(${text}, '.*\\d[Tt ]\\d.*([Zz]|[+-]\\d\\d(:?\\d\\d)?)') THEN epoch_ms(CAST(${text} AS TIMESTAMPTZ))
      ELSE ${local(`CAST(${text} AS TIMESTAMP)`, timeZone)} END`
  }
  return `error(${literal(`${from} is no moment`)})`
}

/** DuckDB says JSON of a column that holds numbers and text; a cast would leave the text in its quotes. */
function jsonText(column: string): string {
  return `json_extract_string(${column}, '$')`
}

/** As millisecondsOf in check-value.ts. */
function numberMs(number: string): string {
  const size = `abs(${number})`
  return `CAST(CASE WHEN isfinite(${number}) THEN floor(CASE WHEN ${size} < 1e11 THEN floor(${number} * 1e6 + 0.5) / 1e3
    WHEN ${size} < 1e14 THEN ${number} WHEN ${size} < 1e17 THEN ${number} / 1e3 ELSE floor(${number} / 1e3 + 0.5) / 1e3 END) END AS BIGINT)`
}

/** A clock's reading in a zone. Of an hour that it shows twice the first is meant, where DuckDB takes the second. */
function local(timestamp: string, timeZone: string | undefined): string {
  if (timeZone === undefined || timeZone === 'UTC') return `epoch_ms(${timestamp})`
  const zone = literal(timeZone)
  const later = `timezone(${zone}, ${timestamp})`
  const earlier = (minutes: number) => `${later} - INTERVAL ${minutes} MINUTE`
  const reads = (minutes: number) => `timezone(${zone}, ${earlier(minutes)}) = ${timestamp}`
  return `epoch_ms(CASE WHEN ${reads(60)} THEN ${earlier(60)} WHEN ${reads(30)} THEN ${earlier(30)} ELSE ${later} END)`
}

/** The type that a column's values have when nothing is declared; undefined for what features cannot be made of. */
export function naturalType(from: string): ValueType | undefined {
  if (from === 'UBIGINT' || from === 'HUGEINT' || from === 'UHUGEINT') return 'int64'
  if (WHOLE.test(from)) return 'int64'
  if (FRACTIONAL.test(from)) return 'float64'
  if (from === 'VARCHAR' || from === 'UUID' || from.startsWith('ENUM')) return 'string'
  if (from === 'BOOLEAN') return 'bool'
  if (from.startsWith('TIMESTAMP') || from === 'DATE') return 'timestamp'
  const list = /^(.*)\[\d*\]$/.exec(from)
  const element = list ? naturalType(list[1]!) : undefined
  return element === 'int64' || element === 'float64' || element === 'string' || element === 'bool'
    ? `${element}[]`
    : undefined
}
