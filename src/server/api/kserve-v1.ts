// KServe's version 1 beside prediction: the list of models, which are ready, and its liveness probe at `/`.
import Type from 'typebox'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { encodeModelList } from '../kserve-v1/index.js'
import { sendModelReady, sendText } from './oip.js'
import type { Api } from './route.js'
import { ErrorReply, NameParam } from './schemas.js'

const TAGS = ['KServe v1'] as const

export function kserveV1Routes(api: Api, context: ServerContext): void {
  api.get(
    '/',
    {
      schema: {
        tags: TAGS,
        summary: 'Liveness, as KServe has it; a browser goes on to the documentation',
        response: { 200: Type.Object({ status: Type.Literal('alive') }) },
      },
    },
    (request, reply) => {
      if (request.headers.accept?.includes('text/html')) return reply.redirect('/api/docs')
      return sendText(reply, '{"status":"alive"}')
    },
  )

  api.get(
    '/v1/models',
    {
      schema: {
        tags: TAGS,
        summary: 'Names of the endpoints',
        response: { 200: Type.Object({ models: Type.Array(Type.String()) }) },
      },
    },
    (_request, reply) => sendText(reply, encodeModelList(context.app.endpoints.list().map(({ name }) => name))),
  )

  api.get(
    // Without the expression it would claim `/v1/models/fraud:predict`, whose wrong methods are 405.
    '/v1/models/:model(^[^:/]+$)',
    {
      schema: {
        tags: TAGS,
        summary: 'Whether it answers',
        description: '503 with `"ready": false` and the reason when it does not.',
        params: Type.Object({ model: NameParam('Endpoint or model') }),
        response: { 200: Type.Object({ name: Type.String(), ready: Type.Boolean() }) },
      },
    },
    (request, reply) => sendModelReady(reply, context, request.params.model, undefined),
  )

  const refuse = (model: string) => {
    context.app.endpoints.get(model)
    throw HttpErrors.NO_EXPLAINER({ model })
  }
  const explain = {
    tags: TAGS,
    summary: 'Explain: there are no explainers, so this is always 501',
    response: { 501: ErrorReply },
  } as const

  api.post(
    '/v1/models/:model(^[^:/]+)::explain',
    { schema: { ...explain, params: Type.Object({ model: NameParam('Endpoint or model') }) } },
    async (request) => refuse(request.params.model),
  )

  api.post(
    '/v1/models/:model/versions/:version(^\\d+)::explain',
    {
      schema: {
        ...explain,
        params: Type.Object({
          model: NameParam('Endpoint or model'),
          version: Type.String({ description: 'Number of a version' }),
        }),
      },
    },
    async (request) => refuse(request.params.model),
  )
}
