// Registered models, versions, aliases and stages. The registry keeps them: what MLflow's client registers is what `headrace models` shows
// and what is served, and an alias that it sets moves what follows that alias.
import { removeModel, removeVersion } from '../../app/index.js'
import { HeadraceError } from '../../core/index.js'
import { type RegisteredVersion, type RegistryService, STAGES, type Stage } from '../../registry/index.js'
import {
  type Language,
  matches,
  parseFilter,
  parseOrder,
  readPageToken,
  type Searched,
  type SearchQuery,
  sortBy,
  TrackingErrors,
  writePageToken,
} from '../../tracking/index.js'
import { actorOf } from '../api/actor.js'
import type { Api } from '../api/route.js'
import type { ServerContext } from '../context.js'
import { uriOfVersion } from './artifact-places.js'
import { MlflowErrors } from './errors.js'
import type { Fields } from './fields.js'
import { latestVersions, modelShape, versionShape } from './registry-shapes.js'
import { route } from './route.js'
import { sourceFinder } from './sources.js'
import { pageShape, searchOf } from './tracking-routes.js'

const MAX_VERSIONS = 10_000
const READS = { needs: 'viewer' } as const
const RELEASES = { needs: 'approver' } as const
/** MLflow keeps prompts as models with this tag, and asks for those without it by comparing it. */
const PROMPT_TAG = 'mlflow.prompt.is_prompt'

export function registryRoutes(api: Api, context: ServerContext): void {
  const { registry } = context.app.services
  modelRoutes(api, context)
  versionRoutes(api, context)
  aliasRoutes(api, registry)
  searchRoutes(api, registry)
}

function modelRoutes(api: Api, { app }: ServerContext): void {
  const { registry } = app.services
  const shown = async (name: string) => {
    const model = await registry.getModel(name)
    return { registered_model: modelShape(model, await versionsOf(registry, name)) }
  }

  route(api, 'POST', 'registered-models/create', 'Create a registered model', async ({ fields, request }) => {
    const name = fields.text('name')
    const description = fields.optional('description')
    await registry.createModel({
      name,
      ...(description === undefined ? {} : { description }),
      tags: tagsOf(fields),
      by: actorOf(request),
    })
    return shown(name)
  })
  route(api, 'GET', 'registered-models/get', 'A registered model', ({ fields }) => shown(fields.text('name')))
  route(api, 'PATCH', 'registered-models/update', 'Describe a registered model', async ({ fields }) => {
    const name = fields.text('name')
    await registry.updateModel(name, { description: fields.optional('description') ?? '' })
    return shown(name)
  })
  route(api, 'POST', 'registered-models/rename', 'Rename a registered model', async ({ fields }) => {
    const name = fields.text('new_name')
    await registry.updateModel(fields.text('name'), { name })
    return shown(name)
  })
  route(
    api,
    'DELETE',
    'registered-models/delete',
    'Delete a registered model',
    async ({ fields, request }) => {
      await removeModel(app, fields.text('name'), actorOf(request))
      return {}
    },
    RELEASES,
  )
  route(api, 'POST', 'registered-models/set-tag', 'Set a tag of a registered model', async ({ fields }) => {
    await registry.updateModel(fields.text('name'), { tags: { [fields.text('key')]: fields.optional('value') ?? '' } })
    return {}
  })
  route(api, 'DELETE', 'registered-models/delete-tag', 'Remove a tag of a registered model', async ({ fields }) => {
    await registry.updateModel(fields.text('name'), { tags: { [fields.text('key')]: null } })
    return {}
  })
  for (const method of ['POST', 'GET'] as const)
    route(
      api,
      method,
      'registered-models/get-latest-versions',
      'The newest version of each stage',
      async ({ fields }) => {
        const stages = fields.texts('stages').map(stageOf)
        const versions = await versionsOf(registry, fields.text('name'))
        const latest = latestVersions(versions, stages.length === 0 ? STAGES : stages)
        return { model_versions: latest.map(versionShape) }
      },
      READS,
    )
}

