// Writes runs into the tables of Headrace's tracking: through its service, a hundred thousand would take minutes. SQLite makes the rows.
import path from 'node:path'
import { type RawBuilder, sql, type Transaction } from 'kysely'
import { createPlatform } from '../../src/core/index.js'
import { openSql } from '../../src/store/index.js'
import { createTracking } from '../../src/tracking/index.js'

/** Whole numbers below 1,000,003, the same in Python. */
const draw = (salt: number) => sql`((i * 7919 + ${sql.lit(salt)} * 104729) % 1000003)`
const begunMs = sql`1700000000000 + ${draw(1)}`

/** Into experiment 1. Run `i` has the id `i` in hexadecimal. */
export async function fillHeadrace(dataDir: string, count: number): Promise<void> {
  const platform = createPlatform()
  const store = await openSql({ file: path.join(dataDir, 'metadata.db'), platform })
  const tracking = await createTracking({ sql: store, platform })
  const experiment = Number(await tracking.createExperiment({ name: 'bench', tags: [] }))
  const runs = sql`with recursive runs(i) as (select 0 union all select i + 1 from runs where i + 1 < ${count})`
  await store.transaction(async (tx: Transaction<unknown>) => {
    const pair = (table: string, key: string, value: RawBuilder<unknown>) =>
      sql`insert into ${sql.table(table)} (run, key, experiment, value, head)
        ${runs} select i + 1, ${key}, ${experiment}, ${value}, ${value} from runs`.execute(tx)
    await sql`insert into tracking_runs
      (number, run_id, experiment, name, user_id, status, start_ms, end_ms, artifact_uri, is_deleted, deleted_with_ms)
      ${runs} select i + 1, printf('%032x', i), ${experiment}, 'run-' || i, 'bench', iif(i % 50 = 0, 'FAILED', 'FINISHED'),
        ${begunMs}, ${begunMs} + 1000, printf('mlflow-artifacts:/%d/%032x/artifacts', ${experiment}, i), 0, null from runs`.execute(
      tx,
    )
    for (const [k, key] of ['auc', 'loss', 'f1'].entries())
      await sql`insert into latest_metrics (run, key, experiment, value, is_nan, is_infinite, timestamp_ms, step)
        ${runs} select i + 1, ${key}, ${experiment}, ${draw(k + 2)} / 1000003.0, 0, 0, ${begunMs}, 0 from runs`.execute(
        tx,
      )
    await pair('run_params', 'lr', sql`case i % 3 when 0 then '0.1' when 1 then '0.01' else '0.001' end`)
    await pair('run_params', 'depth', sql`cast(i % 10 as text)`)
    await pair('run_params', 'kind', sql`'m' || (i % 5)`)
    await pair('run_tags', 'mlflow.runName', sql`'run-' || i`)
    await pair('run_tags', 'mlflow.user', sql`'bench'`)
    await pair('run_tags', 'team', sql`'t' || (i % 7)`)
  })
  await store.close()
}
