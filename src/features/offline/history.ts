// A view's history read in the order of its keys: what materialisation fills the online store from.
import type { DuckDBValue } from '@duckdb/node-api'
import type { CompiledKey, CompiledView } from '../compiled.js'
import { decodeKey, encodeKey, type KeyValue } from '../entity-key.js'
import { integer, readerOf } from './duck-values.js'
import { type Relation, relationOf, type SourceAccess, sourceOf, unreadable } from './relation.js'
import { literal } from './sql-text.js'
import type { HistoryEvent, HistoryRow } from './types.js'

export async function* readNewestRows(
  access: SourceAccess,
  view: CompiledView,
  range: {
    readonly afterKnownMs: number | undefined
    readonly throughKnownMs: number
    readonly afterKey?: string | undefined
  },
): AsyncIterable<readonly HistoryRow[]> {
  const relation = await relationOf(access, view)
  const known = [`known_ms <= ${ms(range.throughKnownMs)}`]
  if (range.afterKnownMs !== undefined) known.push(`known_ms > ${ms(range.afterKnownMs)}`)
  if (range.afterKey !== undefined) known.push(afterKeySql(view.keys, relation, range.afterKey))
  const keys = relation.keys.join(', ')
  const newest = ['event_ms', 'known_ms', ...relation.values].map((column) => `${column} DESC NULLS LAST`).join(', ')
  const sql = `SELECT ${[...relation.keys, 'event_ms', 'known_ms', ...relation.values].join(', ')}
    FROM (${relation.sql}) AS r WHERE ${known.join(' AND ')}
    QUALIFY row_number() OVER (PARTITION BY ${keys} ORDER BY ${newest}) = 1 ORDER BY ${keys}`
  const readers = relation.types.map(readerOf)
  const first = relation.keys.length + 2
  yield* batches(access, view, sql, (cells, key) => ({
    key,
    eventMs: Number(cells[first - 2]),
    knownMs: Number(cells[first - 1]),
    values: readers.map((read, i) => read(cells[first + i]!)),
  }))
}

export async function* readEvents(
  access: SourceAccess,
  view: CompiledView,
  range: {
    readonly fromMs: number
    readonly beforeMs: number
    readonly throughKnownMs: number
    readonly afterKey?: string | undefined
  },
): AsyncIterable<readonly HistoryEvent[]> {
  const relation = await relationOf(access, view)
  const where = [
    `event_ms >= ${ms(range.fromMs)}`,
    `event_ms < ${ms(range.beforeMs)}`,
    `known_ms <= ${ms(range.throughKnownMs)}`,
  ]
  if (range.afterKey !== undefined) where.push(afterKeySql(view.keys, relation, range.afterKey))
  const sql = `SELECT ${[...relation.keys, 'event_ms', 'known_ms', 'id', ...relation.values].join(', ')}
    FROM (${relation.sql}) AS r WHERE ${where.join(' AND ')}
    ORDER BY ${relation.keys.join(', ')}, known_ms, seq, event_ms, id`
  const readers = relation.types.map(readerOf)
  const first = relation.keys.length + 3
  yield* batches(access, view, sql, (cells, key) => ({
    key,
    eventMs: Number(cells[first - 3]),
    knownMs: Number(cells[first - 2]),
    id: cells[first - 1] === null ? undefined : String(cells[first - 1]),
    values: readers.map((read, i) => read(cells[first + i]!)),
  }))
}

/** When the newest row of a view's source became known, of those known by then; undefined without any. */
export async function readNewestKnownMs(
  access: SourceAccess,
  view: CompiledView,
  throughKnownMs: number,
): Promise<number | undefined> {
  const relation = await relationOf(access, view)
  const sql = `SELECT max(known_ms) FROM (${relation.sql}) AS r WHERE known_ms <= ${ms(throughKnownMs)}`
  try {
    for await (const chunk of access.duck.chunks(sql)) {
      for (const [newest] of chunk.getRows())
        return newest === null || newest === undefined ? undefined : Number(newest)
    }
    return undefined
  } catch (error) {
    throw unreadable(sourceOf(view), error)
  }
}

async function* batches<T>(
  access: SourceAccess,
  view: CompiledView,
  sql: string,
  make: (cells: readonly DuckDBValue[], key: string) => T,
): AsyncIterable<readonly T[]> {
  const { keys } = view
  try {
    for await (const chunk of access.duck.chunks(sql)) {
      yield chunk.getRows().map((cells) => {
        const key = encodeKey(keys, (name) => keyValue(cells[keys.findIndex((one) => one.name === name)]!))
        return make(cells, key)
      })
    }
  } catch (error) {
    throw unreadable(sourceOf(view), error)
  }
}

const keyValue = (value: DuckDBValue) => (typeof value === 'bigint' ? integer(value) : value)

function afterKeySql(keys: readonly CompiledKey[], relation: Relation, afterKey: string): string {
  const values = decodeKey(keys, afterKey)
  return `(${relation.keys.join(', ')}) > (${values.map((value, i) => keyLiteral(keys[i]!, value)).join(', ')})`
}

/** A part of a decoded key in SQL. */
export function keyLiteral(key: CompiledKey, value: KeyValue): string {
  // In brackets: a cast binds tighter than the sign, and 2^63 is no BIGINT.
  return key.type === 'int64' ? `(${value})::BIGINT` : literal(String(value))
}

/** Infinite ranges as the ends of what DuckDB counts. */
function ms(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '9223372036854775807'
  return value === Number.NEGATIVE_INFINITY ? '-9223372036854775807' : String(Math.floor(value))
}
