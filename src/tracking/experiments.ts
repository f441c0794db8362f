// Experiments: names are unique, over those that are deleted too, and numbers are never used again.
import { sql } from 'kysely'
import { checkKey, checkText, LIMITS } from './check.js'
import { TrackingErrors } from './errors.js'
import { type Language, parseFilter, parseOrder } from './filter/parse.js'
import { readPageToken, writePageToken } from './page-token.js'
import { allOf, type Condition, compare } from './search/conditions.js'
import { type Db, retrying, type TrackingContext, type Tx } from './store.js'
import { DEFAULT_EXPERIMENT, type TrackingTables } from './tables.js'
import type { Experiment, Pair, TrackingService } from './types.js'

type ExperimentRow = TrackingTables['tracking_experiments']
type Operations = Pick<
  TrackingService,
  | 'createExperiment'
  | 'getExperiment'
  | 'getExperimentByName'
  | 'renameExperiment'
  | 'deleteExperiment'
  | 'restoreExperiment'
  | 'setExperimentTag'
  | 'deleteExperimentTag'
  | 'searchExperiments'
>

const LANGUAGE: Language = {
  entities: ['attribute', 'tag'],
  attributes: {
    name: { name: 'name', type: 'text' },
    experiment_id: { name: 'id', type: 'text' },
    creation_time: { name: 'created_ms', type: 'number' },
    last_update_time: { name: 'updated_ms', type: 'number' },
  },
}
const MAX_EXPERIMENTS = 50_000

export function createExperiments(context: TrackingContext): Operations {
  const { sql: store, platform } = context
  const { clock } = platform
  const db = () => store.db<TrackingTables>()

  async function change(id: string, work: (tx: Tx, row: ExperimentRow) => Promise<void>): Promise<void> {
    await store.transaction(async (tx: Tx) => {
      const row = await experimentRow(tx, id)
      await work(tx, row)
      await tx.updateTable('tracking_experiments').set({ updated_ms: clock.nowMs() }).where('id', '=', row.id).execute()
    })
  }

  return {
    async createExperiment({ name, artifactLocation, tags }) {
      checkName(name)
      if (artifactLocation !== undefined) checkText('The artifact location', artifactLocation, LIMITS.locationLength)
      for (const { key, value } of tags) checkTag(key, value)
      return retrying(() =>
        store.transaction(async (tx: Tx) => {
          await refuseTaken(tx, name)
          const { last } = await tx
            .selectFrom('tracking_experiments')
            .select(({ fn }) => fn.max('id').as('last'))
            .executeTakeFirstOrThrow()
          const id = Number(last) + 1
          const nowMs = clock.nowMs()
          await tx
            .insertInto('tracking_experiments')
            .values({
              id,
              name,
              artifact_location: artifactLocation || `mlflow-artifacts:/${id}`,
              is_deleted: 0,
              created_ms: nowMs,
              updated_ms: nowMs,
            })
            .execute()
          for (const { key, value } of tags) await putTag(tx, id, key, value)
          return String(id)
        }),
      )
    },

    async getExperiment(id) {
      const row = await experimentRow(db(), id)
      return toExperiment(row, await tagsOf(db(), [row.id]))
    },

    async getExperimentByName(name) {
      const row = await db().selectFrom('tracking_experiments').selectAll().where('name', '=', name).executeTakeFirst()
      if (row === undefined) throw TrackingErrors.EXPERIMENT_UNKNOWN({ experiment: name })
      return toExperiment(row, await tagsOf(db(), [row.id]))
    },

    async renameExperiment(id, name) {
      checkName(name)
      return retrying(() =>
        change(id, async (tx, row) => {
          refuseDeleted(row)
          if (name === row.name) return
          await refuseTaken(tx, name)
          await tx.updateTable('tracking_experiments').set({ name }).where('id', '=', row.id).execute()
        }),
      )
    },

    deleteExperiment: (id) =>
      change(id, async (tx, row) => {
        if (row.id === DEFAULT_EXPERIMENT) throw TrackingErrors.EXPERIMENT_STATE({ experiment: id, state: 'default' })
        refuseDeleted(row)
        await tx.updateTable('tracking_experiments').set({ is_deleted: 1 }).where('id', '=', row.id).execute()
        await tx
          .updateTable('tracking_runs')
          .set({ is_deleted: 1, deleted_with_ms: clock.nowMs() })
          .where('experiment', '=', row.id)
          .where('is_deleted', '=', 0)
          .execute()
      }),

    restoreExperiment: (id) =>
      change(id, async (tx, row) => {
        if (row.is_deleted === 0) throw TrackingErrors.EXPERIMENT_UNKNOWN({ experiment: `${id} that is deleted` })
        await tx.updateTable('tracking_experiments').set({ is_deleted: 0 }).where('id', '=', row.id).execute()
        await tx
          .updateTable('tracking_runs')
          .set({ is_deleted: 0, deleted_with_ms: null })
          .where('experiment', '=', row.id)
          .where('deleted_with_ms', 'is not', null)
          .execute()
      }),

    async setExperimentTag(id, key, value) {
      checkTag(key, value)
      await change(id, async (tx, row) => {
        refuseDeleted(row)
        await putTag(tx, row.id, key, value)
      })
    },

    deleteExperimentTag: (id, key) =>
      change(id, async (tx, row) => {
        const { numDeletedRows } = await tx
          .deleteFrom('tracking_experiment_tags')
          .where('experiment', '=', row.id)
          .where('key', '=', key)
          .executeTakeFirst()
        if (numDeletedRows === 0n) throw TrackingErrors.TAG_UNKNOWN({ key, of: `experiment ${id}` })
      }),

    async searchExperiments({ filter = '', orderBy = [], maxResults, pageToken, view }) {
      if (!Number.isInteger(maxResults) || maxResults < 1 || maxResults > MAX_EXPERIMENTS)
        throw TrackingErrors.VALUE_INVALID({
          what: 'max_results',
          problem: `must be at least 1 and at most ${MAX_EXPERIMENTS}, but ${maxResults} arrived`,
        })
      const conditions = parseFilter(filter, LANGUAGE).map((comparison): Condition => {
        if (comparison.entity === 'attribute')
          return compare(
            store.dialect,
            comparison.key === 'id' ? 'cast(e.id as text)' : `e.${comparison.key}`,
            comparison,
          )
        const has = sql`select 1 from tracking_experiment_tags t where t.experiment = e.id and t.key = ${comparison.key}`
        if (comparison.operator === 'IS NULL') return sql`not exists (${has})`
        if (comparison.operator === 'IS NOT NULL') return sql`exists (${has})`
        return sql`exists (${has} and ${compare(store.dialect, 't.value', comparison)})`
      })
      if (view !== 'ALL') conditions.push(sql`e.is_deleted = ${view === 'DELETED_ONLY' ? 1 : 0}`)
      const orders = orderBy.map((text) => parseOrder(text, LANGUAGE))
      const terms = orders.map(({ entity, key, isAscending }) => {
        if (entity !== 'attribute')
          throw TrackingErrors.ORDER_INVALID({ text: key, problem: 'only attributes order experiments' })
        return sql`${sql.raw(`e.${key}`)} ${sql.raw(isAscending ? 'asc' : 'desc')}`
      })
      if (orders.length === 0) terms.push(sql`e.created_ms desc`)
      terms.push(sql`e.id desc`)
      const [offset = 0] = pageToken ? readPageToken('experiments', pageToken, 1) : []
      const { rows } =
        await sql<ExperimentRow>`select e.* from tracking_experiments e where ${allOf(conditions)} order by ${sql.join(terms)} limit ${maxResults + 1} offset ${offset}`.execute(
          db(),
        )
      const page = rows.slice(0, maxResults)
      const tags = await tagsOf(
        db(),
        page.map(({ id }) => id),
      )
      const items = page.map((row) => toExperiment(row, tags))
      return rows.length > maxResults
        ? { items, nextPageToken: writePageToken('experiments', [offset + maxResults]) }
        : { items }
    },
  }
}

