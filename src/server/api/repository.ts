// Triton's model repository: what there is, loading with a config and files, unloading. Bodies of answers please KServe's clients;
// Triton's look at the status alone.

import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import Type from 'typebox'
import { repositoryIndex, repositoryLoad, repositoryUnload } from '../../app/index.js'
import type { ServerContext } from '../context.js'
import { ActorHeaders, actorOf } from './actor.js'
import { isShown } from './enforce.js'
import { withLoadBody } from './load-body.js'
import { sendText } from './oip.js'
import type { Api } from './route.js'
import { mapOf, NameParam } from './schemas.js'

const TAGS = ['Model repository'] as const
const Params = Type.Object({ model: NameParam('Model') })

export function repositoryRoutes(api: Api, { app }: ServerContext): void {
  api.post(
    '/v2/repository/index',
    {
      schema: {
        tags: TAGS,
        summary: 'Every version and its state',
        description: 'A version that was unloaded stays, as UNAVAILABLE for the reason "unloaded".',
        body: Type.Object({
          ready: Type.Optional(Type.Boolean({ description: 'Only those that are ready' })),
          repository_name: Type.Optional(Type.String({ description: 'Ignored: there is one repository' })),
        }),
        response: {
          200: Type.Array(
            Type.Object({
              name: Type.String(),
              version: Type.Optional(Type.String()),
              state: Type.Enum(['UNKNOWN', 'READY', 'UNAVAILABLE', 'LOADING', 'UNLOADING']),
              reason: Type.Optional(Type.String()),
            }),
          ),
        },
      },
    },
    async (request, reply) => {
      const entries = await repositoryIndex(app, { readyOnly: request.body.ready === true })
      return sendText(reply, JSON.stringify(entries.filter(({ name }) => isShown(request, name))))
    },
  )

  api.post(
    '/v2/repository/models/:model/unload',
    {
      schema: {
        tags: TAGS,
        summary: 'Unload a model',
        description:
          'Answers when its requests have ended, in every process. It stays unloaded, also over restarts, until it is loaded. A decision: it can be undone.',
        params: Params,
        headers: ActorHeaders,
        body: Type.Object({
          parameters: Type.Optional(
            Type.Object({
              unload_dependents: Type.Optional(Type.Boolean({ description: 'Taken, but no model loads another here' })),
            }),
          ),
        }),
        response: { 200: Type.Object({ name: Type.String(), unload: Type.Boolean() }) },
      },
    },
    async (request, reply) => {
      const { model } = request.params
      await repositoryUnload(app, { model }, actorOf(request), { askedOver: 'http' })
      return sendText(reply, JSON.stringify({ name: model, unload: true }))
    },
  )
}

/** In a scope of its own: its bodies may be as large as models are. */
export function repositoryLoadRoutes(api: Api, context: ServerContext): void {
  api.removeAllContentTypeParsers()
  api.addContentTypeParser('*', (_request, payload, done) => done(null, payload))

  api.post(
    '/v2/repository/models/:model/load',
    {
      schema: {
        tags: TAGS,
        summary: 'Load a model, with another config or new versions if wanted',
        description:
          "Answers when it is served, in every process; what was served goes on until then, and for good when the load fails. Without a config the model's own applies again. A decision: it can be undone.",
        params: Params,
        headers: ActorHeaders,
        // What the handler reads itself; this describes it.
        body: Type.Object({
          parameters: Type.Optional(
            mapOf(
              Type.Union([Type.String(), Type.Object({})]),
              "`config`: Triton's ModelConfig as JSON; `file:<version>/<path>`: base64 of a file, which needs a config. Keys of the config that are not honoured must say what is so anyway.",
            ),
          ),
        }),
        response: { 200: Type.Object({ name: Type.String(), load: Type.Boolean() }) },
      },
    },
    async (request, reply) => {
      const { model } = request.params
      const payload = request.body as unknown
      const body = payload instanceof Readable ? (payload as IncomingMessage) : request.raw
      await withLoadBody(context, body, model, ({ config, files }) =>
        repositoryLoad(context.app, { model, config, files }, actorOf(request), { askedOver: 'http' }),
      )
      return sendText(reply, JSON.stringify({ name: model, load: true }))
    },
  )
}
