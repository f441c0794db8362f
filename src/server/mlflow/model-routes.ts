// MLflow 3's logged models.
import type { ModelStatus } from '../../tracking/index.js'
import type { Api } from '../api/route.js'
import type { ServerContext } from '../context.js'
import { folderShape } from './artifact-places.js'
import { route } from './route.js'
import { loggedModelShape } from './shapes.js'
import { pageShape } from './tracking-routes.js'

const STATUSES: readonly ModelStatus[] = [
  'LOGGED_MODEL_PENDING',
  'LOGGED_MODEL_READY',
  'LOGGED_MODEL_UPLOAD_FAILED',
  'LOGGED_MODEL_STATUS_UNSPECIFIED',
]
const PAGE = 100

export function loggedModelRoutes(api: Api, context: ServerContext): void {
  const { tracking } = context.app.services
  route(api, 'POST', 'logged-models', 'Begin a logged model', async ({ fields }) => ({
    model: loggedModelShape(
      await tracking.createModel({
        experimentId: fields.text('experiment_id'),
        name: fields.optional('name'),
        modelType: fields.optional('model_type'),
        sourceRunId: fields.optional('source_run_id'),
        params: fields.pairs('params'),
        tags: fields.pairs('tags'),
      }),
    ),
  }))
  route(
    api,
    'POST',
    'logged-models/search',
    'Search logged models',
    async ({ fields }) => {
      const page = await tracking.searchModels({
        experimentIds: fields.texts('experiment_ids'),
        filter: fields.optional('filter'),
        datasets: fields.list('datasets').map((dataset) => ({
          name: dataset.text('dataset_name'),
          digest: dataset.optional('dataset_digest'),
        })),
        orderBy: fields.list('order_by').map((order) => {
          const ascending = !order.has('ascending') || order.flag('ascending')
          return `${order.text('field_name')} ${ascending ? 'ASC' : 'DESC'}`
        }),
        maxResults: fields.count('max_results', PAGE),
        pageToken: fields.optional('page_token'),
      })
      return pageShape('models', page, loggedModelShape)
    },
    { needs: 'viewer' },
  )
  route(api, 'GET', 'logged-models/:id', 'A logged model', async ({ param }) => ({
    model: loggedModelShape(await tracking.getModel(param('id'))),
  }))
  route(
    api,
    'PATCH',
    'logged-models/:id',
    'Say that a logged model is ready, or failed',
    async ({ fields, param }) => ({
      model: loggedModelShape(
        await tracking.finishModel(param('id'), fields.oneOf('status', STATUSES) ?? 'LOGGED_MODEL_READY'),
      ),
    }),
  )
  route(api, 'DELETE', 'logged-models/:id', 'Delete a logged model', async ({ param }) => {
    await tracking.deleteModel(param('id'))
    return {}
  })
  route(api, 'PATCH', 'logged-models/:id/tags', 'Set tags of a logged model', async ({ fields, param }) => ({
    model: loggedModelShape(await tracking.setModelTags(param('id'), fields.pairs('tags'))),
  }))
  route(api, 'DELETE', 'logged-models/:id/tags/:key', 'Remove a tag of a logged model', async ({ param }) => {
    await tracking.deleteModelTag(param('id'), param('key'))
    return {}
  })
  route(api, 'POST', 'logged-models/:id/params', 'Add params to a logged model', async ({ fields, param }) => {
    await tracking.logModelParams(param('id'), fields.pairs('params'))
    return {}
  })
  route(
    api,
    'GET',
    'logged-models/:id/artifacts/directories',
    "What lies in a folder of a logged model's artifacts",
    async ({ fields, param }) => {
      const { artifactUri } = await tracking.getModel(param('id'))
      return folderShape(tracking, artifactUri, fields.optional('artifact_directory_path') ?? '')
    },
  )
}
