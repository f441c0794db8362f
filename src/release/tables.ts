// What the metadata store keeps of releases. A release's row changes only inside decisions, but for the time its step has run, what its
// guards learned and the nodes' reports, which the row's nodes write as they go.
import { type Kysely, sql as raw } from 'kysely'
import type { Actor } from '../decisions/index.js'
import type { Migration, Sql } from '../store/index.js'
import type { GuardThresholds } from './guards/types.js'
import type { ActiveRelease, PlanStep, Release, ReleasePlan, ReleaseState, ReleaseTarget } from './types.js'

export interface ReleaseRow {
  id: string
  endpoint: string
  /** The endpoint while the release is not over, then null: unique, so no endpoint has two. */
  active_endpoint: string | null
  model: string
  from_version: number
  to_version: number
  selector: string
  /** Alias that completion sets; null: it writes a target. */
  alias: string | null
  plan: string
  state: string
  step: number
  revision: number
  step_elapsed_ms: number
  min_units: number
  time_scale: number
  /** JSON of GuardSettings. */
  guards: string
  /** JSON of GuardThresholds, once they are learned. */
  thresholds: string | null
  /** JSON of the shadow step's report. */
  shadow: string | null
  started_ms: number
  ended_ms: number | null
  /** JSON of an actor. */
  started_by: string
  reason: string | null
  /** JSON of ReleaseEvidence, once the rows that it sums up are deleted. */
  final: string | null
}

export type ReleaseTables = {
  releases: ReleaseRow
  release_targets: { endpoint: string; model: string; selector: string; version: number }
  /** First events of units, by guard. */
  release_events: { release: string; guard: string; unit: string; arm: string; step: number }
  /** Units that were seen of the arms that are compared. */
  release_units: { release: string; step: number; arm: string; unit: string }
  /** How many rows of the two above each node was the first to write, counted in the same transaction; guard '': of units. */
  release_counts: { release: string; node: string; guard: string; step: number; arm: string; units: number }
  /** Units beyond those that are kept as rows: a node's HyperLogLog, base64. */
  release_sketches: { release: string; step: number; arm: string; node: string; sketch: string }
  /** How far a node has read its log for a release. */
  release_positions: { release: string; node: string; position: number }
  /** What was concluded of a guard, for plots. */
  release_looks: { release: string; guard: string; time_ms: number; point: string }
  release_nodes: { release: string; node: string; at_ms: number; report: string }
  /** What a shadow step learned, by the run of the process that learned it: they are added up. */
  release_shadows: { release: string; run: string; state: string }
}

