// Experiments, runs and what they log.
import type { Page, Pair, SearchQuery, TrackingService } from '../../tracking/index.js'
import type { Api } from '../api/route.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { listed } from './answer.js'
import type { Fields } from './fields.js'
import { route } from './route.js'
import { datasetInputOf, experimentShape, metricOf, metricShape, runInfoShape, runShape } from './shapes.js'

const VIEWS = ['ACTIVE_ONLY', 'DELETED_ONLY', 'ALL'] as const
const STATUSES = ['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED'] as const
const HISTORY_PAGE = 25_000
const READS = { needs: 'viewer' } as const
/** The tag in which MLflow 2 keeps the models of a run, and how long it may be. */
const MODELS_TAG = 'mlflow.log-model.history'
const TAG_LENGTH = 8000

export function trackingRoutes(api: Api, context: ServerContext): void {
  const { tracking } = context.app.services
  experimentRoutes(api, tracking)
  runRoutes(api, tracking)
  logRoutes(api, tracking)
}

function experimentRoutes(api: Api, tracking: TrackingService): void {
  route(api, 'POST', 'experiments/create', 'Create an experiment', async ({ fields }) => ({
    experiment_id: await tracking.createExperiment({
      name: fields.text('name'),
      artifactLocation: fields.optional('artifact_location'),
      tags: fields.pairs('tags'),
    }),
  }))
  route(api, 'GET', 'experiments/get', 'An experiment by id', async ({ fields }) => ({
    experiment: experimentShape(await tracking.getExperiment(fields.text('experiment_id'))),
  }))
  route(api, 'GET', 'experiments/get-by-name', 'An experiment by name', async ({ fields }) => ({
    experiment: experimentShape(await tracking.getExperimentByName(fields.text('experiment_name'))),
  }))
  for (const method of ['POST', 'GET'] as const)
    route(
      api,
      method,
      'experiments/search',
      'Search experiments',
      async ({ fields }) => {
        const query = { ...searchOf(fields, 1000), view: fields.oneOf('view_type', VIEWS) ?? 'ACTIVE_ONLY' }
        return pageShape('experiments', await tracking.searchExperiments(query), experimentShape)
      },
      { ...READS, description: FILTERS },
    )
  route(api, 'POST', 'experiments/delete', 'Delete an experiment', async ({ fields }) => {
    await tracking.deleteExperiment(fields.text('experiment_id'))
    return {}
  })
  route(api, 'POST', 'experiments/restore', 'Bring a deleted experiment back', async ({ fields }) => {
    await tracking.restoreExperiment(fields.text('experiment_id'))
    return {}
  })
  route(api, 'POST', 'experiments/update', 'Rename an experiment', async ({ fields }) => {
    await tracking.renameExperiment(fields.text('experiment_id'), fields.text('new_name'))
    return {}
  })
  route(api, 'POST', 'experiments/set-experiment-tag', 'Set a tag of an experiment', async ({ fields }) => {
    await tracking.setExperimentTag(fields.text('experiment_id'), fields.text('key'), fields.optional('value') ?? '')
    return {}
  })
  route(api, 'POST', 'experiments/delete-experiment-tag', 'Remove a tag of an experiment', async ({ fields }) => {
    await tracking.deleteExperimentTag(fields.text('experiment_id'), fields.text('key'))
    return {}
  })
  route(
    api,
    'POST',
    'experiments/search-datasets',
    'Data sets that runs of experiments used',
    async ({ fields }) => {
      const found = await tracking.searchDatasets(fields.texts('experiment_ids'))
      return {
        dataset_summaries: listed(
          found.map(({ experimentId, name, digest, context }) => ({
            experiment_id: experimentId,
            name,
            digest,
            context: context || undefined,
          })),
        ),
      }
    },
    READS,
  )
}

function runRoutes(api: Api, tracking: TrackingService): void {
  route(api, 'POST', 'runs/create', 'Start a run', async ({ fields }) => ({
    run: runShape(
      await tracking.createRun({
        experimentId: fields.optional('experiment_id') || '0',
        userId: fields.optional('user_id'),
        name: fields.optional('run_name'),
        startMs: fields.int64('start_time'),
        tags: fields.pairs('tags'),
      }),
    ),
  }))
  route(api, 'GET', 'runs/get', 'A run', async ({ fields }) => ({
    run: runShape(await tracking.getRun(fields.runId())),
  }))
  route(api, 'POST', 'runs/update', 'Change or end a run', async ({ fields }) => ({
    run_info: runInfoShape(
      await tracking.updateRun(fields.runId(), {
        status: fields.oneOf('status', STATUSES),
        endMs: fields.int64('end_time'),
        name: fields.optional('run_name'),
      }),
    ),
  }))
  route(api, 'POST', 'runs/delete', 'Delete a run', async ({ fields }) => {
    await tracking.deleteRun(fields.runId())
    return {}
  })
  route(api, 'POST', 'runs/restore', 'Bring a deleted run back', async ({ fields }) => {
    await tracking.restoreRun(fields.runId())
    return {}
  })
  route(
    api,
    'POST',
    'runs/search',
    'Search runs',
    async ({ fields }) => {
      const query = {
        ...searchOf(fields, 1000),
        experimentIds: fields.texts('experiment_ids'),
        view: fields.oneOf('run_view_type', VIEWS) ?? 'ACTIVE_ONLY',
      }
      return pageShape('runs', await tracking.searchRuns(query), runShape)
    },
    { ...READS, description: FILTERS },
  )
}

