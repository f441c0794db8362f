// Labels that are a table in Postgres (`postgres:<table>`), and the parts of views whose sources are in the same database: joined there.
import type { CompiledView } from '../compiled.js'
import type { PostgresSource } from '../definitions/source.js'
import { FeatureErrors } from '../errors.js'
import type { ValueType } from '../value.js'
import { planSql } from './as-of-sql.js'
import type { Duck } from './duck.js'
import { invalid, type Labels, type LabelsWanted } from './labels.js'
import { DEFAULT_URL, type Environment, openPostgres, type PostgresReader, postgresColumns } from './postgres-source.js'
import { postgresFrom, postgresMoment, postgresNatural, postgresRelation, postgresValue } from './postgres-sql.js'
import { sentence, unreadable } from './relation.js'
import { ident, literal } from './sql-text.js'

const PREFIX = 'postgres:'
const LABELS = 'headrace_labels'

export function isPostgresLabels(labels: string): boolean {
  return labels.startsWith(PREFIX)
}

/** One transaction of a training set: it sees labels and sources as they were when it began. */
export interface PostgresJoin {
  spoolLabels(duck: Duck, wanted: LabelsWanted, file: string): Promise<Labels>
  /** Whether a view's rows are in this database. */
  has(view: CompiledView): boolean
  /** A relation in DuckDB of rid, e and v0…, as planSql gives it. */
  part(duck: Duck, view: CompiledView, labels: Labels): Promise<string>
  close(): Promise<void>
}

/** The database is the one of the views that are in Postgres; DATABASE_URL without any. */
export async function openPostgresJoin(
  environment: Environment,
  labels: string,
  views: readonly CompiledView[],
): Promise<PostgresJoin> {
  const sources = views.flatMap(({ source }) => (source?.kind === 'postgres' ? [source] : []))
  const urlFrom = sources[0]?.urlFrom ?? DEFAULT_URL
  let reader: PostgresReader
  try {
    reader = await openPostgres(environment, urlFrom)
  } catch (error) {
    throw invalid(`The labels "${labels}" cannot be read: ${sentence(error)}`, error)
  }
  return {
    has: ({ kind, source, stream }) =>
      kind === 'rows' &&
      stream === undefined &&
      source?.kind === 'postgres' &&
      (source.urlFrom ?? DEFAULT_URL) === urlFrom,
    spoolLabels: (duck, wanted, file) => spool(reader, duck, wanted, file),
    async part(duck, view, { keys }) {
      const source = view.source as PostgresSource
      try {
        const relation = postgresRelation(view, source, await postgresColumns(reader, source))
        const own = view.keys.map(({ name }, i) => `key${keys.findIndex((key) => key.name === name)} AS k${i}`)
        const from = `(SELECT rid, at_ms, ${own.join(', ')} FROM ${LABELS})`
        const ttlMs = view.kind === 'rows' ? view.ttlMs : undefined
        const columns: { name: string; type: ValueType }[] = [
          { name: 'rid', type: 'int64' },
          { name: 'e', type: 'int64' },
          ...relation.types.map((type, i) => ({ name: `v${i}`, type })),
        ]
        await reader.copy(duck, planSql('postgres', { labels: from, relation, ttlMs }), columns, 'joined_there')
        return 'SELECT * FROM joined_there'
      } catch (error) {
        throw unreadable(source, error)
      }
    },
    close: () => reader.close(),
  }
}

async function spool(reader: PostgresReader, duck: Duck, wanted: LabelsWanted, file: string): Promise<Labels> {
  const from = postgresFrom({
    kind: 'postgres',
    name: 'labels',
    eventTime: '',
    table: wanted.path.slice(PREFIX.length),
  })
  try {
    const columns = await reader.columns(`SELECT * FROM ${from}`)
    const names = columns.map(({ name }) => name)
    for (const name of [
      wanted.timeColumn,
      ...wanted.keys.map((key) => key.name),
      ...wanted.request.map((one) => one.name),
    ]) {
      if (names.includes(name)) continue
      throw FeatureErrors.LABELS_SCHEMA({ labels: wanted.path, missing: name, why: 'needed here', columns: names })
    }
    const typeOf = (name: string) => columns.find((column) => column.name === name)!.type
    const column = (name: string) => `source.${ident(name)}`
    const natural = columns.map(({ type }) => postgresNatural(type))
    const carried = columns.map(
      ({ name, type }, i) => `${postgresValue(column(name), type, natural[i]!, undefined)} AS c${i}`,
    )
    const keys = wanted.keys.map(
      ({ name, type }, i) => `${postgresValue(column(name), typeOf(name), type, undefined)} AS key${i}`,
    )
    const moment = postgresMoment(column(wanted.timeColumn), typeOf(wanted.timeColumn), undefined)
    await reader.run(
      `CREATE TEMP TABLE ${LABELS} ON COMMIT DROP AS SELECT row_number() OVER () - 1 AS rid, ${[`${moment} AS at_ms`, ...keys, ...carried].join(', ')} FROM ${from}`,
    )
    await reader.run(`ANALYZE ${LABELS}`)
    const copied: { name: string; type: ValueType }[] = [
      { name: 'rid', type: 'int64' },
      { name: 'at_ms', type: 'int64' },
      ...wanted.keys.map(({ type }, i) => ({ name: `key${i}`, type })),
      ...natural.map((type, i) => ({ name: `c${i}`, type })),
    ]
    await reader.copy(duck, `SELECT * FROM ${LABELS} ORDER BY rid`, copied, 'labels_there')
    // Moments leave as such.
    const out = copied.map(({ name, type }) =>
      name.startsWith('c') && type === 'timestamp' ? `make_timestamptz(${name} * 1000) AS ${name}` : name,
    )
    await duck.run(
      `COPY (SELECT ${out.join(', ')} FROM labels_there ORDER BY rid) TO ${literal(file)} (FORMAT parquet)`,
    )
    const [[rows]] = (await duck.rows('SELECT count(*) FROM labels_there')) as [[bigint]]
    await duck.run('DROP TABLE labels_there')
    const sql = `read_parquet(${literal(file)})`
    const types = await duck.describe(`SELECT ${columns.map((_, i) => `c${i}`).join(', ')} FROM ${sql}`)
    return {
      sql,
      columns: names.map((name, i) => ({ name, type: types[i]!.type })),
      keys: wanted.keys,
      rows: Number(rows),
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('FEATURE_')) throw error
    throw invalid(`The labels "${wanted.path}" cannot be read: ${sentence(error)}`, error)
  }
}