export const releaseMigrations: Readonly<Record<string, Migration>> = {
  '0001-releases': {
    async up(tx) {
      await tx.schema
        .createTable('releases')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('endpoint', 'text', (column) => column.notNull())
        .addColumn('active_endpoint', 'text', (column) => column.unique())
        .addColumn('model', 'text', (column) => column.notNull())
        .addColumn('from_version', 'bigint', (column) => column.notNull())
        .addColumn('to_version', 'bigint', (column) => column.notNull())
        .addColumn('selector', 'text', (column) => column.notNull())
        .addColumn('alias', 'text')
        .addColumn('plan', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('step', 'bigint', (column) => column.notNull())
        .addColumn('revision', 'bigint', (column) => column.notNull())
        .addColumn('step_elapsed_ms', 'bigint', (column) => column.notNull())
        .addColumn('min_units', 'bigint', (column) => column.notNull())
        .addColumn('time_scale', 'bigint', (column) => column.notNull())
        .addColumn('guards', 'text', (column) => column.notNull())
        .addColumn('thresholds', 'text')
        .addColumn('shadow', 'text')
        .addColumn('started_ms', 'bigint', (column) => column.notNull())
        .addColumn('ended_ms', 'bigint')
        .addColumn('started_by', 'text', (column) => column.notNull())
        .addColumn('reason', 'text')
        .execute()
      await tx.schema.createIndex('releases_by_endpoint').on('releases').columns(['endpoint', 'started_ms']).execute()
      await tx.schema
        .createTable('release_targets')
        .addColumn('endpoint', 'text', (column) => column.notNull())
        .addColumn('model', 'text', (column) => column.notNull())
        .addColumn('selector', 'text', (column) => column.notNull())
        .addColumn('version', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('release_targets_key', ['endpoint', 'model', 'selector'])
        .execute()
      await tx.schema
        .createTable('release_events')
        .addColumn('release', 'text', (column) => column.notNull())
        .addColumn('guard', 'text', (column) => column.notNull())
        .addColumn('unit', 'text', (column) => column.notNull())
        .addColumn('arm', 'text', (column) => column.notNull())
        .addColumn('step', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('release_events_key', ['release', 'guard', 'unit'])
        .execute()
      await tx.schema
        .createTable('release_units')
        .addColumn('release', 'text', (column) => column.notNull())
        .addColumn('step', 'bigint', (column) => column.notNull())
        .addColumn('arm', 'text', (column) => column.notNull())
        .addColumn('unit', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('release_units_key', ['release', 'step', 'arm', 'unit'])
        .execute()
      await tx.schema
        .createTable('release_positions')
        .addColumn('release', 'text', (column) => column.notNull())
        .addColumn('node', 'text', (column) => column.notNull())
        .addColumn('position', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('release_positions_key', ['release', 'node'])
        .execute()
      await tx.schema
        .createTable('release_looks')
        .addColumn('release', 'text', (column) => column.notNull())
        .addColumn('guard', 'text', (column) => column.notNull())
        .addColumn('time_ms', 'bigint', (column) => column.notNull())
        .addColumn('point', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('release_looks_key', ['release', 'guard', 'time_ms'])
        .execute()
      await tx.schema
        .createTable('release_shadows')
        .addColumn('release', 'text', (column) => column.notNull())
        .addColumn('run', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('release_shadows_key', ['release', 'run'])
        .execute()
      await tx.schema
        .createTable('release_nodes')
        .addColumn('release', 'text', (column) => column.notNull())
        .addColumn('node', 'text', (column) => column.notNull())
        .addColumn('at_ms', 'bigint', (column) => column.notNull())
        .addColumn('report', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('release_nodes_key', ['release', 'node'])
        .execute()
    },
  },
  '0002-many-units': {
    async up(tx) {
      await tx.schema
        .createTable('release_sketches')
        .addColumn('release', 'text', (column) => column.notNull())
        .addColumn('step', 'bigint', (column) => column.notNull())
        .addColumn('arm', 'text', (column) => column.notNull())
        .addColumn('node', 'text', (column) => column.notNull())
        .addColumn('sketch', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('release_sketches_key', ['release', 'step', 'arm', 'node'])
        .execute()
      await tx.schema.alterTable('releases').addColumn('final', 'text').execute()
    },
  },
  '0003-counts': {
    async up(tx) {
      await tx.schema
        .createTable('release_counts')
        .addColumn('release', 'text', (column) => column.notNull())
        .addColumn('node', 'text', (column) => column.notNull())
        .addColumn('guard', 'text', (column) => column.notNull())
        .addColumn('step', 'bigint', (column) => column.notNull())
        .addColumn('arm', 'text', (column) => column.notNull())
        .addColumn('units', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('release_counts_key', ['release', 'node', 'guard', 'step', 'arm'])
        .execute()
      await raw`
        insert into release_counts (release, node, guard, step, arm, units)
        select release, '', guard, step, arm, count(*) from release_events group by release, guard, step, arm
        union all
        select release, '', '', step, arm, count(*) from release_units group by release, step, arm`.execute(tx)
    },
  },
}

export const ACTIVE_STATES: readonly ReleaseState[] = ['running', 'paused']

export function isActive({ state }: { readonly state: string }): boolean {
  return state === 'running' || state === 'paused'
}

export function fromRow(row: ReleaseRow): Release {
  return {
    id: row.id,
    endpoint: row.endpoint,
    model: row.model,
    from: row.from_version,
    to: row.to_version,
    selector: row.selector,
    plan: JSON.parse(row.plan) as ReleasePlan,
    state: row.state as ReleaseState,
    step: row.step,
    revision: row.revision,
    stepElapsedMs: row.step_elapsed_ms,
    startedMs: row.started_ms,
    endedMs: row.ended_ms,
    startedBy: JSON.parse(row.started_by) as Actor,
    reason: row.reason,
  }
}

export function stepOf(release: Pick<Release, 'plan' | 'step'>): PlanStep {
  return release.plan.steps[release.step]!
}

export function thresholdsOf({ thresholds }: ReleaseRow): GuardThresholds | undefined {
  return thresholds === null ? undefined : (JSON.parse(thresholds) as GuardThresholds)
}

export async function findRow(db: Kysely<ReleaseTables>, id: string): Promise<ReleaseRow | undefined> {
  return db.selectFrom('releases').selectAll().where('id', '=', id).executeTakeFirst()
}

/** What routing needs of all releases that are not over. */
export async function readActiveReleases(sql: Sql): Promise<ActiveRelease[]> {
  const rows = await activeRows(sql.db<ReleaseTables>())
  return rows.map((row) => {
    const { id, endpoint, model, from, to, selector, plan, step, revision } = fromRow(row)
    return { id, endpoint, model, from, to, selector, step: plan.steps[step]!, stepIndex: step, revision }
  })
}

export async function activeRows(db: Kysely<ReleaseTables>): Promise<ReleaseRow[]> {
  return db.selectFrom('releases').selectAll().where('active_endpoint', 'is not', null).orderBy('id').execute()
}

export async function readReleaseTargets(sql: Sql): Promise<ReleaseTarget[]> {
  return sql
    .db<ReleaseTables>()
    .selectFrom('release_targets')
    .selectAll()
    .orderBy('endpoint')
    .orderBy('model')
    .orderBy('selector')
    .execute()
}