function versionRoutes(api: Api, context: ServerContext): void {
  const { app } = context
  const { tracking, registry } = app.services
  const findSource = sourceFinder(tracking, registry)

  route(
    api,
    'POST',
    'model-versions/create',
    'Register a version',
    async ({ fields, request }) => {
      const name = fields.text('name')
      // MLflow makes models first; a version of one that is not there is a mistake.
      await registry.getModel(name)
      const source = fields.text('source')
      const runId = fields.optional('run_id') || undefined
      const modelId = fields.optional('model_id') || undefined
      const { files, lineage, metrics, params } = await findSource({ source, runId, modelId })
      const runLink = fields.optional('run_link')
      const description = fields.optional('description')
      const { version } = await registry.registerVersion({
        model: name,
        files,
        source,
        lineage: {
          ...lineage,
          ...(runId === undefined ? {} : { runId }),
          ...(modelId === undefined ? {} : { modelId }),
        },
        metrics,
        params,
        tags: tagsOf(fields),
        ...(runLink === undefined ? {} : { runLink }),
        ...(description === undefined ? {} : { description }),
        // Registering twice makes two versions with MLflow, whatever is in them.
        allowSame: true,
        by: actorOf(request),
      })
      if (!version.isServable)
        app.platform.logger.info(
          { model: version.model, version: version.version, reason: version.reason },
          'a registered version cannot be served',
        )
      return { model_version: versionShape(version) }
    },
    {
      description:
        'From `models:/<model id>`, `runs:/<run id>/<path>`, `models:/<name>/<version>` or a place of the artifact proxy. A version with an ONNX file, or one that converts to ONNX, is served at once; of another one `status_message` says what to export and how.',
    },
  )
  route(api, 'GET', 'model-versions/get', 'A version', async ({ fields }) => ({
    model_version: versionShape(await registry.describe(refOf(fields))),
  }))
  route(api, 'PATCH', 'model-versions/update', 'Describe a version', async ({ fields }) => ({
    model_version: versionShape(
      await registry.updateVersion(refOf(fields), { description: fields.optional('description') ?? '' }),
    ),
  }))
  route(
    api,
    'POST',
    'model-versions/transition-stage',
    'Move a version to a stage',
    async ({ fields, request }) => {
      const stage = stageOf(fields.text('stage'))
      const archiveOthers = fields.flag('archive_existing_versions')
      const change = { ...refOf(fields), stage, archiveOthers, by: actorOf(request) }
      return { model_version: versionShape(await registry.setStage(change)) }
    },
    { ...RELEASES, description: 'A decision. Stages are labels here: they route nothing. Aliases do.' },
  )
  route(
    api,
    'DELETE',
    'model-versions/delete',
    'Delete a version',
    async ({ fields, request }) => {
      await removeVersion(app, refOf(fields), actorOf(request))
      return {}
    },
    { description: 'Refused while an alias, an endpoint or a release needs it.' },
  )
  route(api, 'POST', 'model-versions/set-tag', 'Set a tag of a version', async ({ fields }) => {
    await registry.updateVersion(refOf(fields), { tags: { [fields.text('key')]: fields.optional('value') ?? '' } })
    return {}
  })
  route(api, 'DELETE', 'model-versions/delete-tag', 'Remove a tag of a version', async ({ fields }) => {
    await registry.updateVersion(refOf(fields), { tags: { [fields.text('key')]: null } })
    return {}
  })
  route(
    api,
    'GET',
    'model-versions/get-download-uri',
    "Where a version's files are",
    async ({ fields }) => {
      const { servableName, version } = await registry.describe(refOf(fields))
      return { artifact_uri: uriOfVersion(servableName, version) }
    },
    { description: 'The files as they were registered, whatever became of those that were logged.' },
  )
}

function aliasRoutes(api: Api, registry: RegistryService): void {
  route(
    api,
    'POST',
    'registered-models/alias',
    'Set an alias',
    async ({ fields, request }) => {
      const { model, version } = refOf(fields)
      const alias = aliasOf(fields)
      await registry.describe({ model, version })
      await registry.setAlias({ model, alias, version, by: actorOf(request) })
      return {}
    },
    { ...RELEASES, description: 'A decision, as `headrace models alias` makes it: what follows the alias moves.' },
  )
  route(
    api,
    'DELETE',
    'registered-models/alias',
    'Remove an alias',
    async ({ fields, request }) => {
      const model = fields.text('name')
      const alias = fields.text('alias')
      const { aliases } = await registry.getModel(model)
      if (Object.hasOwn(aliases, alias)) await registry.setAlias({ model, alias, version: null, by: actorOf(request) })
      return {}
    },
    RELEASES,
  )
  route(api, 'GET', 'registered-models/alias', 'The version that an alias means', async ({ fields }) => {
    const model = fields.text('name')
    const alias = fields.text('alias')
    const { aliases } = await registry.getModel(model)
    const version = Object.hasOwn(aliases, alias) ? aliases[alias] : undefined
    if (version === undefined) throw MlflowErrors.ALIAS_NOT_FOUND({ alias, model })
    return { model_version: versionShape(await registry.describe({ model, version })) }
  })
}

const TIMES = {
  creation_timestamp: { name: 'created', type: 'number' },
  last_updated_timestamp: { name: 'updated', type: 'number' },
  timestamp: { name: 'updated', type: 'number' },
} as const
const MODELS: Language = {
  entities: ['attribute', 'tag'],
  attributes: { name: { name: 'name', type: 'text' }, ...TIMES },
}
const VERSIONS: Language = {
  entities: ['attribute', 'tag'],
  attributes: {
    name: { name: 'name', type: 'text' },
    version_number: { name: 'version', type: 'number' },
    run_id: { name: 'run', type: 'text' },
    source_path: { name: 'source', type: 'text' },
    ...TIMES,
  },
}

