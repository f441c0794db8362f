// Windows at label moments: events and labels of a key in the order in which they could be known, through the aggregation engine. DuckDB
// sorts (and spills); this holds one key at a time.
import type { DuckDBValue } from '@duckdb/node-api'
import { createWindowEngine } from '../aggregate/engine.js'
import type { KeyState } from '../aggregate/types.js'
import type { CompiledWindowView } from '../compiled.js'
import type { Value } from '../value.js'
import type { Duck } from './duck.js'
import { readerOf, writersOf } from './duck-values.js'
import type { Relation } from './relation.js'
import { duckType } from './value-sql.js'

const EVICT_EVERY = 4096
const BATCH_ROWS = 2048

/**
 * Fills the table `into` (rid, e, v0…) with the features of every label whose key is known; `e` is the label's moment. `labels` is a relation of rid,
 * at_ms and the keys. `onRows` is told of labels done.
 */
export async function replayWindows(
  duck: Duck,
  view: CompiledWindowView,
  plan: {
    readonly labels: string
    readonly relation: Relation
    readonly into: string
    readonly onRows?: (rows: number) => void
  },
): Promise<void> {
  const { labels, relation, into } = plan
  const types = view.features.map(({ type }) => type)
  const columns = types.map((type, i) => `v${i} ${duckType(type)}`)
  await duck.run(`CREATE OR REPLACE TABLE ${into} (rid BIGINT, e BIGINT${columns.map((one) => `, ${one}`).join('')})`)
  const { BIGINT } = await import('@duckdb/node-api')
  const writers = await writersOf(types)
  const appending = await duck.append(into, [BIGINT, BIGINT, ...writers.types])
  const readers = relation.types.map(readerOf)
  const engine = createWindowEngine(view)
  const width = types.length
  const keyCount = relation.keys.length
  const first = keyCount + 6

  let out: DuckDBValue[][] = Array.from({ length: width + 2 }, () => [])
  const flush = (): void => {
    if (out[0]!.length === 0) return
    appending.add(out, out[0]!.length)
    out = Array.from({ length: width + 2 }, () => [])
  }
  let state: KeyState = engine.create()
  let key: DuckDBValue[] | undefined
  let added = 0
  let readAt: number | undefined
  let isKnown = false
  const row = new Array<Value>(width).fill(null)

  for await (const chunk of duck.chunks(orderedSql(view, relation, labels))) {
    const rows = chunk.rowCount
    const cells = Array.from({ length: chunk.columnCount }, (_, i) => chunk.getColumnValues(i))
    let labelsDone = 0
    for (let at = 0; at < rows; at++) {
      if (key === undefined || !isSameKey(key, cells, at)) {
        key = Array.from({ length: keyCount }, (_, i) => cells[i]![at]!)
        state = engine.create()
        added = 0
        readAt = undefined
      }
      const atMs = Number(cells[keyCount]![at])
      const rid = cells[keyCount + 2]![at]!
      if (rid === null) {
        const id = cells[keyCount + 5]![at]
        state.add({
          eventMs: Number(cells[keyCount + 3]![at]),
          knownMs: Number(cells[keyCount + 4]![at]),
          id: id === null ? undefined : (id as string),
          values: readers.map((read, i) => read(cells[first + i]![at]!)),
        })
        readAt = undefined
        if (++added % EVICT_EVERY === 0) state.evict(atMs)
        continue
      }
      labelsDone++
      // Labels of one moment share the work.
      if (readAt !== atMs) {
        isKnown = state.read(atMs, row, 0)
        readAt = atMs
      }
      if (!isKnown) continue
      out[0]!.push(rid)
      out[1]!.push(BigInt(atMs))
      for (let i = 0; i < width; i++) out[i + 2]!.push(writers.write[i]!(row[i]!))
      if (out[0]!.length === BATCH_ROWS) flush()
    }
    plan.onRows?.(labelsDone)
  }
  flush()
  appending.close()
}

function isSameKey(key: readonly DuckDBValue[], cells: readonly (readonly DuckDBValue[])[], at: number): boolean {
  for (let i = 0; i < key.length; i++) if (key[i] !== cells[i]![at]) return false
  return true
}

/** Keys, moment, kind (0 event, 1 label), rid, event_ms, known_ms, id, v0…: events of the labels' keys that some label can see, and the labels. */
function orderedSql(view: CompiledWindowView, relation: Relation, labels: string): string {
  const keys = relation.keys.join(', ')
  const none = relation.types.map((type, i) => `NULL::${duckType(type)} AS v${i}`)
  const there = relation.keys.map((key) => `${key} IS NOT NULL`).join(' AND ')
  const reach = view.maxWindowMs + view.hopMs
  const bounds = `(SELECT min(at_ms) - ${reach} AS from_ms, max(at_ms) AS to_ms FROM ${labels})`
  return `SELECT ${keys}, at_ms, kind, rid, event_ms, known_ms, id${relation.values.map((name) => `, ${name}`).join('')} FROM (
    SELECT ${keys}, known_ms AS at_ms, 0 AS kind, NULL::BIGINT AS rid, event_ms, known_ms, id, seq${relation.values.map((name) => `, ${name}`).join('')}
    FROM (${relation.sql}) AS r, ${bounds} AS bounds
    WHERE event_ms >= from_ms AND event_ms < to_ms AND known_ms <= to_ms
      AND (${keys}) IN (SELECT ${relation.keys.length > 1 ? `(${keys})` : keys} FROM ${labels} WHERE ${there})
    UNION ALL
    SELECT ${keys}, at_ms, 1 AS kind, rid, NULL::BIGINT, NULL::BIGINT, NULL::VARCHAR, 0::BIGINT AS seq${none.map((one) => `, ${one}`).join('')}
    FROM ${labels} WHERE ${there} AND at_ms IS NOT NULL
  ) AS rows_and_labels ORDER BY ${keys}, at_ms, kind, seq, event_ms, id`
}
