// Runs: made, read, changed, deleted and brought back. What hangs on many runs is read in a fixed number of queries.
import { checkInt64, checkPairs, checkText, LIMITS } from './check.js'
import { TrackingErrors } from './errors.js'
import { experimentRow, refuseDeleted } from './experiments.js'
import { randomHex, randomName } from './ids.js'
import { fromStoredValue } from './metric-value.js'
import { type RunRow, searchRuns } from './search/search-runs.js'
import { type Db, retrying, type TrackingContext, type Tx } from './store.js'
import { headOf, type TrackingTables } from './tables.js'
import type { DatasetInput, Metric, ModelOutput, Pair, Run, RunInfo, TrackingService } from './types.js'

type Operations = Pick<
  TrackingService,
  'createRun' | 'getRun' | 'updateRun' | 'deleteRun' | 'restoreRun' | 'searchRuns' | 'setTag' | 'deleteTag'
>

export const RUN_NAME_TAG = 'mlflow.runName'
const USER_TAG = 'mlflow.user'
/** Parameters of one statement; SQLite takes 32,766. */
const CHUNK = 10_000

export function createRuns(context: TrackingContext): Operations {
  const { sql: store, platform, nextNumber, searchLimits } = context
  const { clock } = platform
  const db = () => store.db<TrackingTables>()

  async function setDeleted(runId: string, isDeleted: boolean): Promise<void> {
    const { number } = await runRow(db(), runId)
    await db()
      .updateTable('tracking_runs')
      .set({ is_deleted: isDeleted ? 1 : 0, deleted_with_ms: null })
      .where('number', '=', number)
      .execute()
  }

  return {
    async createRun({ experimentId, name, userId = '', startMs, tags }) {
      checkPairs('tag', tags, LIMITS.entities, LIMITS.runTagLength)
      if (name !== undefined) checkText('The name of the run', name, LIMITS.runNameLength)
      checkText('The user', userId, LIMITS.keyLength)
      if (startMs !== undefined) checkInt64('start_time', startMs)
      const byKey = new Map(tags.map(({ key, value }) => [key, value]))
      const tagged = byKey.get(RUN_NAME_TAG)
      if (name && tagged && name !== tagged)
        throw TrackingErrors.VALUE_INVALID({
          what: 'run_name',
          problem: `is "${name}", but the tag ${RUN_NAME_TAG} says "${tagged}". Give one of them, or the same twice`,
        })
      return retrying(() =>
        store.transaction(async (tx: Tx) => {
          const experiment = await experimentRow(tx, experimentId)
          refuseDeleted(experiment)
          const runName = name || tagged || randomName(platform)
          byKey.set(RUN_NAME_TAG, runName)
          const runId = randomHex(platform)
          const row: RunRow = {
            number: nextNumber(),
            run_id: runId,
            experiment: experiment.id,
            name: runName,
            user_id: userId || (byKey.get(USER_TAG) ?? ''),
            status: 'RUNNING',
            start_ms: startMs ?? clock.nowMs(),
            end_ms: null,
            artifact_uri: `${experiment.artifact_location.replace(/\/$/, '')}/${runId}/artifacts`,
            is_deleted: 0,
            deleted_with_ms: null,
          }
          await tx.insertInto('tracking_runs').values(row).execute()
          const pairs = [...byKey].map(([key, value]) => ({ key, value }))
          await putTags(tx, row, pairs)
          return toRun(row, { ...NOTHING, tags: pairs })
        }),
      )
    },

    async getRun(runId) {
      const [run] = await withFacts(db(), [await runRow(db(), runId)])
      return run!
    },

    async updateRun(runId, { status, endMs, name }) {
      if (endMs !== undefined) checkInt64('end_time', endMs)
      if (name !== undefined) checkText('The name of the run', name, LIMITS.runNameLength)
      return store.transaction(async (tx: Tx) => {
        const row = await activeRun(tx, runId)
        const changed = {
          ...row,
          ...(status === undefined ? {} : { status }),
          ...(endMs === undefined ? {} : { end_ms: endMs }),
          ...(name ? { name } : {}),
        }
        await tx
          .updateTable('tracking_runs')
          .set({ status: changed.status, end_ms: changed.end_ms, name: changed.name })
          .where('number', '=', row.number)
          .execute()
        if (name) await putTags(tx, row, [{ key: RUN_NAME_TAG, value: name }])
        return toInfo(changed)
      })
    },

    deleteRun: (runId) => setDeleted(runId, true),
    restoreRun: (runId) => setDeleted(runId, false),

    async setTag(runId, key, value) {
      checkPairs('tag', [{ key, value }], 1, LIMITS.runTagLength)
      await store.transaction(async (tx: Tx) => putRunTags(tx, await activeRun(tx, runId), [{ key, value }]))
    },

    async deleteTag(runId, key) {
      await store.transaction(async (tx: Tx) => {
        const { number } = await activeRun(tx, runId)
        const { numDeletedRows } = await tx
          .deleteFrom('run_tags')
          .where('run', '=', number)
          .where('key', '=', key)
          .executeTakeFirst()
        if (numDeletedRows === 0n) throw TrackingErrors.TAG_UNKNOWN({ key, of: `run with id ${runId}` })
      })
    },

    async searchRuns(query) {
      const { rows, nextPageToken } = await searchRuns(store, query, searchLimits)
      const items = await withFacts(db(), rows)
      return nextPageToken === undefined ? { items } : { items, nextPageToken }
    },
  }
}

