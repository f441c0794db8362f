// MLflow 3's logged models: what a run (or nobody) logged, with its own params, tags, metrics and artifacts.
import { sql } from 'kysely'
import { checkPairs, checkText, LIMITS } from './check.js'
import { TrackingErrors } from './errors.js'
import { experimentRow, refuseDeleted } from './experiments.js'
import { type Comparison, type Language, type Order, parseFilter, parseOrder } from './filter/parse.js'
import { randomHex, randomName } from './ids.js'
import { fromStoredValue } from './metric-value.js'
import { readPageToken, writePageToken } from './page-token.js'
import { allOf, type Condition, compare, compareMetric, type Dialect } from './search/conditions.js'
import { type Db, retrying, type TrackingContext, type Tx } from './store.js'
import type { TrackingTables } from './tables.js'
import type { LoggedModel, Metric, ModelSearch, Pair, TrackingService } from './types.js'

type ModelRow = TrackingTables['logged_models']
type Operations = Pick<
  TrackingService,
  | 'createModel'
  | 'getModel'
  | 'finishModel'
  | 'deleteModel'
  | 'setModelTags'
  | 'deleteModelTag'
  | 'logModelParams'
  | 'searchModels'
>

const CREATED = { name: 'created_ms', type: 'number' } as const
const UPDATED = { name: 'updated_ms', type: 'number' } as const
const LANGUAGE: Language = {
  entities: ['attribute', 'metric', 'param', 'tag'],
  attributes: {
    name: { name: 'name', type: 'text' },
    model_id: { name: 'model_id', type: 'text' },
    model_type: { name: 'model_type', type: 'text' },
    status: { name: 'status', type: 'text' },
    source_run_id: { name: 'source_run_id', type: 'text' },
    creation_time: CREATED,
    creation_timestamp: CREATED,
    last_updated_time: UPDATED,
    last_updated_timestamp: UPDATED,
  },
}
const MAX_MODELS = 1000