export async function experimentRow(db: Db, id: string): Promise<ExperimentRow> {
  const row = /^\d{1,15}$/.test(id)
    ? await db.selectFrom('tracking_experiments').selectAll().where('id', '=', Number(id)).executeTakeFirst()
    : undefined
  if (row === undefined) throw TrackingErrors.EXPERIMENT_UNKNOWN({ experiment: id })
  return row
}

export function refuseDeleted({ id, is_deleted }: ExperimentRow): void {
  if (is_deleted === 1) throw TrackingErrors.EXPERIMENT_STATE({ experiment: String(id), state: 'deleted' })
}

async function refuseTaken(tx: Tx, name: string): Promise<void> {
  const row = await tx
    .selectFrom('tracking_experiments')
    .select('is_deleted')
    .where('name', '=', name)
    .executeTakeFirst()
  if (row) throw TrackingErrors.EXPERIMENT_EXISTS({ name, isDeleted: row.is_deleted === 1 })
}

async function putTag(tx: Tx, experiment: number, key: string, value: string): Promise<void> {
  await tx
    .insertInto('tracking_experiment_tags')
    .values({ experiment, key, value })
    .onConflict((conflict) => conflict.columns(['experiment', 'key']).doUpdateSet({ value }))
    .execute()
}

function checkName(name: string): void {
  checkText('The name of the experiment', name, LIMITS.experimentNameLength)
  if (name.trim() === '')
    throw TrackingErrors.VALUE_INVALID({ what: 'The name of the experiment', problem: 'is empty' })
}

function checkTag(key: string, value: string): void {
  checkKey("The tag's key", key)
  checkText(`The value of tag "${key}"`, value, LIMITS.experimentTagLength)
}

async function tagsOf(db: Db, experiments: readonly number[]): Promise<Map<number, Pair[]>> {
  const tags = new Map<number, Pair[]>()
  for (let from = 0; from < experiments.length; from += 10_000) {
    const rows = await db
      .selectFrom('tracking_experiment_tags')
      .selectAll()
      .where('experiment', 'in', experiments.slice(from, from + 10_000))
      .orderBy('key')
      .execute()
    for (const { experiment, key, value } of rows) {
      const known = tags.get(experiment)
      if (known) known.push({ key, value })
      else tags.set(experiment, [{ key, value }])
    }
  }
  return tags
}

function toExperiment(row: ExperimentRow, tags: ReadonlyMap<number, Pair[]>): Experiment {
  return {
    id: String(row.id),
    name: row.name,
    artifactLocation: row.artifact_location,
    lifecycle: row.is_deleted === 1 ? 'deleted' : 'active',
    createdMs: row.created_ms,
    updatedMs: row.updated_ms,
    tags: tags.get(row.id) ?? [],
  }
}