function searchRoutes(api: Api, registry: RegistryService): void {
  route(api, 'GET', 'registered-models/search', 'Search registered models', async ({ fields }) => {
    const models = await registry.listModels()
    const page = search(
      'registered-models',
      models,
      MODELS,
      limited(searchOf(fields, 100), 1000),
      'name ASC',
      (model) => ({
        attributes: { name: model.name, created: model.createdMs, updated: model.updatedMs },
        tags: { [PROMPT_TAG]: 'false', ...model.tags },
      }),
    )
    const shown = new Map<string, RegisteredVersion[]>(page.items.map(({ name }) => [name, []]))
    const versions = await registry.search({ limit: MAX_VERSIONS })
    for (const version of versions) shown.get(version.model)?.push(version)
    return pageShape('registered_models', page, (model) => modelShape(model, shown.get(model.name)!))
  })
  route(api, 'GET', 'model-versions/search', 'Search versions', async ({ fields }) => {
    const query = limited(searchOf(fields, MAX_VERSIONS), 200_000)
    const model = parseFilter(query.filter ?? '', VERSIONS).find(
      ({ entity, key, operator }) => entity === 'attribute' && key === 'name' && operator === '=',
    )?.value
    const versions =
      typeof model === 'string'
        ? await registry.search({ model, limit: MAX_VERSIONS }).catch(noneIfUnknown)
        : await registry.search({ limit: MAX_VERSIONS })
    const page = search('model-versions', versions, VERSIONS, query, 'last_updated_timestamp DESC', (version) => ({
      attributes: {
        name: version.model,
        version: version.version,
        run: version.lineage.runId ?? null,
        source: version.source,
        created: version.createdMs,
        updated: version.updatedMs,
      },
      tags: { [PROMPT_TAG]: 'false', ...version.tags },
    }))
    return pageShape('model_versions', page, versionShape)
  })
}

function noneIfUnknown(error: unknown): [] {
  if (error instanceof HeadraceError && error.code === 'REGISTRY_MODEL_NOT_FOUND') return []
  throw error
}

function search<T>(
  name: string,
  items: readonly T[],
  language: Language,
  { filter = '', orderBy = [], maxResults, pageToken }: SearchQuery,
  otherwise: string,
  searched: (item: T) => Searched,
): { items: T[]; nextPageToken?: string } {
  const comparisons = parseFilter(filter, language)
  const [offset = 0] = pageToken ? readPageToken(name, pageToken, 1) : []
  const orders = [...orderBy, otherwise, 'name ASC'].map((text) => parseOrder(text, language))
  const found = sortBy(
    items.filter((item) => matches(comparisons, searched(item))),
    orders,
    searched,
  )
  const page = found.slice(offset, offset + maxResults)
  return found.length > offset + maxResults
    ? { items: page, nextPageToken: writePageToken(name, [offset + maxResults]) }
    : { items: page }
}

function limited(query: SearchQuery, most: number): SearchQuery {
  if (!Number.isInteger(query.maxResults) || query.maxResults < 1 || query.maxResults > most)
    throw TrackingErrors.VALUE_INVALID({
      what: 'max_results',
      problem: `must be at least 1 and at most ${most}, but ${query.maxResults} arrived`,
    })
  return query
}

function versionsOf(registry: RegistryService, model: string): Promise<RegisteredVersion[]> {
  return registry.search({ model, limit: MAX_VERSIONS })
}

function refOf(fields: Fields): { model: string; version: number } {
  const text = fields.text('version')
  if (!/^[1-9]\d{0,14}$/.test(text))
    throw MlflowErrors.PARAMETER_INVALID({
      parameter: 'version',
      arrived: JSON.stringify(text.slice(0, 100)),
      expected: 'the number of a version',
    })
  return { model: fields.text('name'), version: Number(text) }
}

/** In any case, as MLflow takes them. */
function stageOf(text: string): Stage {
  const stage = STAGES.find((one) => one.toLowerCase() === text.toLowerCase())
  if (stage === undefined)
    throw MlflowErrors.PARAMETER_INVALID({
      parameter: 'stage',
      arrived: JSON.stringify(text.slice(0, 100)),
      expected: `one of ${STAGES.join(', ')}`,
    })
  return stage
}

function aliasOf(fields: Fields): string {
  const alias = fields.text('alias')
  const problem = !/^[\w-]{1,255}$/.test(alias)
    ? 'letters, digits, underscores and dashes, at most 255'
    : /^v\d+$/i.test(alias)
      ? 'no "v" with a number, which would look like a version'
      : alias.toLowerCase() === 'latest'
        ? 'not "latest", which means the newest version'
        : undefined
  if (problem !== undefined)
    throw MlflowErrors.PARAMETER_INVALID({
      parameter: 'alias',
      arrived: JSON.stringify(alias.slice(0, 100)),
      expected: problem,
    })
  return alias
}

function tagsOf(fields: Fields): Record<string, string> {
  return Object.fromEntries(fields.pairs('tags').map(({ key, value }) => [key, value]))
}
