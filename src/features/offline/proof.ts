// The proof: a sample of label rows, derived again in plain JavaScript from the sources' rows of their keys, with none of the plans. What
// the oracle looks at is chosen by two comparisons alone, eventMs and knownMs against the label's moment.
import type { Platform } from '../../core/index.js'
import { bruteForce } from '../aggregate/window-oracle.js'
import type { CompiledService, CompiledView } from '../compiled.js'
import { FeatureErrors } from '../errors.js'
import type { Value } from '../value.js'
import { integer, readerOf } from './duck-values.js'
import { featureSql, type Joined, joinedSql } from './joined.js'
import { computeRow, inputColumns } from './on-demand.js'
import type { Relation, SourceAccess } from './relation.js'
import { literal } from './sql-text.js'
import { wholeRelation } from './whole-relation.js'

interface SourceRow {
  readonly eventMs: number
  readonly knownMs: number
  readonly id: string | undefined
  readonly values: readonly Value[]
}

/** Checks `rows` label rows, chosen by chance. Throws FEATURE_PROOF_FAILED at the first difference. */
export async function prove(
  access: SourceAccess,
  service: CompiledService,
  joined: Joined,
  sample: { readonly rows: number; readonly random: Platform['random'] },
): Promise<{ rows: number; values: number }> {
  const { duck } = access
  const chosen = choose(sample.rows, joined.labels.rows, sample.random)
  if (chosen.length === 0) return { rows: 0, values: 0 }
  await duck.run(`CREATE OR REPLACE TABLE chosen AS SELECT unnest([${chosen.join(', ')}])::BIGINT AS rid`)
  const inputs = inputColumns(service, joined)
  const computed = service.features.filter(({ from }) => from.kind === 'on-demand')
  const written = service.features.map((feature) => ({
    ...feature,
    read: readerOf(feature.type),
    sql:
      feature.from.kind === 'view'
        ? featureSql(joined.parts, feature.from.view, feature.from.index, feature.fallback)
        : `o.o${computed.indexOf(feature)}`,
  }))
  const keyColumns = joined.labels.keys.map((_, i) => `l.key${i}`)
  const columns = ['l.rid', 'l.at_ms', ...keyColumns, ...written.map(({ sql }) => sql), ...inputs.map(({ sql }) => sql)]
  const from = joinedSql(joined)
  const where = `${from.includes(' WHERE ') ? 'AND' : 'WHERE'} l.rid IN (SELECT rid FROM chosen)`
  const rows = await duck.rows(`SELECT ${columns.join(', ')} ${from} ${where} ORDER BY l.rid`)
  const history = new Map<CompiledView, Map<string, SourceRow[]>>()
  for (const view of service.views) history.set(view, await rowsOfChosen(access, view, joined))

  let values = 0
  for (const row of rows) {
    const rid = Number(row[0])
    const atMs = row[1] === null ? undefined : Number(row[1])
    const keyOf = (view: CompiledView) => {
      const parts = view.keys.map(({ name }) => row[2 + joined.labels.keys.findIndex((key) => key.name === name)]!)
      return parts.some((part) => part === null) ? undefined : keyText(parts)
    }
    const derived = new Map(
      service.views.map((view) => {
        const key = keyOf(view)
        const known = key === undefined ? [] : (history.get(view)!.get(key) ?? [])
        return [view, atMs === undefined ? undefined : derive(view, known, atMs)]
      }),
    )
    const first = 2 + keyColumns.length
    const derivedOf = (view: CompiledView, index: number) => {
      const found = derived.get(view)
      return found === undefined ? view.features[index]!.fallback : found[index]!
    }
    const transforms = computeRow(
      service,
      inputs,
      (i) => {
        const { view, name, read } = inputs[i]!
        if (view === undefined) return read(row[first + written.length + i]!)
        return derivedOf(
          view,
          view.features.findIndex((feature) => feature.name === name),
        )
      },
      atMs ?? Number.NaN,
    )
    written.forEach(({ name, from: origin, read }, i) => {
      const there = read(row[first + i]!)
      const right =
        origin.kind === 'view' ? derivedOf(origin.view, origin.index) : transforms.get(origin.view.name)![origin.index]!
      values++
      if (isSame(there, right)) return
      const problem = `the plan says ${show(there)}, the oracle ${show(right)} (moment ${atMs === undefined ? 'none' : new Date(atMs).toISOString()})`
      throw FeatureErrors.PROOF_FAILED({ row: rid, feature: name, problem })
    })
  }
  return { rows: rows.length, values }
}

