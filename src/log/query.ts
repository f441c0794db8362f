// SQL over the log, by DuckDB in this process: on its own threads, reading only the log's folder, writing nothing.
// The engine (70 MB) is loaded at the first query and started anew for each, so that no query leaves anything behind.
import { resolve } from 'node:path'
import type { DuckDBConnection, DuckDBType, DuckDBValue, DuckDBValueConverter, Json } from '@duckdb/node-api'
import { LogErrors } from './errors.js'
import { type LogFiles, realFiles } from './files.js'
import { nextTurn } from './next-turn.js'
import { literal, type QueriedSegment, viewStatements } from './query-views.js'
import { endsBefore, listSegments } from './segment.js'
import type { QueryResult } from './types.js'

export interface QueryOptions {
  /** Rows returned at most; default 10,000. */
  readonly maxRows?: number
  /** Memory DuckDB may use; it does not spill to disk. Default 512 MiB. */
  readonly memoryLimitBytes?: number
  /** Stops the query. */
  readonly signal?: AbortSignal
}

const DEFAULT_MAX_ROWS = 10_000
const DEFAULT_MEMORY_BYTES = 512 * 1024 * 1024

/**
 * Runs one SELECT over the views predictions, calls, outcomes, decisions and records. Throws LOG_QUERY_FAILED with
 * DuckDB's own message.
 *
 * ```ts
 * await queryLog('.headrace/log', 'SELECT endpoint, count(*) FROM predictions GROUP BY ALL')
 * ```
 */
export async function queryLog(folder: string, sql: string, options: QueryOptions = {}): Promise<QueryResult> {
  const path = resolve(folder)
  const segments = await segmentsToQuery(realFiles, path)
  try {
    return await run(path, segments, sql, options)
  } catch (error) {
    // Retention may have removed a segment between listing and reading.
    const now = await segmentsToQuery(realFiles, path)
    const isChanged = segments.some(({ segment }) => !now.some((other) => other.segment.name === segment.name))
    if (isChanged) return run(path, now, sql, options)
    throw error
  }
}

async function run(
  folder: string,
  segments: readonly QueriedSegment[],
  sql: string,
  options: QueryOptions,
): Promise<QueryResult> {
  const { maxRows = DEFAULT_MAX_ROWS, memoryLimitBytes = DEFAULT_MEMORY_BYTES, signal } = options
  const { DuckDBInstance, JsonDuckDBValueConverter, StatementType } = await import('@duckdb/node-api')
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '2',
    memory_limit: `${Math.floor(memoryLimitBytes / 1024)}KiB`,
    temp_directory: '',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  })
  let connection: DuckDBConnection | undefined
  let isDone = false
  // Again and again, because DuckDB forgets an interruption that arrives just before the query starts.
  const interrupt = async (): Promise<void> => {
    for (; !isDone; await nextTurn()) connection?.interrupt()
  }
  signal?.addEventListener('abort', interrupt)
  try {
    connection = await instance.connect()
    await connection.run(`SET allowed_directories = [${literal(folder)}]`)
    await connection.run('SET enable_external_access = false')
    for (const statement of viewStatements(segments)) await connection.run(statement)
    await connection.run('SET lock_configuration = true')

    const statements = await connection.extractStatements(sql)
    if (statements.count !== 1) throw new Error(`Give one statement; ${statements.count} arrived.`)
    const prepared = await statements.prepare(0)
    // Also EXPLAIN is refused: EXPLAIN ANALYZE runs what it explains, and COPY may write in the allowed folder.
    if (prepared.statementType !== StatementType.SELECT) throw new Error('Only SELECT may be run over the log.')
    signal?.throwIfAborted()
    const reader = await prepared.streamAndReadUntil(maxRows + 1)
    const toJson = jsonConverter(JsonDuckDBValueConverter)
    const rows = reader.convertRows(toJson)
    const types = reader.columnTypes()
    return {
      columns: reader.columnNames().map((name, i) => ({ name, type: types[i]!.alias ?? String(types[i]) })),
      rows: rows.slice(0, maxRows),
      truncated: rows.length > maxRows,
    }
  } catch (error) {
    throw LogErrors.QUERY_FAILED({ reason: sentence(error) }, error)
  } finally {
    isDone = true
    signal?.removeEventListener('abort', interrupt)
    connection?.closeSync()
    instance.closeSync()
  }
}

/** Counts as numbers and times in ISO 8601, where DuckDB's own conversion gives strings of its own form. */
function jsonConverter(standard: DuckDBValueConverter<Json>): DuckDBValueConverter<Json> {
  const convert = (value: DuckDBValue, type: DuckDBType): Json => {
    if (typeof value === 'bigint') return isSafe(value) ? Number(value) : String(value)
    const json = standard(value, type, convert)
    if (typeof json !== 'string') return json
    const typeName = String(type)
    if (typeName === 'TIMESTAMP') return `${json.replace(' ', 'T')}Z`
    return typeName.startsWith('DECIMAL') ? Number(json) : json
  }
  return convert
}

function isSafe(value: bigint): boolean {
  return value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER
}

function sentence(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error)).trim()
  return /[.!?]$/.test(text) ? text : `${text}.`
}

async function segmentsToQuery(files: LogFiles, folder: string): Promise<QueriedSegment[]> {
  const segments = await listSegments(files, folder)
  return Promise.all(
    segments.map(async (segment, i) => {
      const next = segments[i + 1]?.firstSeq
      // One that is gone meanwhile makes the query fail, which lists again.
      const isWhole = next === undefined || (await endsBefore(files, segment, next).catch(() => true))
      return { segment, supersededFrom: isWhole ? undefined : next }
    }),
  )
}
