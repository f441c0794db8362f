// Takes in a batch of metrics, params and tags in one transaction. A thousand metrics are a few statements.
import type { Sql } from '../store/index.js'
import { checkCount, checkInt64, checkKey, checkPairs, LIMITS } from './check.js'
import { TrackingErrors } from './errors.js'
import { toStoredValue } from './metric-value.js'
import { type Point, putLatest, putPoints } from './put-points.js'
import { activeRun, putRunTags } from './runs.js'
import type { RunRow } from './search/search-runs.js'
import { retrying, type TrackingContext, type Tx } from './store.js'
import { bucketOf, headOf } from './tables.js'
import type { Batch, Metric, Pair, TrackingService } from './types.js'

export function createLogBatch({ sql: store }: TrackingContext): Pick<TrackingService, 'logBatch'> {
  return {
    async logBatch(runId, batch) {
      checkBatch(batch)
      await retrying(() =>
        store.transaction(async (tx: Tx) => {
          const run = await activeRun(tx, runId)
          await putParams(tx, run, batch.params)
          await putMetrics(tx, store.dialect, run, batch.metrics)
          await putRunTags(tx, run, batch.tags)
        }),
      )
    },
  }
}

function checkBatch({ metrics, params, tags }: Batch): void {
  checkCount('metrics', metrics.length, LIMITS.metrics)
  checkPairs('param', params, LIMITS.params, LIMITS.paramLength)
  checkPairs('tag', tags, LIMITS.tags, LIMITS.runTagLength)
  checkCount('metrics, params and tags', metrics.length + params.length + tags.length, LIMITS.entities)
  let lastKey: string | undefined
  for (const { key, timestampMs, step } of metrics) {
    if (key !== lastKey) checkKey("The metric's key", key)
    lastKey = key
    checkInt64('timestamp', timestampMs)
    checkInt64('step', step)
  }
}

/** A param is written once; the same value again is no mistake. */
async function putParams(tx: Tx, run: RunRow, params: readonly Pair[]): Promise<void> {
  if (params.length === 0) return
  const logged = await tx
    .selectFrom('run_params')
    .select(['key', 'value'])
    .where('run', '=', run.number)
    .where(
      'key',
      'in',
      params.map(({ key }) => key),
    )
    .execute()
  const values = new Map(logged.map(({ key, value }) => [key, value]))
  const fresh = new Map<string, string>()
  for (const { key, value } of params) {
    const old = values.get(key)
    if (old === undefined) fresh.set(key, value)
    else if (old !== value) throw TrackingErrors.PARAM_CHANGED({ key, runId: run.run_id, old, arrived: value })
    values.set(key, value)
  }
  if (fresh.size === 0) return
  await tx
    .insertInto('run_params')
    .values(
      [...fresh].map(([key, value]) => ({
        run: run.number,
        key,
        experiment: run.experiment,
        value,
        head: headOf(value),
      })),
    )
    .execute()
}

async function putMetrics(tx: Tx, dialect: Sql['dialect'], run: RunRow, metrics: readonly Metric[]): Promise<void> {
  if (metrics.length === 0) return
  const points: Point[] = []
  const latest = new Map<string, Point>()
  for (let i = 0; i < metrics.length; i++) {
    const { key, value, timestampMs, step } = metrics[i]!
    const { value: stored, is_nan, is_infinite } = toStoredValue(value)
    const bucket = bucketOf(key)
    const point = { bucket, key, timestamp_ms: timestampMs, step, value: stored, is_nan, is_infinite }
    points.push(point)
    const before = latest.get(key)
    if (before === undefined || isLater(point, before)) latest.set(key, point)
  }
  await putPoints(tx, dialect, run, points)
  await putLatest(tx, dialect, run, [...latest.values()])
  await putModelMetrics(tx, run, metrics)
}

/** The latest point of a metric is the greatest (step, timestamp, value). Numbers and bigints compare exactly. */
function isLater(a: Point, b: Point): boolean {
  if (a.step !== b.step) return a.step > b.step
  if (a.timestamp_ms !== b.timestamp_ms) return a.timestamp_ms > b.timestamp_ms
  return a.value >= b.value
}

/** Points that say which logged model they measure belong to it too. */
async function putModelMetrics(tx: Tx, run: RunRow, metrics: readonly Metric[]): Promise<void> {
  const measured = metrics.filter(({ modelId }) => modelId)
  if (measured.length === 0) return
  await tx
    .insertInto('logged_model_metrics')
    .values(
      measured.map(({ key, value, timestampMs, step, modelId, datasetName = '', datasetDigest = '' }) => ({
        model_id: modelId!,
        key,
        timestamp_ms: timestampMs,
        step,
        ...toStoredValue(value),
        dataset_name: datasetName,
        dataset_digest: datasetDigest,
        run_id: run.run_id,
      })),
    )
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}