/** Rows of the sources, by key, of the chosen labels' keys. */
async function rowsOfChosen(
  access: SourceAccess,
  view: CompiledView,
  joined: Joined,
): Promise<Map<string, SourceRow[]>> {
  const relation = await wholeRelation(access, view)
  const keys = view.keys.map(({ name }) => `key${joined.labels.keys.findIndex((key) => key.name === name)}`)
  const wanted = keys.length === 1 ? keys[0]! : `(${keys.join(', ')})`
  const own = relation.keys.length === 1 ? relation.keys[0]! : `(${relation.keys.join(', ')})`
  const there = keys.map((key) => `${key} IS NOT NULL`).join(' AND ')
  const sql = `SELECT ${columnsOf(relation)} FROM (${relation.sql}) AS r WHERE ${own} IN
    (SELECT ${wanted} FROM ${joined.labels.sql} WHERE rid IN (SELECT rid FROM chosen) AND ${there})`
  const readers = relation.types.map(readerOf)
  const byKey = new Map<string, { row: SourceRow; seq: number | bigint }[]>()
  const first = relation.keys.length + 4
  for await (const chunk of access.duck.chunks(sql)) {
    for (const cells of chunk.getRows()) {
      const key = keyText(cells.slice(0, relation.keys.length))
      const id = cells[first - 2]
      const row = {
        eventMs: Number(cells[first - 4]),
        knownMs: Number(cells[first - 3]),
        id: id === null ? undefined : String(id),
        values: readers.map((read, i) => read(cells[first + i]!)),
      }
      const rows = byKey.get(key)
      if (rows) rows.push({ row, seq: integer(cells[first - 1]!) })
      else byKey.set(key, [{ row, seq: integer(cells[first - 1]!) }])
    }
  }
  // As they became known.
  const inOrder = (a: { row: SourceRow; seq: number | bigint }, b: { row: SourceRow; seq: number | bigint }) =>
    a.row.knownMs - b.row.knownMs || Number(a.seq) - Number(b.seq) || a.row.eventMs - b.row.eventMs
  return new Map([...byKey].map(([key, rows]) => [key, rows.sort(inOrder).map(({ row }) => row)]))
}

const columnsOf = (relation: Relation) =>
  [...relation.keys, 'event_ms', 'known_ms', 'id', 'seq', ...relation.values].join(', ')

/** A view's values at a moment; undefined without a row. */
function derive(view: CompiledView, rows: readonly SourceRow[], atMs: number): readonly Value[] | undefined {
  const known = rows.filter(({ knownMs }) => knownMs <= atMs)
  if (view.kind === 'windows') return bruteForce(view, known, atMs)
  let newest: SourceRow | undefined
  for (const row of known) {
    if (row.eventMs > atMs) continue
    if (newest === undefined || isLarger(row, newest)) newest = row
  }
  if (newest === undefined || (view.ttlMs !== undefined && atMs - newest.eventMs > view.ttlMs)) return undefined
  return newest.values
}

function isLarger(a: SourceRow, b: SourceRow): boolean {
  if (a.eventMs !== b.eventMs) return a.eventMs > b.eventMs
  if (a.knownMs !== b.knownMs) return a.knownMs > b.knownMs
  for (let i = 0; i < a.values.length; i++) {
    const order = compareValues(a.values[i]!, b.values[i]!)
    if (order !== 0) return order > 0
  }
  return false
}

/** Null below everything, text by code points, lists item by item. */
function compareValues(a: Value, b: Value): number {
  if (a === null || b === null) return (a === null ? 0 : 1) - (b === null ? 0 : 1)
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b))
  if (typeof a !== 'object' || typeof b !== 'object') return a < b ? -1 : a > b ? 1 : 0
  const left = Array.from(a as readonly Value[])
  const right = Array.from(b as readonly Value[])
  for (let i = 0; i < left.length && i < right.length; i++) {
    const order = compareValues(left[i]!, right[i]!)
    if (order !== 0) return order
  }
  return left.length - right.length
}

function isSame(a: Value, b: Value): boolean {
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return a === b
  const left = Array.from(a as readonly Value[])
  const right = Array.from(b as readonly Value[])
  return left.length === right.length && left.every((one, i) => isSame(one, right[i]!))
}

function show(value: Value): string {
  return value instanceof Float32Array
    ? `[${value.join(', ')}]`
    : typeof value === 'bigint'
      ? String(value)
      : JSON.stringify(value)
}

const keyText = (parts: readonly unknown[]) => parts.map((part) => literal(String(part))).join()

/** Rows of a sample without repetition, in order. */
function choose(count: number, of: number, random: Platform['random']): number[] {
  if (count >= of) return Array.from({ length: of }, (_, i) => i)
  const chosen = new Set<number>()
  while (chosen.size < count) chosen.add(Math.floor(random.next() * of))
  return [...chosen].sort((a, b) => a - b)
}
