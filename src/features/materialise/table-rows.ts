// What is known of the generations of views, in the metadata database: which there are, which one requests read, the latest run per view.
import type { Kysely, Transaction } from 'kysely'
import type { Migration, Sql } from '../../store/index.js'
import { FeatureErrors } from '../errors.js'

/**
 * `filling`: the batch source is being read into it. `joining`: whole but for the stream, which is being caught up with. `whole`: it has been
 * live, or could be. Dropped ones keep their row, so that a name is never used again.
 */
export type TableState = 'filling' | 'joining' | 'whole' | 'dropped'

export interface TableRow {
  readonly name: string
  readonly view: string
  readonly generation: number
  readonly fingerprint: string
  /** JSON of a Layout: what it takes to read it when the definition has changed. */
  readonly layout: string
  readonly state: TableState
  /** Events before it come from the batch source, later ones from the stream; null without the one or the other. */
  readonly seam_ms: number | null
  readonly made_ms: number
  /** When another one took its place. */
  readonly retired_ms: number | null
}

export type RunState = 'running' | 'done' | 'failed' | 'cancelled'

/** The latest materialisation of a view. */
export interface RunRow {
  readonly view: string
  readonly table_name: string
  readonly mode: 'full' | 'incremental'
  readonly after_known_ms: number | null
  readonly through_known_ms: number
  readonly state: RunState
  readonly keys: number
  readonly quarantined: number
  readonly newest_event_ms: number | null
  readonly started_ms: number
  readonly ended_ms: number | null
  readonly problem: string | null
}

interface LiveRow {
  readonly view: string
  readonly table_name: string
}

export type FeatureTables = { feature_tables: TableRow; feature_live: LiveRow; feature_runs: RunRow }

/** Under the domain `features`. */
export const featureMigrations: Readonly<Record<string, Migration>> = {
  '0001-tables': {
    async up(tx) {
      await tx.schema
        .createTable('feature_tables')
        .addColumn('name', 'text', (column) => column.primaryKey())
        .addColumn('view', 'text', (column) => column.notNull())
        .addColumn('generation', 'integer', (column) => column.notNull())
        .addColumn('fingerprint', 'text', (column) => column.notNull())
        .addColumn('layout', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('seam_ms', 'bigint')
        .addColumn('made_ms', 'bigint', (column) => column.notNull())
        .addColumn('retired_ms', 'bigint')
        .execute()
      await tx.schema
        .createTable('feature_live')
        .addColumn('view', 'text', (column) => column.primaryKey())
        .addColumn('table_name', 'text', (column) => column.notNull())
        .execute()
      await tx.schema
        .createTable('feature_runs')
        .addColumn('view', 'text', (column) => column.primaryKey())
        .addColumn('table_name', 'text', (column) => column.notNull())
        .addColumn('mode', 'text', (column) => column.notNull())
        .addColumn('after_known_ms', 'bigint')
        .addColumn('through_known_ms', 'bigint', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('keys', 'bigint', (column) => column.notNull())
        .addColumn('quarantined', 'bigint', (column) => column.notNull())
        .addColumn('newest_event_ms', 'bigint')
        .addColumn('started_ms', 'bigint', (column) => column.notNull())
        .addColumn('ended_ms', 'bigint')
        .addColumn('problem', 'text')
        .execute()
    },
  },
}

/** Tables that are not dropped, and the live one's name by view. Plain data, so that it can cross to other processes. */
export interface TablesState {
  readonly tables: readonly TableRow[]
  readonly live: Readonly<Record<string, string>>
}

export async function readTables(sql: Sql): Promise<TablesState> {
  const db = sql.db<FeatureTables>()
  const tables = await db.selectFrom('feature_tables').selectAll().where('state', '!=', 'dropped').execute()
  const live = await db.selectFrom('feature_live').selectAll().execute()
  return {
    tables: tables.sort((a, b) => a.generation - b.generation),
    live: Object.fromEntries(live.map((row) => [row.view, row.table_name])),
  }
}

/** Makes requests read `table` (null: none) of a view; gives the name of the one before. Throws FEATURE_SWITCH_INVALID. */
export async function switchLive(
  tx: Transaction<unknown>,
  view: string,
  table: string | null,
  nowMs: number,
): Promise<string | null> {
  const db: Kysely<FeatureTables> = tx.withTables<FeatureTables>()
  const before = await db.selectFrom('feature_live').select('table_name').where('view', '=', view).executeTakeFirst()
  if (before) {
    await db.updateTable('feature_tables').set({ retired_ms: nowMs }).where('name', '=', before.table_name).execute()
  }
  if (table === null) {
    await db.deleteFrom('feature_live').where('view', '=', view).execute()
    return before?.table_name ?? null
  }
  const row = await db.selectFrom('feature_tables').selectAll().where('name', '=', table).executeTakeFirst()
  if (!row || row.view !== view)
    throw FeatureErrors.SWITCH_INVALID({ view, problem: `it has no generation "${table}"` })
  if (row.state === 'dropped')
    throw FeatureErrors.SWITCH_INVALID({
      view,
      problem: `generation "${table}" was dropped after its time of grace; materialise the view again`,
    })
  await db.updateTable('feature_tables').set({ state: 'whole', retired_ms: null }).where('name', '=', table).execute()
  await db
    .insertInto('feature_live')
    .values({ view, table_name: table })
    .onConflict((conflict) => conflict.column('view').doUpdateSet({ table_name: table }))
    .execute()
  return before?.table_name ?? null
}
