// A file of rows, read as it is: for whoever wants rows and no point in time. DuckDB reads it, so that a large one is never held.
import { stat } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import type { DuckDBValue } from '@duckdb/node-api'
import { openDuck } from './duck.js'
import { integer } from './duck-values.js'
import { formatOf, readFilesSql, sentence } from './relation.js'

export type RowValue = string | number | bigint | boolean | null | readonly RowValue[]

export interface RowFileOptions {
  /** CSV, JSON or Parquet by its name. */
  readonly file: string
  /** Where a relative file is. */
  readonly root: string
  readonly tempFolder: string
  readonly memoryLimitBytes: number
  /** Of a file with more rows a sample of so many is drawn, the same one each time. */
  readonly limit: number
  readonly signal: AbortSignal
}

export interface RowFile {
  readonly file: string
  readonly columns: readonly string[]
  /** In the file. */
  readonly totalRows: number
  /** Some hundreds at a time, each a list of values in the order of the columns. */
  chunks(): AsyncIterable<RowValue[][]>
  close(): Promise<void>
}

/** Rejects with an Error of one sentence: what is wrong with the file. */
export async function openRowFile({ file: given, root, limit, ...options }: RowFileOptions): Promise<RowFile> {
  const file = isAbsolute(given) ? given : join(root, given)
  const format = formatOf(file)
  if (format === undefined) throw new Error(`"${given}" is no .csv, .json or .parquet by its name.`)
  await stat(file).catch(() => {
    throw new Error(`There is no file "${given}".`)
  })
  // One thread: a sample drawn by several differs from time to time.
  const duck = await openDuck({ ...options, root, threads: 1 })
  try {
    const from = readFilesSql([file], format)
    const described = await duck.describe(`SELECT * FROM ${from}`)
    const [[count] = []] = await duck.rows(`SELECT count(*) FROM ${from}`)
    const totalRows = Number(count)
    const sample = totalRows > limit ? ` USING SAMPLE reservoir(${limit} ROWS) REPEATABLE (1)` : ''
    return {
      file,
      columns: described.map(({ name }) => name),
      totalRows,
      async *chunks() {
        for await (const chunk of duck.chunks(`SELECT * FROM ${from}${sample}`))
          yield chunk.getRows().map((row) => row.map(plain))
      },
      close: () => duck.close(),
    }
  } catch (error) {
    await duck.close()
    options.signal.throwIfAborted()
    throw new Error(sentence(error), { cause: error })
  }
}

function plain(value: DuckDBValue): RowValue {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') return integer(value)
  if ('items' in value) return (value.items as readonly DuckDBValue[]).map(plain)
  // Decimals and what else has a number.
  if ('toDouble' in value) return value.toDouble()
  return value.toString()
}
