// A view's source as one relation with columns of fixed names: k0… (entity keys), event_ms, known_ms, id, seq (decides between copies of
// an event), v0… (features of a row view, columns of a window view). Rows without a key or a time are left out.
import { stat } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { didYouMean, HeadraceError } from '../../core/index.js'
import type { CompiledView, WindowFeature } from '../compiled.js'
import type { FileSource, Source, StreamSource } from '../definitions/source.js'
import { FeatureErrors } from '../errors.js'
import { latenessMsOf } from '../seam.js'
import type { ValueType } from '../value.js'
import type { Duck } from './duck.js'
import { ident, literal, literals, subquery } from './sql-text.js'
import { duckType, keySql, momentSql, naturalType, valueSql } from './value-sql.js'

export interface Relation {
  /** A SELECT. */
  readonly sql: string
  readonly keys: readonly string[]
  /** `v0`, …, and what they hold. */
  readonly values: readonly string[]
  readonly types: readonly ValueType[]
  /** Every row was known when it happened. */
  readonly isKnownAtOnce: boolean
}

export interface SourceAccess {
  readonly duck: Duck
  readonly root: string
  readonly eventFiles: (source: string) => Promise<readonly string[]>
  /** Everything that was known since then is in them. */
  readonly eventsSinceMs: (source: string) => Promise<number>
  readonly nowMs: number
  readonly postgres: PostgresAccess
}

export interface PostgresAccess {
  columns(view: CompiledView): Promise<readonly Column[]>
  /** Loads a view's rows into a table. */
  load(duck: Duck, view: CompiledView): Promise<Relation>
}

interface Column {
  readonly name: string
  readonly type: string
}

export function sourceOf(view: CompiledView): Source {
  return view.source ?? view.stream!
}

export async function relationOf(access: SourceAccess, view: CompiledView): Promise<Relation> {
  const source = sourceOf(view)
  switch (source.kind) {
    case 'postgres':
      return access.postgres.load(access.duck, view)
    case 'push':
    case 'kafka':
      return eventRelation(await access.eventFiles(source.name), view, source)
    case 'file':
    case 'sql': {
      const columns = await sourceColumns(access, view)
      const read = readColumns(view)
      const from =
        source.kind === 'sql'
          ? subquery(source.query)
          : await filesSql(
              access,
              source,
              read.filter((name) => columns.some((column) => column.name === name)),
            )
      const described = source.kind === 'sql' ? columns : await describe(access, source, `SELECT * FROM ${from}`)
      return tableRelation(view, from, described)
    }
  }
}

/** Columns as they stand in the source now. */
export async function sourceColumns(access: SourceAccess, view: CompiledView): Promise<readonly Column[]> {
  const source = sourceOf(view)
  if (source.kind === 'push' || source.kind === 'kafka') {
    return Object.entries(source.columns).map(([name, type]) => ({ name, type: duckType(type) }))
  }
  if (source.kind === 'postgres') return access.postgres.columns(view)
  if (source.kind === 'file') return describe(access, source, `SELECT * FROM ${await filesSql(access, source)}`)
  try {
    await access.duck.checkSelect(source.query)
  } catch (error) {
    throw unreadable(source, error)
  }
  return describe(access, source, `SELECT * FROM ${subquery(source.query)}`)
}

async function describe(access: SourceAccess, source: Source, select: string): Promise<readonly Column[]> {
  try {
    return await access.duck.describe(select)
  } catch (error) {
    throw unreadable(source, error)
  }
}

/** FEATURE_SOURCE_UNREADABLE with what DuckDB (or the system) said. */
export function unreadable(source: Source, error: unknown): Error {
  if (error instanceof HeadraceError || (error instanceof Error && error.name === 'AbortError')) return error
  return FeatureErrors.SOURCE_UNREADABLE({ source: source.name, problem: sentence(error) }, error)
}

/** The first paragraph of a message, with a full stop. */
export function sentence(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error)).trim().split('\n\n')[0]!
  return /[.!?]$/.test(text) ? text : `${text}.`
}

/** Files of a source (or of labels), absolute, in a fixed order. */
export async function filesOf(duck: Duck, root: string, path: string): Promise<string[]> {
  const full = isAbsolute(path) ? path : join(root, path)
  // A name with a letter that globs know is taken as it stands when there is such a file.
  const isFile = await stat(full).then(
    (found) => found.isFile(),
    () => false,
  )
  if (isFile) return [full]
  const rows = await duck.rows(`SELECT file FROM glob(${literal(full)}) ORDER BY file`)
  return rows.map(([file]) => String(file))
}

export type FileFormat = 'parquet' | 'csv' | 'json'

