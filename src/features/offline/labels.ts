// The labels of a training set, read once into a Parquet file of known form: rid (row number), at_ms, key0…, and every column as c0….
import type { CompiledKey } from '../compiled.js'
import { FeatureErrors } from '../errors.js'
import type { ValueType } from '../value.js'
import type { Duck } from './duck.js'
import { filesOf, formatOf, readFilesSql, sentence } from './relation.js'
import { ident, literal } from './sql-text.js'
import { keySql, momentSql } from './value-sql.js'

export interface Labels {
  /** The Parquet file, as a table function. */
  readonly sql: string
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly keys: readonly CompiledKey[]
  readonly rows: number
}

export interface LabelsWanted {
  readonly path: string
  readonly timeColumn: string
  readonly keys: readonly CompiledKey[]
  readonly request: readonly { readonly name: string; readonly type: ValueType }[]
}

/** Reads the labels into `file` unless it is there. Throws FEATURE_LABELS_SCHEMA, FEATURE_TRAINING_SET_INVALID. */
export async function spoolLabels(
  duck: Duck,
  root: string,
  wanted: LabelsWanted,
  file: string,
  isThere: boolean,
): Promise<Labels> {
  const files = await filesOf(duck, root, wanted.path)
  const format = formatOf(wanted.path)
  if (files.length === 0) throw invalid(`There are no labels at "${wanted.path}".`)
  if (format === undefined) throw invalid(`"${wanted.path}" is to end in .parquet, .csv, .json, .ndjson or .jsonl.`)
  const needed = [wanted.timeColumn, ...wanted.keys.map(({ name }) => name)]
  try {
    const looks = await duck.describe(`SELECT * FROM ${readFilesSql(files, format)}`)
    const names = looks.map(({ name }) => name)
    const why = new Map([
      ...wanted.request.map(({ name }) => [name, 'an input of an on-demand view'] as const),
      ...wanted.keys.map(({ name }) => [name, 'an entity key'] as const),
      [wanted.timeColumn, "the labels' moment; name it with --time-column"] as const,
    ])
    for (const [name, reason] of why) {
      if (!names.includes(name)) {
        throw FeatureErrors.LABELS_SCHEMA({ labels: wanted.path, missing: name, why: reason, columns: names })
      }
    }
    const from = readFilesSql(files, format, needed)
    const columns = format === 'csv' ? await duck.describe(`SELECT * FROM ${from}`) : looks
    const typeOf = (name: string) => columns.find((column) => column.name === name)!.type
    if (!isThere) {
      const select = [
        'row_number() OVER () - 1 AS rid',
        `${momentSql(ident(wanted.timeColumn), typeOf(wanted.timeColumn), undefined)} AS at_ms`,
        ...wanted.keys.map(({ name, type }, i) => `${keySql(ident(name), typeOf(name), type)} AS key${i}`),
        ...columns.map(({ name }, i) => `${ident(name)} AS c${i}`),
      ]
      // In the order of the file: rows are numbered as they come.
      await duck.run('SET preserve_insertion_order = true')
      await duck.run(
        `COPY (SELECT ${select.join(', ')} FROM ${from}) TO ${literal(file)} (FORMAT parquet, COMPRESSION lz4_raw)`,
      )
      await duck.run('SET preserve_insertion_order = false')
    }
    const sql = `read_parquet(${literal(file)})`
    const [[rows]] = (await duck.rows(`SELECT count(*) FROM ${sql}`)) as [[bigint]]
    return { sql, columns, keys: wanted.keys, rows: Number(rows) }
  } catch (error) {
    if (error instanceof Error && /^(Invalid Input|Conversion|Parser|IO|Binder|Invalid) Error/.test(error.message)) {
      throw invalid(`The labels "${wanted.path}" cannot be read: ${sentence(error)}`, error)
    }
    throw error
  }
}

/** rid, at_ms and a view's keys as k0…. */
export function labelsOf(labels: Labels, keys: readonly CompiledKey[]): string {
  const columns = keys.map(({ name }, i) => `key${labels.keys.findIndex((key) => key.name === name)} AS k${i}`)
  return `(SELECT rid, at_ms, ${columns.join(', ')} FROM ${labels.sql})`
}

export function invalid(problem: string, cause?: unknown): Error {
  return FeatureErrors.TRAINING_SET_INVALID({ problem }, cause)
}
