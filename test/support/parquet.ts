// Small Parquet, CSV and JSON files for tests, written and read by DuckDB.
import { DuckDBInstance, JsonDuckDBValueConverter } from '@duckdb/node-api'

/** Columns as `name TYPE`, in DuckDB's types. */
export type TestColumns = Readonly<Record<string, string>>
export type TestCell = string | number | bigint | boolean | null | readonly (string | number)[]

async function withDuck<T>(work: (run: (sql: string) => Promise<unknown[][]>) => Promise<T>): Promise<T> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  try {
    await connection.run(`SET TimeZone = 'UTC'`)
    return await work(async (sql) => (await connection.runAndReadAll(sql)).convertRows(JsonDuckDBValueConverter))
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

export async function writeTable(
  file: string,
  columns: TestColumns,
  rows: readonly (readonly TestCell[])[],
): Promise<void> {
  const cell = (value: TestCell, type: string): string => {
    if (value === null) return `NULL::${type}`
    if (Array.isArray(value))
      return `[${value.map((one: TestCell) => cell(one, type.replace(/\[\d*\]$/, ''))).join(', ')}]::${type}`
    return `'${String(value).replaceAll("'", "''")}'::${type}`
  }
  const types = Object.values(columns)
  const fields = Object.entries(columns).map(([name, type]) => `"${name.replaceAll('"', '""')}" ${type}`)
  const format = file.endsWith('.csv') ? 'csv, HEADER' : file.endsWith('.json') ? 'json' : 'parquet'
  await withDuck(async (run) => {
    await run(`CREATE TABLE t (${fields.join(', ')})`)
    for (let at = 0; at < rows.length; at += 500) {
      const values = rows
        .slice(at, at + 500)
        .map((row) => `(${row.map((value, i) => cell(value, types[i]!)).join(', ')})`)
      await run(`INSERT INTO t VALUES ${values.join(', ')}`)
    }
    await run(`COPY t TO '${file.replaceAll("'", "''")}' (FORMAT ${format})`)
  })
}

/** Rows as JSON has them: 64-bit integers as text. */
export function queryFile(sql: string): Promise<unknown[][]> {
  return withDuck((run) => run(sql))
}