export function formatOf(path: string): FileFormat | undefined {
  const name = path.toLowerCase().replace(/\.(gz|zst)$/, '')
  if (/\.(parquet|pq)$/.test(name)) return 'parquet'
  if (/\.(csv|tsv)$/.test(name)) return 'csv'
  return /\.(json|ndjson|jsonl)$/.test(name) ? 'json' : undefined
}

/** A table function over files. `asText`: columns of CSV files that are read as they are written, not as they look. */
export function readFilesSql(files: readonly string[], format: FileFormat, asText: readonly string[] = []): string {
  // Brackets, stars and question marks in a file's name are no patterns here.
  const list = literals(files.map((file) => file.replace(/[[*?]/g, '[$&]')))
  const union = files.length > 1 ? ', union_by_name = true' : ''
  switch (format) {
    case 'parquet':
      return `read_parquet(${list}${union})`
    case 'json':
      return `read_json(${list}, maximum_object_size = 67108864, sample_size = -1${union})`
    case 'csv': {
      const types = asText.map((name) => `${literal(name)}: 'VARCHAR'`).join(', ')
      return `read_csv(${list}, header = true, sample_size = 100000${types === '' ? '' : `, types = {${types}}`}${union})`
    }
  }
}

async function filesSql(access: SourceAccess, source: FileSource, asText: readonly string[] = []): Promise<string> {
  const files = await filesOf(access.duck, access.root, source.path).catch((error: unknown) => {
    throw unreadable(source, error)
  })
  const format = source.format ?? formatOf(source.path) ?? formatOf(files[0] ?? '')
  if (files.length === 0) {
    throw FeatureErrors.SOURCE_UNREADABLE({ source: source.name, problem: `No file is at "${source.path}".` })
  }
  if (format === undefined) {
    const problem = `"${source.path}" does not say its format by its name; give "format".`
    throw FeatureErrors.SOURCE_UNREADABLE({ source: source.name, problem })
  }
  return readFilesSql(files, format, asText)
}

/** Columns that are cast to a declared type, times included: those of CSV files are read as text first. */
function readColumns(view: CompiledView): string[] {
  const source = view.source!
  const names = new Set([...view.keys.map(({ name }) => name), source.eventTime])
  if (source.knownTime !== undefined) names.add(source.knownTime)
  const id = idColumn(view)
  if (id !== undefined) names.add(id)
  for (const column of view.columns) if (declaredType(view, column) !== undefined) names.add(column)
  for (const [old, now] of Object.entries(source.renames ?? {})) if (names.has(now)) names.add(old)
  return [...names]
}

/** A batch source that has the stream's event ids keeps them: copies count once, and ties fall as they do in the stream. */
export function idColumn(view: CompiledView): string | undefined {
  return view.kind === 'windows' ? view.stream?.eventId : undefined
}

/** Of a column that a view reads, by the declaration of the stream beside the source (both are one history), of the source, or by what its features need. */
export function declaredType(view: CompiledView, column: string): ValueType | undefined {
  const declared = view.stream?.columns[column] ?? sourceOf(view).columns?.[column]
  if (declared !== undefined) return declared
  if (view.kind === 'rows') return view.features.find((feature) => feature.column === column)?.type
  for (const feature of view.features) {
    const type = feature.column === column ? neededType(feature) : undefined
    if (type !== undefined) return type
  }
  return undefined
}

function neededType({ type, spec }: WindowFeature): ValueType | undefined {
  switch (spec.op) {
    case 'first':
    case 'last':
      return type
    case 'lastK':
    case 'topK':
    case 'currentItems':
      return type.slice(0, -2) as ValueType
    case 'distinct':
    case 'approxDistinct':
    case 'count':
      return undefined
    default:
      return 'float64'
  }
}

function tableRelation(view: CompiledView, from: string, columns: readonly Column[]): Relation {
  const source = view.source!
  const byName = new Map(columns.map((column) => [column.name, column.type]))
  const oldNames = (name: string) =>
    Object.entries(source.renames ?? {})
      .filter(([, now]) => now === name)
      .map(([old]) => old)
  /** A column under its new or old names. */
  const pick = (name: string, sql: (column: string, type: string) => string): string => {
    const found = [name, ...oldNames(name)].filter((one) => byName.has(one))
    if (found.length === 0) throw missing(source, name, [...byName.keys()])
    const each = found.map((one) => sql(ident(one), byName.get(one)!))
    return each.length === 1 ? each[0]! : `coalesce(${each.join(', ')})`
  }
  const moment = (name: string) => pick(name, (column, type) => momentSql(column, type, source.timeZone))
  const typeOf = (name: string): ValueType => {
    const declared = declaredType(view, name)
    if (declared !== undefined) return declared
    let natural: ValueType | undefined
    pick(name, (column, type) => {
      natural ??= naturalType(type)
      return column
    })
    if (natural !== undefined) return natural
    throw FeatureErrors.SOURCE_TYPE({
      source: source.name,
      column: name,
      arrived: String(byName.get(name)),
      wanted: 'a value',
    })
  }
  const wanted = wantedColumns(view, typeOf)
  const id = idColumn(view)
  const hasIds = id !== undefined && byName.has(id)
  const select = [
    ...view.keys.map((key, i) => `${pick(key.name, (column, type) => keySql(column, type, key.type))} AS k${i}`),
    `${moment(source.eventTime)} AS event_ms`,
    ...(source.knownTime === undefined ? [] : [`${moment(source.knownTime)} AS known_ms`]),
    ...(hasIds ? [`CAST(${ident(id)} AS VARCHAR) AS id, CAST(0 AS BIGINT) AS seq`] : []),
    ...wanted.map(
      ({ column, type }, i) => `${pick(column, (one, from) => valueSql(one, from, type, source.timeZone))} AS v${i}`,
    ),
  ]
  return finish(
    view,
    `SELECT ${select.join(', ')} FROM ${from}`,
    wanted.map(({ type }) => type),
    source.knownTime === undefined,
    '',
    hasIds,
  )
}

/** What v0… are. */
export function wantedColumns(
  view: CompiledView,
  typeOf: (column: string) => ValueType,
): { readonly column: string; readonly type: ValueType }[] {
  return view.kind === 'rows'
    ? view.features.map(({ column, type }) => ({ column, type }))
    : view.columns.map((column) => ({ column, type: typeOf(column) }))
}

export function missing(source: Source, column: string, columns: readonly string[]): Error {
  return FeatureErrors.SOURCE_SCHEMA({
    source: source.name,
    missing: column,
    columns,
    meant: didYouMean(column, columns),
  })
}

/** Fills in what a source has not: known_ms, id and seq. `inner` has k0…, event_ms, v0…. */
export function finish(
  view: CompiledView,
  inner: string,
  types: readonly ValueType[],
  isKnownAtOnce: boolean,
  where: string,
  hasIds: boolean,
): Relation {
  const keys = view.keys.map((_, i) => `k${i}`)
  const values = types.map((_, i) => `v${i}`)
  const known = isKnownAtOnce ? 'event_ms AS known_ms' : 'known_ms'
  const ids = hasIds ? 'id, seq' : 'CAST(NULL AS VARCHAR) AS id, CAST(0 AS BIGINT) AS seq'
  const there = [...keys, 'event_ms', ...(isKnownAtOnce ? [] : ['known_ms'])].map((name) => `${name} IS NOT NULL`)
  return {
    sql: `SELECT ${[...keys, 'event_ms', known, ids, ...values].join(', ')} FROM (${inner}) AS source WHERE ${there.join(' AND ')}${where}`,
    keys,
    values,
    types,
    isKnownAtOnce,
  }
}

/** The kept events of a stream source; its event log states the form. Late ones do not count. */
function eventRelation(files: readonly string[], view: CompiledView, source: StreamSource): Relation {
  const columnType = (name: string): ValueType => {
    const type = source.columns[name]
    if (type === undefined) throw missing(source, name, Object.keys(source.columns))
    return type
  }
  const wanted = wantedColumns(view, columnType)
  const types = wanted.map(({ type }) => type)
  // Vectors stand there as arrays of any length.
  const jsonType = (type: ValueType) => (type.startsWith('float32[') ? 'FLOAT[]' : duckType(type))
  const fields = Object.entries(source.columns).map(([name, type]) => `${ident(name)} ${jsonType(type)}`)
  const columns = `{"offset": 'BIGINT', event_ms: 'BIGINT', known_ms: 'BIGINT', id: 'VARCHAR', "row": ${literal(`STRUCT(${fields.join(', ')})`)}}`
  const from =
    files.length === 0
      ? `(SELECT 0::BIGINT AS "offset", 0::BIGINT AS event_ms, 0::BIGINT AS known_ms, ''::VARCHAR AS id, NULL::STRUCT(${fields.join(', ')}) AS "row" WHERE false)`
      : `read_json(${literals(files)}, format = 'newline_delimited', maximum_object_size = 67108864, columns = ${columns})`
  const select = [
    ...view.keys.map((key, i) => {
      const type = duckType(columnType(key.name))
      return `${keySql(`"row".${ident(key.name)}`, type, key.type)} AS k${i}`
    }),
    'event_ms, known_ms, id, "offset" AS seq',
    ...wanted.map(({ column, type }, i) => {
      const value = `"row".${ident(column)}`
      return `${type === 'timestamp' ? value : valueSql(value, jsonType(type), type, undefined)} AS v${i}`
    }),
  ]
  const latenessMs = latenessMsOf(source)
  const onTime = ` AND known_ms - event_ms <= ${latenessMs}`
  return finish(view, `SELECT ${select.join(', ')} FROM ${from}`, types, false, onTime, true)
}
