// The files of the bench, made by DuckDB: view0…3.parquet and labels.parquet, event times all different.
import { DuckDBInstance } from '@duckdb/node-api'

export async function makeData(folder: string, rows: number): Promise<void> {
  const users = Math.max(1, Math.round(rows / 10))
  const instance = await DuckDBInstance.create(':memory:', { threads: '2', memory_limit: '3GB' })
  const connection = await instance.connect()
  // A year, in the order of time.
  const eventMs = `1700000000000 + (i::DOUBLE / ${rows} * 31536000000)::BIGINT`
  await connection.run('SELECT setseed(0.5)')
  for (const view of [0, 1, 2, 3]) {
    const features = [0, 1, 2, 3, 4].map((f) => `(random() * 1e4)::INTEGER::DOUBLE / 100 AS v${view}_f${f}`)
    await connection.run(`COPY (SELECT (random() * ${users})::BIGINT AS user_id, make_timestamp_ms(${eventMs}) AS event_timestamp,
      make_timestamp_ms(${eventMs} + (-ln(1 - random()) * 600000)::BIGINT) AS known, ${features.join(', ')}
      FROM range(${rows}) AS t(i)) TO '${folder}/view${view}.parquet' (FORMAT parquet)`)
  }
  await connection.run(`COPY (SELECT (random() * ${users})::BIGINT AS user_id,
    make_timestamp_ms(1700000000000 + (random() * 31536000000)::BIGINT) AS event_timestamp, i AS label
    FROM range(${rows}) AS t(i)) TO '${folder}/labels.parquet' (FORMAT parquet)`)
  connection.closeSync()
  instance.closeSync()
}

/** Of the label rows in both outputs, those whose 20 values differ; and those that only one of them has. */
export async function compare(
  left: string,
  right: string,
): Promise<{ same: number; differing: number; onlyLeft: number; onlyRight: number }> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '2' })
  const connection = await instance.connect()
  const names = [0, 1, 2, 3].flatMap((view) => [0, 1, 2, 3, 4].map((f) => `v${view}_f${f}`))
  // Feast says NaN where there is no value.
  const differ = names.map((name) => `nullif(l.${name}, 'NaN') IS DISTINCT FROM nullif(r.${name}, 'NaN')`).join(' OR ')
  const both = 'l.label IS NOT NULL AND r.label IS NOT NULL'
  const reader = await connection.runAndReadAll(
    `SELECT count(*) FILTER (WHERE ${both} AND NOT (${differ})), count(*) FILTER (WHERE ${both} AND (${differ})),
       count(*) FILTER (WHERE r.label IS NULL), count(*) FILTER (WHERE l.label IS NULL)
     FROM '${left}' AS l FULL JOIN '${right}' AS r ON l.label = r.label`,
  )
  const [same, differing, onlyLeft, onlyRight] = reader.getRows()[0]!.map(Number)
  connection.closeSync()
  instance.closeSync()
  return { same: same!, differing: differing!, onlyLeft: onlyLeft!, onlyRight: onlyRight! }
}
