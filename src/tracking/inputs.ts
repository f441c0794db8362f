// What a run used and made: data sets, models it read, models it logged.
import { checkCount, checkInt64, checkText, LIMITS } from './check.js'
import { randomHex } from './ids.js'
import { activeRun } from './runs.js'
import { retrying, type TrackingContext, type Tx } from './store.js'
import type { TrackingTables } from './tables.js'
import type { Dataset, DatasetInput, TrackingService } from './types.js'

type Operations = Pick<TrackingService, 'logInputs' | 'logOutputs' | 'searchDatasets'>

const CONTEXT_TAG = 'mlflow.data.context'
const MAX_LISTED = 1000

export function createInputs({ sql: store, platform }: TrackingContext): Operations {
  async function datasetId(tx: Tx, experiment: number, dataset: Dataset): Promise<string> {
    const { name, digest, sourceType, source, schema, profile } = dataset
    const known = await tx
      .selectFrom('tracking_datasets')
      .select('id')
      .where('experiment', '=', experiment)
      .where('name', '=', name)
      .where('digest', '=', digest)
      .executeTakeFirst()
    if (known) return known.id
    const id = randomHex(platform)
    await tx
      .insertInto('tracking_datasets')
      .values({ id, experiment, name, digest, source_type: sourceType, source, schema, profile })
      .execute()
    return id
  }

  async function putModels(
    tx: Tx,
    run: number,
    kind: 'input' | 'output',
    models: readonly { modelId: string; step: number | bigint }[],
  ): Promise<void> {
    if (models.length === 0) return
    await tx
      .insertInto('run_models')
      .values(models.map(({ modelId, step }, position) => ({ run, kind, model_id: modelId, step, position })))
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }

  return {
    async logInputs(runId, datasets, models) {
      checkCount('data sets', datasets.length, LIMITS.datasets)
      for (const input of datasets) checkDataset(input)
      await retrying(() =>
        store.transaction(async (tx: Tx) => {
          const { number, experiment } = await activeRun(tx, runId)
          for (const [position, { dataset, tags }] of datasets.entries()) {
            const context = tags.find(({ key }) => key === CONTEXT_TAG)?.value ?? null
            const values = { position, context, tags: JSON.stringify(tags) }
            await tx
              .insertInto('run_datasets')
              .values({ run: number, dataset: await datasetId(tx, experiment, dataset), ...values })
              .onConflict((conflict) =>
                conflict.columns(['run', 'dataset']).doUpdateSet({ context, tags: values.tags }),
              )
              .execute()
          }
          await putModels(
            tx,
            number,
            'input',
            models.map((modelId) => ({ modelId, step: 0 })),
          )
        }),
      )
    },

    async logOutputs(runId, outputs) {
      checkCount('models', outputs.length, LIMITS.entities)
      for (const { modelId, step } of outputs) {
        checkText('The model id', modelId, LIMITS.keyLength)
        checkInt64('step', step)
      }
      await store.transaction(async (tx: Tx) => {
        const { number } = await activeRun(tx, runId)
        await putModels(tx, number, 'output', outputs)
      })
    },

    async searchDatasets(experimentIds) {
      const experiments = experimentIds.filter((id) => /^\d{1,15}$/.test(id)).map(Number)
      if (experiments.length === 0) return []
      const rows = await store
        .db<TrackingTables>()
        .selectFrom('tracking_datasets as d')
        .innerJoin('run_datasets as x', 'x.dataset', 'd.id')
        .select(['d.experiment', 'd.name', 'd.digest', 'd.source_type', 'x.context'])
        .distinct()
        .where('d.experiment', 'in', experiments)
        .limit(MAX_LISTED)
        .execute()
      return rows.map(({ experiment, name, digest, source_type: sourceType, context }) => ({
        ...{ name, digest, sourceType, source: '', schema: null, profile: null },
        experimentId: String(experiment),
        context: context ?? '',
      }))
    },
  }
}

function checkDataset({ dataset, tags }: DatasetInput): void {
  checkText('The name of the data set', dataset.name, LIMITS.experimentNameLength)
  checkText('The digest of the data set', dataset.digest, LIMITS.keyLength)
  for (const part of ['sourceType', 'source', 'schema', 'profile'] as const)
    checkText(`The ${part} of the data set`, dataset[part] ?? '', LIMITS.datasetTextLength)
  for (const { key, value } of tags) {
    checkText("The input tag's key", key, LIMITS.keyLength)
    checkText(`The value of input tag "${key}"`, value, LIMITS.runTagLength)
  }
}
