// KServe's version 1 beside prediction: the list of models, which are ready, and its liveness probe at `/`.
import Type from 'typebox'
import type { ModelName } from '../../core/index.js'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { encodeModelList, encodeVersionStatus } from '../kserve-v1/index.js'
import { isShown } from './enforce.js'
import { sendModelReady, sendText } from './oip.js'
import type { Api } from './route.js'
import { ErrorReply, NameParam } from './schemas.js'
import { parseVersion } from './version-param.js'

const TAGS = ['KServe v1'] as const
const MODEL = NameParam('Endpoint or model')
const Status = Type.Object({
  name: Type.String(),
  ready: Type.Boolean(),
  model_version_status: Type.Array(
    Type.Object({
      version: Type.String(),
      state: Type.Enum(['LOADING', 'AVAILABLE', 'UNLOADING', 'END']),
      status: Type.Object({ error_code: Type.String(), error_message: Type.String() }),
    }),
  ),
})

export function kserveV1Routes(api: Api, context: ServerContext): void {
  api.get(
    '/',
    {
      schema: {
        tags: TAGS,
        summary: 'Liveness, as KServe has it; a browser goes on to the console',
        response: { 200: Type.Object({ status: Type.Literal('alive') }) },
      },
    },
    (request, reply) => {
      if (request.headers.accept?.includes('text/html')) return reply.redirect('/console/')
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
    (request, reply) => {
      const names = context.app.endpoints.list().map(({ name }) => name)
      return sendText(reply, encodeModelList(names.filter((name) => isShown(request, name))))
    },
  )

  const status = {
    tags: TAGS,
    description:
      '503 with `"ready": false` and the reason when it does not. `model_version_status` is what TensorFlow Serving says.',
    response: { 200: Status },
  } as const

  api.get(
    // Without the expression it would claim `/v1/models/fraud:predict`, whose wrong methods are 405.
    '/v1/models/:model(^[^:/]+$)',
    { schema: { ...status, summary: 'Whether it answers', params: Type.Object({ model: MODEL }) } },
    ({ params: { model } }, reply) =>
      sendModelReady(reply, context, model, undefined, () => versionStatus(context, model, undefined)),
  )

  api.get(
    '/v1/models/:model(^[^:/]+)/versions/:version(^[^:/]+$)',
    {
      schema: {
        ...status,
        summary: 'Whether a version answers',
        params: Type.Object({ model: MODEL, version: Type.String({ description: 'Number of a version' }) }),
      },
    },
    (request, reply) => {
      const { model } = request.params
      const version = parseVersion(request)
      return sendModelReady(reply, context, model, version, () => versionStatus(context, model, version))
    },
  )

  api.get(
    '/v1/models/:model(^[^:/]+)/labels/:alias(^[^:/]+$)',
    {
      schema: {
        ...status,
        summary: 'Whether the version of an alias answers',
        params: Type.Object({ model: MODEL, alias: NameParam('Alias') }),
      },
    },
    ({ params: { model, alias } }, reply) =>
      sendModelReady(reply, context, model, { alias }, () =>
        versionStatus(context, model, context.app.aliases.get(modelOf(context, model), alias)),
      ),
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
    '/v1/models/:model/versions/:version(^[^:/]+)::explain',
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

function modelOf({ app }: ServerContext, endpoint: string): ModelName {
  return app.endpoints.get(endpoint).route.leaves[0]!.model
}

/** TensorFlow Serving's GetModelStatus, of all versions or of one. */
function versionStatus(context: ServerContext, endpoint: string, version: number | undefined): object {
  const model = modelOf(context, endpoint)
  const statuses = context.app.pool
    .statuses()
    .filter(({ ref }) => ref.model === model && (version === undefined || ref.version === version))
  return { model_version_status: statuses.map(encodeVersionStatus) }
}
