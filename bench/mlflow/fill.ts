// Writes runs into the tables of Headrace's tracking: through its service, a hundred thousand would take minutes.
import path from 'node:path'
import type { Transaction } from 'kysely'
import { createPlatform } from '../../src/core/index.js'
import { openSql } from '../../src/store/index.js'
import { createTracking } from '../../src/tracking/index.js'

/** Whole numbers below 1,000,003, the same in Python. */
const draw = (i: number, salt: number) => (i * 7919 + salt * 104_729) % 1_000_003

type Tables = Record<string, Record<string, unknown>>

/** Into experiment 1. Run `i` has the id `i` in hexadecimal. */
export async function fillHeadrace(dataDir: string, count: number): Promise<void> {
  const platform = createPlatform()
  const sql = await openSql({ file: path.join(dataDir, 'metadata.db'), platform })
  const tracking = await createTracking({ sql, platform })
  const experiment = Number(await tracking.createExperiment({ name: 'bench', tags: [] }))
  for (let start = 0; start < count; start += 1000) {
    const rows: Record<string, Record<string, unknown>[]> = { runs: [], metrics: [], params: [], tags: [] }
    for (let i = start; i < start + 1000; i++) {
      const number = i + 1
      const id = i.toString(16).padStart(32, '0')
      const begunMs = 1_700_000_000_000 + draw(i, 1)
      rows['runs']!.push({
        ...{ number, run_id: id, experiment, name: `run-${i}`, user_id: 'bench', is_deleted: 0, deleted_with_ms: null },
        ...{ status: i % 50 === 0 ? 'FAILED' : 'FINISHED', start_ms: begunMs, end_ms: begunMs + 1000 },
        artifact_uri: `mlflow-artifacts:/${experiment}/${id}/artifacts`,
      })
      for (const [k, key] of ['auc', 'loss', 'f1'].entries())
        rows['metrics']!.push({
          ...{ run: number, key, experiment, value: draw(i, k + 2) / 1_000_003, is_nan: 0, is_infinite: 0 },
          ...{ timestamp_ms: begunMs, step: 0 },
        })
      const pair = (key: string, value: string) => ({ run: number, key, experiment, value, head: value })
      rows['params']!.push(
        pair('lr', ['0.1', '0.01', '0.001'][i % 3]!),
        pair('depth', `${i % 10}`),
        pair('kind', `m${i % 5}`),
      )
      rows['tags']!.push(pair('mlflow.runName', `run-${i}`), pair('mlflow.user', 'bench'), pair('team', `t${i % 7}`))
    }
    await sql.transaction(async (tx: Transaction<Tables>) => {
      await tx.insertInto('tracking_runs').values(rows['runs']!).execute()
      await tx.insertInto('latest_metrics').values(rows['metrics']!).execute()
      await tx.insertInto('run_params').values(rows['params']!).execute()
      await tx.insertInto('run_tags').values(rows['tags']!).execute()
    })
  }
  await sql.close()
}
