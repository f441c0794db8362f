// Postgres: rows are read through a cursor, in batches, into tables of DuckDB; and training sets whose labels are a table there are
// joined there, by the same plan in its dialect.
import type { Client } from 'pg'
import type { CompiledView } from '../compiled.js'
import type { PostgresSource } from '../definitions/source.js'
import type { ValueType } from '../value.js'
import type { Duck } from './duck.js'
import { type PostgresColumn, postgresFrom, postgresRelation } from './postgres-sql.js'
import { type PostgresAccess, type Relation, unreadable } from './relation.js'
import { ident } from './sql-text.js'
import { duckType } from './value-sql.js'

export type Environment = Readonly<Record<string, string | undefined>>

const FETCH_ROWS = 10_000
export const DEFAULT_URL = 'DATABASE_URL'

/** A transaction that sees one state of the database, read as text. */
export interface PostgresReader {
  run(sql: string): Promise<void>
  columns(select: string): Promise<PostgresColumn[]>
  /** Copies a SELECT, whose columns are of the given names and types, into a new table of DuckDB. */
  copy(duck: Duck, select: string, columns: readonly { name: string; type: ValueType }[], into: string): Promise<void>
  close(): Promise<void>
}

export async function openPostgres(environment: Environment, urlFrom: string | undefined): Promise<PostgresReader> {
  const name = urlFrom ?? DEFAULT_URL
  const url = environment[name]
  if (url === undefined || url === '') throw new Error(`The environment has no ${name} with the URL of the database.`)
  const pg = (await import('pg')).default
  const client: Client = new pg.Client({ connectionString: url, application_name: 'headrace' })
  // A connection that breaks fails its query, which tells of it.
  client.on('error', () => undefined)
  await client.connect()
  await client.query(`SET TIME ZONE 'UTC'`)
  await client.query(`SET extra_float_digits = 1`)
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  return {
    run: async (sql) => void (await client.query(sql)),
    async columns(select) {
      const { fields } = await client.query(`SELECT * FROM (${select}) AS described LIMIT 0`)
      const types = await client.query<{ type: string }>(
        'SELECT format_type(oid, NULL) AS type FROM unnest($1::oid[]) WITH ORDINALITY AS t(oid, i) ORDER BY i',
        [fields.map(({ dataTypeID }) => dataTypeID)],
      )
      return fields.map((field, i) => ({ name: field.name, type: types.rows[i]!.type }))
    },
    async copy(duck, select, columns, into) {
      const { VARCHAR } = await import('@duckdb/node-api')
      const text = columns.map(({ name, type }) =>
        type.endsWith(']')
          ? `to_json(${ident(name)})::text AS ${ident(name)}`
          : `${ident(name)}::text AS ${ident(name)}`,
      )
      await duck.run(
        `CREATE OR REPLACE TABLE ${ident(`${into}_text`)} (${columns.map(({ name }) => `${ident(name)} VARCHAR`).join(', ')})`,
      )
      const appending = await duck.append(
        `${into}_text`,
        columns.map(() => VARCHAR),
      )
      await client.query(`DECLARE headrace NO SCROLL CURSOR FOR SELECT ${text.join(', ')} FROM (${select}) AS copied`)
      try {
        for (;;) {
          const { rows } = await client.query<(string | null)[]>({
            text: `FETCH ${FETCH_ROWS} FROM headrace`,
            rowMode: 'array',
            types: { getTypeParser: () => (value: unknown) => value },
          })
          if (rows.length === 0) break
          appending.add(
            columns.map((_, i) => rows.map((row) => row[i]!)),
            rows.length,
          )
        }
      } finally {
        appending.close()
      }
      await client.query('CLOSE headrace')
      const typed = columns.map(({ name, type }) => `${fromText(ident(name), type)} AS ${ident(name)}`)
      await duck.run(
        `CREATE OR REPLACE TABLE ${ident(into)} AS SELECT ${typed.join(', ')} FROM ${ident(`${into}_text`)}`,
      )
      await duck.run(`DROP TABLE ${ident(`${into}_text`)}`)
    },
    close: () => client.end(),
  }
}

function fromText(column: string, type: ValueType): string {
  if (!type.endsWith(']')) return `CAST(${column} AS ${duckType(type)})`
  const element = type.startsWith('float32[') ? 'FLOAT' : duckType(type).slice(0, -2)
  return `CAST(from_json(${column}, '["${element}"]') AS ${duckType(type)})`
}

export async function postgresColumns(reader: PostgresReader, source: PostgresSource): Promise<PostgresColumn[]> {
  return reader.columns(`SELECT * FROM ${postgresFrom(source)}`)
}

/** How sources in Postgres are read: their columns, and a view's rows as a table of DuckDB. */
export function createPostgresAccess(environment: Environment): PostgresAccess {
  async function reading<T>(view: CompiledView, work: (reader: PostgresReader, source: PostgresSource) => Promise<T>) {
    const source = view.source as PostgresSource
    let reader: PostgresReader | undefined
    try {
      reader = await openPostgres(environment, source.urlFrom)
      return await work(reader, source)
    } catch (error) {
      throw unreadable(source, error)
    } finally {
      await reader?.close().catch(() => undefined)
    }
  }
  return {
    columns: (view) => reading(view, postgresColumns),
    load: (duck, view) =>
      reading(view, async (reader, source) => {
        const relation = postgresRelation(view, source, await postgresColumns(reader, source))
        const table = `postgres_${view.table}`
        await reader.copy(duck, relation.sql, relationColumns(view, relation), table)
        return { ...relation, sql: `SELECT * FROM ${ident(table)}` }
      }),
  }
}

function relationColumns(view: CompiledView, relation: Relation): { name: string; type: ValueType }[] {
  return [
    ...view.keys.map(({ type }, i): { name: string; type: ValueType } => ({ name: `k${i}`, type })),
    { name: 'event_ms', type: 'int64' },
    { name: 'known_ms', type: 'int64' },
    { name: 'id', type: 'string' },
    { name: 'seq', type: 'int64' },
    ...relation.types.map((type, i) => ({ name: `v${i}`, type })),
  ]
}