export async function runRow(db: Db, runId: string): Promise<RunRow> {
  const row = await db.selectFrom('tracking_runs').selectAll().where('run_id', '=', runId).executeTakeFirst()
  if (row === undefined) throw TrackingErrors.RUN_UNKNOWN({ runId })
  return row
}

/** Only a run that is not deleted takes anything in. */
export async function activeRun(db: Db, runId: string): Promise<RunRow> {
  const row = await runRow(db, runId)
  if (row.is_deleted === 1) throw TrackingErrors.RUN_DELETED({ runId })
  return row
}

/** One of the tags is the run's name. */
export async function putRunTags(tx: Tx, run: RunRow, tags: readonly Pair[]): Promise<void> {
  // The same key twice in one batch: the last one counts, and Postgres takes a row only once.
  const last = new Map(tags.map(({ key, value }) => [key, value]))
  const name = last.get(RUN_NAME_TAG)
  if (name) await tx.updateTable('tracking_runs').set({ name }).where('number', '=', run.number).execute()
  await putTags(
    tx,
    run,
    [...last].map(([key, value]) => ({ key, value })),
  )
}

async function putTags(tx: Tx, { number, experiment }: RunRow, tags: readonly Pair[]): Promise<void> {
  if (tags.length === 0) return
  await tx
    .insertInto('run_tags')
    .values(tags.map(({ key, value }) => ({ run: number, key, experiment, value, head: headOf(value) })))
    .onConflict((conflict) =>
      conflict
        .columns(['run', 'key'])
        .doUpdateSet(({ ref }) => ({ value: ref('excluded.value'), head: ref('excluded.head') })),
    )
    .execute()
}

interface Facts {
  readonly metrics: Metric[]
  readonly params: Pair[]
  readonly tags: Pair[]
  readonly datasets: DatasetInput[]
  readonly modelInputs: string[]
  readonly modelOutputs: ModelOutput[]
}

const NOTHING: Facts = { metrics: [], params: [], tags: [], datasets: [], modelInputs: [], modelOutputs: [] }

async function withFacts(db: Db, rows: readonly RunRow[]): Promise<Run[]> {
  const byRun = new Map<number, Facts>()
  for (const { number } of rows)
    byRun.set(number, { metrics: [], params: [], tags: [], datasets: [], modelInputs: [], modelOutputs: [] })
  const numbers = [...byRun.keys()]
  for (let from = 0; from < numbers.length; from += CHUNK) await addFacts(db, numbers.slice(from, from + CHUNK), byRun)
  return rows.map((row) => toRun(row, byRun.get(row.number)!))
}

async function addFacts(db: Db, runs: readonly number[], byRun: ReadonlyMap<number, Facts>): Promise<void> {
  const [metrics, params, tags, datasets, models] = await Promise.all([
    db
      .selectFrom('latest_metrics')
      .select(['run', 'key', 'value', 'is_nan', 'is_infinite', 'timestamp_ms', 'step'])
      .where('run', 'in', runs)
      .orderBy('run')
      .orderBy('key')
      .execute(),
    db
      .selectFrom('run_params')
      .select(['run', 'key', 'value'])
      .where('run', 'in', runs)
      .orderBy('run')
      .orderBy('key')
      .execute(),
    db
      .selectFrom('run_tags')
      .select(['run', 'key', 'value'])
      .where('run', 'in', runs)
      .orderBy('run')
      .orderBy('key')
      .execute(),
    db
      .selectFrom('run_datasets')
      .innerJoin('tracking_datasets', 'tracking_datasets.id', 'run_datasets.dataset')
      .select(['run', 'tags', 'name', 'digest', 'source_type', 'source', 'schema', 'profile'])
      .where('run', 'in', runs)
      .orderBy('run')
      .orderBy('position')
      .execute(),
    db.selectFrom('run_models').selectAll().where('run', 'in', runs).orderBy('run').orderBy('position').execute(),
  ])
  for (const row of metrics)
    byRun.get(row.run)!.metrics.push({
      key: row.key,
      value: fromStoredValue(row),
      timestampMs: row.timestamp_ms,
      step: row.step,
    })
  for (const { run, key, value } of params) byRun.get(run)!.params.push({ key, value })
  for (const { run, key, value } of tags) byRun.get(run)!.tags.push({ key, value })
  for (const { run, tags: text, source_type: sourceType, ...rest } of datasets)
    byRun.get(run)!.datasets.push({ dataset: { ...rest, sourceType }, tags: JSON.parse(text) as Pair[] })
  for (const { run, kind, model_id: modelId, step } of models)
    if (kind === 'input') byRun.get(run)!.modelInputs.push(modelId)
    else byRun.get(run)!.modelOutputs.push({ modelId, step })
}

function toRun(row: RunRow, facts: Facts): Run {
  return {
    info: toInfo(row),
    metrics: facts.metrics,
    params: facts.params,
    tags: facts.tags,
    datasets: facts.datasets,
    modelInputs: facts.modelInputs,
    modelOutputs: facts.modelOutputs,
  }
}

function toInfo(row: RunRow): RunInfo {
  return {
    runId: row.run_id,
    experimentId: String(row.experiment),
    name: row.name,
    userId: row.user_id,
    status: row.status as RunInfo['status'],
    startMs: row.start_ms,
    endMs: row.end_ms,
    artifactUri: row.artifact_uri,
    lifecycle: row.is_deleted === 1 ? 'deleted' : 'active',
  }
}
