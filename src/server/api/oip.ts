// The Open Inference Protocol beside inference: what the server and its models are, and which are ready.
import type { FastifyReply } from 'fastify'
import Type from 'typebox'
import { platformOf } from '../../app/index.js'
import { type HeadraceError, toHeadraceError } from '../../core/index.js'
import type { ServerContext } from '../context.js'
import { encodeModelList, encodeModelMetadata, encodeServerMetadata } from '../oip/index.js'
import { awake, destination, expectReady } from '../predict/request.js'
import { PROTOCOL_EXTENSIONS } from '../protocol-extensions.js'
import { JSON_TYPE } from '../reply.js'
import type { PredictTarget } from '../target.js'
import { isShown } from './enforce.js'
import { packageVersion } from './package-version.js'
import type { Api } from './route.js'
import { NameParam } from './schemas.js'
import { parseVersion } from './version-param.js'

const TAGS = ['Open Inference Protocol'] as const
const ModelParams = Type.Object({ model: NameParam('Endpoint or model') })
const VersionParams = Type.Object({
  model: NameParam('Endpoint or model'),
  version: Type.String({ description: 'Number of a version' }),
})
const ModelReady = Type.Object({ name: Type.String(), ready: Type.Boolean() })
const TensorMetadata = Type.Object({
  name: Type.String(),
  datatype: Type.String(),
  shape: Type.Array(Type.Integer()),
})
const Metadata = Type.Object({
  name: Type.String(),
  versions: Type.Array(Type.String()),
  platform: Type.String(),
  inputs: Type.Array(TensorMetadata),
  outputs: Type.Array(TensorMetadata),
})

export function oipRoutes(api: Api, context: ServerContext): void {
  const { app } = context

  async function metadata(name: string, version: number | undefined): Promise<string> {
    const target = { protocol: 'oip', name, version } as const
    await awake(context, target)
    const { reference } = destination(context, target)
    const { model } = reference.ref
    const platform = platformOf(reference.kind)
    const versions = app.pool
      .statuses()
      .filter(({ ref, state }) => ref.model === model && (state === 'ready' || state === 'resting'))
      .map(({ ref }) => ref.version)
    return encodeModelMetadata({ name, versions, platform, signature: reference.signature })
  }

  api.get(
    '/v2',
    {
      schema: {
        tags: TAGS,
        summary: 'What the server is',
        response: {
          200: Type.Object({
            name: Type.String(),
            version: Type.String(),
            extensions: Type.Array(Type.String()),
          }),
        },
      },
    },
    (_request, reply) =>
      sendText(reply, encodeServerMetadata({ version: packageVersion, extensions: PROTOCOL_EXTENSIONS })),
  )

  api.get(
    '/v2/models',
    {
      schema: {
        tags: TAGS,
        summary: 'Names of the endpoints',
        response: { 200: Type.Object({ models: Type.Array(Type.String()) }) },
      },
    },
    (request, reply) => {
      const names = app.endpoints.list().map(({ name }) => name)
      return sendText(reply, encodeModelList(names.filter((name) => isShown(request, name))))
    },
  )

  api.get(
    '/v2/models/:model',
    { schema: { tags: TAGS, summary: 'Inputs and outputs', params: ModelParams, response: { 200: Metadata } } },
    async (request, reply) => sendText(reply, await metadata(request.params.model, undefined)),
  )

  api.get(
    '/v2/models/:model/versions/:version',
    {
      schema: {
        tags: TAGS,
        summary: 'Inputs and outputs of one version',
        params: VersionParams,
        response: { 200: Metadata },
      },
    },
    async (request, reply) => sendText(reply, await metadata(request.params.model, parseVersion(request))),
  )

  api.get(
    '/v2/models/:model/ready',
    {
      schema: {
        tags: TAGS,
        summary: 'Whether it answers',
        description: '503 with `"ready": false` and the reason when it does not.',
        params: ModelParams,
        response: { 200: ModelReady },
      },
    },
    (request, reply) => sendModelReady(reply, context, request.params.model, undefined),
  )

  api.get(
    '/v2/models/:model/versions/:version/ready',
    {
      schema: {
        tags: TAGS,
        summary: 'Whether a version answers',
        description: '503 with `"ready": false` and the reason when it does not.',
        params: VersionParams,
        response: { 200: ModelReady },
      },
    },
    (request, reply) => sendModelReady(reply, context, request.params.model, parseVersion(request)),
  )
}

/** Clients of Triton look at the status, KServe's at `ready` or at `error`: the body has both, and what else a protocol needs. */
export async function sendModelReady(
  reply: FastifyReply,
  context: ServerContext,
  name: string,
  version: PredictTarget['version'],
  more: () => object = () => ({}),
): Promise<FastifyReply> {
  const failure = await unreadiness(context, name, version)
  if (failure?.status === 404) throw failure
  if (!failure) return sendText(reply, JSON.stringify({ name, ready: true, ...more() }))
  const body = { name, ready: false, error: failure.message, code: failure.code, ...more() }
  return sendText(reply.code(503).header('Retry-After', '1'), JSON.stringify(body))
}

/** Why a name, or a version of it, does not answer now; undefined when it does. */
async function unreadiness(
  context: ServerContext,
  name: string,
  version: PredictTarget['version'],
): Promise<HeadraceError | undefined> {
  const target = { protocol: 'oip', name, version } as const
  try {
    await awake(context, target)
    expectReady(context, target)
    return undefined
  } catch (error) {
    return toHeadraceError(error)
  }
}

export function sendText(reply: FastifyReply, json: string): FastifyReply {
  return reply.type(JSON_TYPE).send(json)
}