function logRoutes(api: Api, tracking: TrackingService): void {
  const logParams = (runId: string, params: readonly Pair[]) =>
    tracking.logBatch(runId, { metrics: [], params, tags: [] })

  route(api, 'POST', 'runs/log-parameter', 'Log a param, once', async ({ fields }) => {
    await logParams(fields.runId(), [{ key: fields.text('key'), value: fields.optional('value') ?? '' }])
    return {}
  })
  route(api, 'POST', 'runs/log-metric', 'Log a point of a metric', async ({ fields }) => {
    await tracking.logBatch(fields.runId(), { metrics: [metricOf(fields)], params: [], tags: [] })
    return {}
  })
  route(api, 'POST', 'runs/log-batch', 'Log metrics, params and tags at once', async ({ fields }) => {
    await tracking.logBatch(fields.text('run_id'), {
      metrics: fields.list('metrics').map(metricOf),
      params: fields.pairs('params'),
      tags: fields.pairs('tags'),
    })
    return {}
  })
  route(api, 'POST', 'runs/set-tag', 'Set a tag of a run', async ({ fields }) => {
    await tracking.setTag(fields.runId(), fields.text('key'), fields.optional('value') ?? '')
    return {}
  })
  route(api, 'POST', 'runs/delete-tag', 'Remove a tag of a run', async ({ fields }) => {
    await tracking.deleteTag(fields.text('run_id'), fields.text('key'))
    return {}
  })
  route(api, 'POST', 'runs/log-inputs', 'Log the data sets and models that a run used', async ({ fields }) => {
    const models = fields.list('models').map((model) => model.text('model_id'))
    await tracking.logInputs(fields.text('run_id'), fields.list('datasets').map(datasetInputOf), models)
    return {}
  })
  route(api, 'POST', 'runs/outputs', 'Log the models that a run made', async ({ fields }) => {
    const outputs = fields
      .list('models')
      .map((model) => ({ modelId: model.text('model_id'), step: model.int64('step') ?? 0 }))
    await tracking.logOutputs(fields.text('run_id'), outputs)
    return {}
  })
  route(api, 'POST', 'runs/log-model', 'Note a model among the artifacts of a run (MLflow 2)', async ({ fields }) => {
    const runId = fields.text('run_id')
    const { tags } = await tracking.getRun(runId)
    const noted = [...modelsOf(tags.find(({ key }) => key === MODELS_TAG)?.value), modelOf(fields.text('model_json'))]
    // The oldest go where the tag is full: the files themselves stay.
    while (noted.length > 1 && JSON.stringify(noted).length > TAG_LENGTH) noted.shift()
    const value = JSON.stringify(noted)
    if (value.length <= TAG_LENGTH) await tracking.setTag(runId, MODELS_TAG, value)
    return {}
  })
  route(api, 'GET', 'metrics/get-history', 'Every point of a metric', async ({ fields }) => {
    const page = await tracking.metricHistory({
      runId: fields.runId(),
      key: fields.text('metric_key'),
      maxResults: fields.count('max_results', HISTORY_PAGE),
      pageToken: fields.optional('page_token'),
    })
    return pageShape('metrics', page, metricShape)
  })
}

const FILTERS =
  "`filter` is MLflow's language: comparisons joined by AND, of metrics, params, tags, attributes and data sets, with =, !=, >, >=, <, <=, LIKE, ILIKE, IN, NOT IN. A page token goes on where its page ended, whatever was logged meanwhile."

export function searchOf(fields: Fields, maxResults: number): SearchQuery {
  return {
    filter: fields.optional('filter'),
    orderBy: fields.texts('order_by'),
    maxResults: fields.count('max_results', maxResults),
    pageToken: fields.optional('page_token'),
  }
}

export function pageShape<T>(name: string, { items, nextPageToken }: Page<T>, shape: (item: T) => object): object {
  return { [name]: listed(items.map(shape)), next_page_token: nextPageToken }
}

function modelsOf(text: string | undefined): unknown[] {
  if (text === undefined) return []
  try {
    const models: unknown = JSON.parse(text)
    return Array.isArray(models) ? models : []
  } catch {
    // A caller may have set the tag to anything.
    return []
  }
}

function modelOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw HttpErrors.JSON_INVALID({ problem: `model_json is no JSON: ${(error as Error).message}` }, error)
  }
}
