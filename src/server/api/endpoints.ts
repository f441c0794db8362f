// Endpoints: what there is, and pointing one at another version.
import Type from 'typebox'
import { endpointView, endpointViews, switchCache } from '../../app/index.js'
import type { ServerContext } from '../context.js'
import { ActorHeaders, actorOf, callerOf } from './actor.js'
import { isShown } from './enforce.js'
import { evidence } from './models.js'
import type { Api } from './route.js'
import { Decision, EndpointView, Force, NameParam, Reason, VersionNumber } from './schemas.js'

const TAGS = ['Endpoints'] as const
const Params = Type.Object({ name: NameParam('Endpoint') })

export function endpointRoutes(api: Api, { app }: ServerContext): void {
  api.get(
    '/api/v1/endpoints',
    {
      schema: {
        tags: TAGS,
        summary: 'Every endpoint with its features and outputs',
        response: { 200: Type.Object({ endpoints: Type.Array(EndpointView) }) },
      },
    },
    async (request) => ({ endpoints: endpointViews(app).filter(({ name }) => isShown(request, name)) }),
  )

  api.get(
    '/api/v1/endpoints/:name',
    {
      schema: {
        tags: TAGS,
        summary: 'One endpoint with its features and outputs',
        params: Params,
        response: { 200: EndpointView },
      },
    },
    async (request) => endpointView(app.endpoints.get(request.params.name), app),
  )

  api.post(
    '/api/v1/endpoints/:name/cache',
    {
      schema: {
        tags: TAGS,
        summary: 'Switch the cache of an endpoint off or on',
        description:
          'Only endpoints that declare a cache have one. The server switches off what is of no use by itself; what a person switched on it leaves alone for a day.',
        params: Params,
        headers: ActorHeaders,
        body: Type.Object({ enabled: Type.Boolean(), reason: Type.Optional(Reason) }, { additionalProperties: false }),
        response: { 200: Decision },
      },
    },
    (request) => {
      const { enabled, reason } = request.body
      return switchCache(app, request.params.name, enabled, evidence(reason), actorOf(request))
    },
  )

  api.put(
    '/api/v1/endpoints/:name/route',
    {
      schema: {
        tags: TAGS,
        summary: 'Point an endpoint at a version, at the latest one, or at an alias',
        description: 'An endpoint that does not exist yet is made. Undo the decision to go back.',
        params: Params,
        headers: ActorHeaders,
        body: Type.Object(
          {
            model: NameParam('Model'),
            version: Type.Union([
              VersionNumber,
              Type.Literal('latest'),
              Type.Object(
                { alias: Type.String({ pattern: '^[A-Za-z0-9_-]{1,128}$', description: 'Alias of the model' }) },
                { additionalProperties: false },
              ),
            ]),
            reason: Type.Optional(Reason),
            force: Type.Optional(Force),
          },
          { additionalProperties: false },
        ),
        response: { 200: Decision },
      },
    },
    (request) => {
      const { name } = request.params
      const { model, version, reason, force } = request.body
      // The endpoint is in the path; what it may be pointed at is named in the body.
      app.access.check(callerOf(request), 'see', model)
      const selected = typeof version === 'object' ? { alias: version.alias } : { version }
      const detail = { endpoint: name, model, ...selected }
      return app.decide({ kind: 'endpoint.point', subject: name, detail }, evidence(reason, force), actorOf(request))
    },
  )
}
