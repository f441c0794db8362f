// The latest materialisation of each view, in the metadata database: what a start looks at to go on with what was interrupted.
import type { Sql } from '../../store/index.js'
import type { FeatureTables, RunRow } from './table-rows.js'

export interface Runs {
  get(view: string): Promise<RunRow | undefined>
  all(): Promise<readonly RunRow[]>
  /** Takes the place of the view's last one. */
  begin(run: RunRow): Promise<void>
  change(view: string, change: Partial<RunRow>): Promise<void>
}

export function createRuns(sql: Sql): Runs {
  const db = () => sql.db<FeatureTables>()
  return {
    get: (view) => db().selectFrom('feature_runs').selectAll().where('view', '=', view).executeTakeFirst(),
    all: () => db().selectFrom('feature_runs').selectAll().execute(),
    async begin(run) {
      const { view: _, ...rest } = run
      await db()
        .insertInto('feature_runs')
        .values(run)
        .onConflict((conflict) => conflict.column('view').doUpdateSet(rest))
        .execute()
    },
    async change(view, change) {
      await db().updateTable('feature_runs').set(change).where('view', '=', view).execute()
    },
  }
}
