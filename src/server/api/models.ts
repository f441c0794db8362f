// Models and their versions: what there is, pushing a new version, and moving aliases.
import Type from 'typebox'
import { modelViews } from '../../app/index.js'
import { HeadraceError, isName } from '../../core/index.js'
import { ServingErrors } from '../../serving/index.js'
import type { ServerContext } from '../context.js'
import { ActorHeaders, actorOf } from './actor.js'
import { isShown } from './enforce.js'
import type { Api } from './route.js'
import { Decision, Force, ModelView, NameParam, Reason, VersionNumber } from './schemas.js'

const TAGS = ['Models'] as const
const AliasParams = Type.Object({ name: NameParam('Model'), alias: NameParam('Alias: champion, challenger, …') })

export function modelRoutes(api: Api, { app }: ServerContext): void {
  /** Of a model that was renamed, or whose name endpoints cannot have; any other is served by its own name. */
  async function servableName(name: string): Promise<string> {
    try {
      return (await app.services.registry.getModel(name)).servableName
    } catch (error) {
      if (error instanceof HeadraceError && error.code === 'REGISTRY_MODEL_NOT_FOUND' && isName(name)) return name
      throw error
    }
  }

  api.get(
    '/api/v1/models',
    {
      schema: {
        tags: TAGS,
        summary: 'Every model with its versions and aliases',
        response: { 200: Type.Object({ models: Type.Array(ModelView) }) },
      },
    },
    async (request) => ({ models: (await modelViews(app)).filter(({ name }) => isShown(request, name)) }),
  )

  api.get(
    '/api/v1/models/:name',
    {
      schema: {
        tags: TAGS,
        summary: 'One model with its versions and aliases',
        params: Type.Object({ name: NameParam('Model') }),
        response: { 200: ModelView },
      },
    },
    async (request) => {
      const { name } = request.params
      const [model] = await modelViews(app, await servableName(name))
      if (model) return model
      throw ServingErrors.MODEL_NOT_FOUND({ model: name, known: (await modelViews(app)).map((known) => known.name) })
    },
  )

  api.put(
    '/api/v1/models/:name/aliases/:alias',
    {
      schema: {
        tags: TAGS,
        summary: 'Point an alias at a version',
        params: AliasParams,
        headers: ActorHeaders,
        body: Type.Object(
          { version: VersionNumber, reason: Type.Optional(Reason), force: Type.Optional(Force) },
          { additionalProperties: false },
        ),
        response: { 200: Decision },
      },
    },
    async (request) => {
      const { params, body } = request
      return app.decide(
        aliasSet(await servableName(params.name), params.alias, body.version),
        evidence(body.reason, body.force),
        actorOf(request),
      )
    },
  )

  api.delete(
    '/api/v1/models/:name/aliases/:alias',
    {
      schema: {
        tags: TAGS,
        summary: 'Remove an alias',
        params: AliasParams,
        headers: ActorHeaders,
        body: Type.Object({ reason: Type.Optional(Reason) }, { additionalProperties: false }),
        response: { 200: Decision },
      },
    },
    async (request) => {
      const { params, body } = request
      return app.decide(
        aliasSet(await servableName(params.name), params.alias, null),
        evidence(body.reason),
        actorOf(request),
      )
    },
  )
}

function aliasSet(model: string, alias: string, version: number | null) {
  return { kind: 'alias.set', subject: `${model}@${alias}`, detail: { model, alias, version } }
}

export function evidence(reason: string | undefined, isForced?: boolean): Readonly<Record<string, string | boolean>> {
  return { ...(reason !== undefined && { reason }), ...(isForced && { forced: true }) }
}