export function createLoggedModels({ sql: store, platform, nextNumber }: TrackingContext): Operations {
  const { clock } = platform
  const db = () => store.db<TrackingTables>()

  async function one(tx: Db, modelId: string): Promise<LoggedModel> {
    const [model] = await withFacts(tx, [await modelRow(tx, modelId)])
    return model!
  }

  /** Changes a model that is there, and gives it as it then is. */
  function change(modelId: string, work: (tx: Tx, row: ModelRow) => Promise<void>): Promise<LoggedModel> {
    return store.transaction(async (tx: Tx) => {
      const row = await modelRow(tx, modelId)
      await work(tx, row)
      await tx.updateTable('logged_models').set({ updated_ms: clock.nowMs() }).where('model_id', '=', modelId).execute()
      return one(tx, modelId)
    })
  }

  return {
    async createModel({ experimentId, name, modelType = '', sourceRunId = '', params, tags }) {
      checkPairs('param', params, LIMITS.entities, LIMITS.paramLength)
      checkPairs('tag', tags, LIMITS.entities, LIMITS.runTagLength)
      checkText('The name of the model', name ?? '', LIMITS.experimentNameLength)
      checkText('The type of the model', modelType, LIMITS.experimentNameLength)
      if (name !== undefined && /[/:.%"']/.test(name))
        throw TrackingErrors.VALUE_INVALID({
          what: 'The name of the model',
          problem: `"${name}" must not have any of / : . % " ' in it`,
        })
      return retrying(() =>
        store.transaction(async (tx: Tx) => {
          const experiment = await experimentRow(tx, experimentId)
          refuseDeleted(experiment)
          const modelId = `m-${randomHex(platform)}`
          const nowMs = clock.nowMs()
          await tx
            .insertInto('logged_models')
            .values({
              number: nextNumber(),
              model_id: modelId,
              experiment: experiment.id,
              name: name || randomName(platform),
              model_type: modelType,
              source_run_id: sourceRunId,
              status: 'LOGGED_MODEL_PENDING',
              artifact_uri: `${experiment.artifact_location.replace(/\/$/, '')}/models/${modelId}/artifacts`,
              is_deleted: 0,
              created_ms: nowMs,
              updated_ms: nowMs,
            })
            .execute()
          await putPairs(tx, modelId, 'param', params)
          await putPairs(tx, modelId, 'tag', tags)
          return one(tx, modelId)
        }),
      )
    },

    getModel: (modelId) => one(db(), modelId),

    finishModel: (modelId, status) =>
      change(modelId, async (tx) => {
        await tx.updateTable('logged_models').set({ status }).where('model_id', '=', modelId).execute()
      }),

    async deleteModel(modelId) {
      const { number } = await modelRow(db(), modelId)
      await db().updateTable('logged_models').set({ is_deleted: 1 }).where('number', '=', number).execute()
    },

    async setModelTags(modelId, tags) {
      checkPairs('tag', tags, LIMITS.entities, LIMITS.runTagLength)
      return change(modelId, (tx) => putPairs(tx, modelId, 'tag', tags))
    },

    async deleteModelTag(modelId, key) {
      await change(modelId, async (tx) => {
        const { numDeletedRows } = await tx
          .deleteFrom('logged_model_pairs')
          .where('model_id', '=', modelId)
          .where('kind', '=', 'tag')
          .where('key', '=', key)
          .executeTakeFirst()
        if (numDeletedRows === 0n) throw TrackingErrors.TAG_UNKNOWN({ key, of: `model with ID '${modelId}'` })
      })
    },

    async logModelParams(modelId, params) {
      checkPairs('param', params, LIMITS.entities, LIMITS.paramLength)
      await change(modelId, (tx) => putPairs(tx, modelId, 'param', params))
    },

    async searchModels(query) {
      const { filter = '', orderBy = [], maxResults, pageToken } = query
      if (!Number.isInteger(maxResults) || maxResults < 1 || maxResults > MAX_MODELS)
        throw TrackingErrors.VALUE_INVALID({
          what: 'max_results',
          problem: `must be at least 1 and at most ${MAX_MODELS}, but ${maxResults} arrived`,
        })
      const experiments = query.experimentIds.filter((id) => /^\d{1,15}$/.test(id)).map(Number)
      if (experiments.length === 0) return { items: [] }
      const conditions = parseFilter(filter, LANGUAGE).map((one) => modelCondition(store.dialect, one, query.datasets))
      conditions.push(sql`m.is_deleted = 0`, sql`m.experiment in (${sql.join(experiments)})`)
      const terms = orderBy.flatMap((text) => orderTerms(parseOrder(text, LANGUAGE)))
      terms.push(sql`m.created_ms desc`, sql`m.model_id`)
      const [offset = 0, asOf] = pageToken ? readPageToken('models', pageToken, 2) : []
      const newest = asOf ?? (await newestModel(db()))
      conditions.push(sql`m.number <= ${newest}`)
      const { rows } =
        await sql<ModelRow>`select m.* from logged_models m where ${allOf(conditions)} order by ${sql.join(terms)} limit ${maxResults + 1} offset ${offset}`.execute(
          db(),
        )
      const items = await withFacts(db(), rows.slice(0, maxResults))
      return rows.length > maxResults
        ? { items, nextPageToken: writePageToken('models', [offset + maxResults, newest]) }
        : { items }
    },
  }
}

async function newestModel(db: Db): Promise<number> {
  const row = await db
    .selectFrom('logged_models')
    .select(({ fn }) => fn.max('number').as('number'))
    .executeTakeFirst()
  return Number(row?.number ?? 0)
}

async function modelRow(db: Db, modelId: string): Promise<ModelRow> {
  const row = await db
    .selectFrom('logged_models')
    .selectAll()
    .where('model_id', '=', modelId)
    .where('is_deleted', '=', 0)
    .executeTakeFirst()
  if (row === undefined) throw TrackingErrors.MODEL_UNKNOWN({ modelId })
  return row
}

async function putPairs(tx: Tx, modelId: string, kind: 'param' | 'tag', pairs: readonly Pair[]): Promise<void> {
  const last = new Map(pairs.map(({ key, value }) => [key, value]))
  if (last.size === 0) return
  await tx
    .insertInto('logged_model_pairs')
    .values([...last].map(([key, value]) => ({ model_id: modelId, kind, key, value })))
    .onConflict((conflict) =>
      conflict.columns(['model_id', 'kind', 'key']).doUpdateSet(({ ref }) => ({ value: ref('excluded.value') })),
    )
    .execute()
}

function modelCondition(dialect: Dialect, comparison: Comparison, datasets: ModelSearch['datasets']): Condition {
  const { entity, key, operator } = comparison
  if (entity === 'attribute') return compare(dialect, `m.${key}`, comparison)
  if (entity === 'metric') {
    const on =
      datasets.length === 0
        ? sql`1 = 1`
        : sql`(${sql.join(
            datasets.map(({ name, digest }) =>
              digest ? sql`x.dataset_name = ${name} and x.dataset_digest = ${digest}` : sql`x.dataset_name = ${name}`,
            ),
            sql` or `,
          )})`
    return sql`exists (select 1 from logged_model_metrics x where x.model_id = m.model_id and x.key = ${key} and ${on} and ${compareMetric('x', comparison)})`
  }
  const has = sql`select 1 from logged_model_pairs p where p.model_id = m.model_id and p.kind = ${entity} and p.key = ${key}`
  if (operator === 'IS NULL') return sql`not exists (${has})`
  if (operator === 'IS NOT NULL') return sql`exists (${has})`
  return sql`exists (${has} and ${compare(dialect, 'p.value', comparison)})`
}

function orderTerms({ entity, key, isAscending }: Order) {
  const direction = sql.raw(isAscending ? 'asc' : 'desc')
  if (entity === 'attribute') return [sql`${sql.raw(`m.${key}`)} ${direction}`]
  const value =
    entity === 'metric'
      ? sql`(select max(x.value) from logged_model_metrics x where x.model_id = m.model_id and x.key = ${key} and x.is_nan = 0)`
      : sql`(select p.value from logged_model_pairs p where p.model_id = m.model_id and p.kind = ${entity} and p.key = ${key})`
  return [sql`case when ${value} is null then 1 else 0 end`, sql`${value} ${direction}`]
}

async function withFacts(db: Db, rows: readonly ModelRow[]): Promise<LoggedModel[]> {
  if (rows.length === 0) return []
  const ids = rows.map(({ model_id }) => model_id)
  const [pairs, metrics] = await Promise.all([
    db.selectFrom('logged_model_pairs').selectAll().where('model_id', 'in', ids).orderBy('key').execute(),
    db
      .selectFrom('logged_model_metrics')
      .selectAll()
      .where('model_id', 'in', ids)
      .orderBy('key')
      .orderBy('timestamp_ms')
      .execute(),
  ])
  const byModel = new Map(ids.map((id) => [id, { params: [] as Pair[], tags: [] as Pair[], metrics: [] as Metric[] }]))
  for (const { model_id, kind, key, value } of pairs)
    byModel.get(model_id)![kind === 'param' ? 'params' : 'tags'].push({ key, value })
  for (const row of metrics)
    byModel.get(row.model_id)!.metrics.push({
      key: row.key,
      value: fromStoredValue(row),
      timestampMs: row.timestamp_ms,
      step: row.step,
      modelId: row.model_id,
      runId: row.run_id,
      datasetName: row.dataset_name || undefined,
      datasetDigest: row.dataset_digest || undefined,
    })
  return rows.map((row) => ({
    modelId: row.model_id,
    experimentId: String(row.experiment),
    name: row.name,
    modelType: row.model_type,
    sourceRunId: row.source_run_id,
    status: row.status as LoggedModel['status'],
    artifactUri: row.artifact_uri,
    createdMs: row.created_ms,
    updatedMs: row.updated_ms,
    ...byModel.get(row.model_id)!,
  }))
}
