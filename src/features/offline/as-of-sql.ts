// The point-in-time join as SQL. For a label at t it finds, among a key's rows with known_ms <= t, the one with the largest
// (event_ms <= t, known_ms, values).
//
// A row can be seen from v = max(event_ms, known_ms) on. Ordered by v, only rows that are the largest so far can ever be an answer; and
// among those, the last with v <= t is the answer. So rows are thinned to the running maxima and one ASOF join on v does the rest.
import type { ValueType } from '../value.js'
import type { Relation } from './relation.js'
import { choiceSql } from './value-sql.js'

export type SqlDialect = 'duckdb' | 'postgres'

/**
 * A SELECT of `rid`, `e` (event time of the row that was found; null for none, or one past its TTL) and v0… for every row of `labels`, a
 * relation of `rid`, `at_ms` and the keys. Both dialects give the same rows, in any order.
 */
export function planSql(
  dialect: SqlDialect,
  plan: { readonly labels: string; readonly relation: Relation; readonly ttlMs: number | undefined },
): string {
  const { labels, relation, ttlMs } = plan
  const within = ttlMs === undefined ? undefined : `l.at_ms - s.event_ms <= ${ttlMs}`
  const kept = (column: string, type: ValueType) => {
    if (within === undefined) return `s.${column}`
    if (dialect === 'postgres') return `CASE WHEN ${within} THEN s.${column} END`
    return choiceSql(type, within, `s.${column}`, 'NULL')
  }
  const values = relation.values.map((name, i) => `${kept(name, relation.types[i]!)} AS ${name}`)
  const found = ['l.rid', `${kept('event_ms', 'timestamp')} AS e`, ...values]
  const sameKey = relation.keys.map((key) => `l.${key} = s.${key}`).join(' AND ')
  if (dialect === 'postgres') {
    const newest = ['event_ms', 'known_ms', ...orderOf(relation, (value) => `${value} COLLATE "C"`)]
    return `SELECT ${found.join(', ')} FROM ${labels} AS l LEFT JOIN LATERAL (
  SELECT * FROM (${relation.sql}) AS s WHERE ${sameKey} AND s.event_ms <= l.at_ms AND s.known_ms <= l.at_ms
  ORDER BY ${newest.map((column) => `${column} DESC NULLS LAST`).join(', ')} LIMIT 1
) AS s ON true`
  }
  return `SELECT ${found.join(', ')} FROM ${labels} AS l ASOF LEFT JOIN (${thinned(relation)}) AS s ON ${sameKey} AND l.at_ms >= s.v`
}

function thinned(relation: Relation): string {
  const order = [
    'v',
    ...(relation.isKnownAtOnce ? [] : ['event_ms', 'known_ms']),
    ...orderOf(relation, (value) => value),
  ]
  const by = order.map((column) => `${column} NULLS FIRST`).join(', ')
  const v = relation.isKnownAtOnce ? 'event_ms' : 'greatest(event_ms, known_ms)'
  const carried = [...relation.keys, 'event_ms', 'v', ...relation.values].join(', ')
  // Of rows that are seen at one moment the last in order is the largest; of one that is older than an earlier-seen row nothing is left.
  const window = `WINDOW w AS (PARTITION BY ${relation.keys.join(', ')} ORDER BY ${by} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)`
  const newest = relation.isKnownAtOnce ? '' : ', max(event_ms) OVER w AS newest_ms'
  return `SELECT ${carried} FROM (SELECT *, lead(v) OVER w AS next_v${newest} FROM (SELECT *, ${v} AS v FROM (${relation.sql}) AS r) AS seen ${window}) AS marked WHERE next_v IS DISTINCT FROM v${relation.isKnownAtOnce ? '' : ' AND event_ms = newest_ms'}`
}

/** Values as they break ties, the larger one wins: null below everything, text by its code points. */
function orderOf(relation: Relation, text: (value: string) => string): string[] {
  return relation.values.map((value, i) => (isText(relation.types[i]!) ? text(value) : value))
}

const isText = (type: ValueType) => type === 'string' || type === 'string[]'
