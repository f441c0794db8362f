// What Triton's tools ask of a model beside its metadata: its statistics and its configuration. perf_analyzer needs both.
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { modelConfig, modelStatistics } from '../../app/index.js'
import type { ServerContext } from '../context.js'
import { awake } from '../predict/request.js'
import { isShown } from './enforce.js'
import { sendText } from './oip.js'
import type { Api } from './route.js'
import { mapOf, NameParam } from './schemas.js'
import { parseVersion } from './version-param.js'

const TAGS = ['Open Inference Protocol'] as const
const ModelParams = Type.Object({ model: NameParam('Endpoint or model') })
const VersionParams = Type.Object({
  model: NameParam('Endpoint or model'),
  version: Type.String({ description: 'Number of a version' }),
})

const Duration = Type.Object(
  { count: Type.Integer(), ns: Type.Integer({ description: 'Nanoseconds altogether' }) },
  { description: 'How often, and how long' },
)
const Computing = { compute_input: Duration, compute_infer: Duration, compute_output: Duration }

const Statistics = Type.Object({
  model_stats: Type.Array(
    Type.Object({
      name: Type.String(),
      version: Type.String(),
      last_inference: Type.Integer({ description: 'Milliseconds since the Unix epoch; 0: none' }),
      inference_count: Type.Integer({ description: 'Rows that ran, those from the cache not among them' }),
      execution_count: Type.Integer({ description: 'Runs' }),
      inference_stats: Type.Object({
        success: Duration,
        fail: Duration,
        queue: Duration,
        ...Computing,
        cache_hit: Duration,
        cache_miss: Duration,
      }),
      batch_stats: Type.Array(Type.Object({ batch_size: Type.Integer(), ...Computing })),
      memory_usage: Type.Array(Type.Object({ type: Type.String(), id: Type.Integer(), byte_size: Type.Integer() })),
      response_stats: Type.Object({}),
    }),
  ),
})

const Tensor = Type.Object({
  name: Type.String(),
  data_type: Type.String({ examples: ['TYPE_FP32'] }),
  dims: Type.Array(Type.Integer(), { description: 'Without the batch axis when max_batch_size is above 0' }),
  reshape: Type.Optional(Type.Object({ shape: Type.Array(Type.Integer()) })),
})

const Config = Type.Object({
  name: Type.String(),
  platform: Type.String(),
  backend: Type.String(),
  version_policy: Type.Object({}),
  max_batch_size: Type.Integer({ description: '0: requests are not joined' }),
  input: Type.Array(Tensor),
  output: Type.Array(Tensor),
  instance_group: Type.Array(Type.Object({ name: Type.String(), kind: Type.String(), count: Type.Integer() })),
  default_model_filename: Type.String(),
  parameters: mapOf(Type.Object({ string_value: Type.String() })),
  model_warmup: Type.Array(Type.Object({ name: Type.String(), batch_size: Type.Integer() })),
  model_transaction_policy: Type.Object({ decoupled: Type.Boolean() }),
  response_cache: Type.Object({ enable: Type.Boolean() }),
  dynamic_batching: Type.Optional(
    Type.Object({
      preferred_batch_size: Type.Array(Type.Integer()),
      max_queue_delay_microseconds: Type.Integer(),
      preserve_ordering: Type.Boolean(),
      priority_levels: Type.Integer(),
      default_priority_level: Type.Integer(),
      default_queue_policy: Type.Object({ max_queue_size: Type.Integer({ description: 'Rows' }) }),
    }),
  ),
})

export function modelFactRoutes(api: Api, context: ServerContext): void {
  const { app } = context

  async function statistics(request: FastifyRequest, name?: string, version?: number): Promise<string> {
    const stats = await modelStatistics(app, name, version)
    return JSON.stringify({
      model_stats: name === undefined ? stats.filter((one) => isShown(request, one.name)) : stats,
    })
  }

  async function config(name: string, version?: number): Promise<string> {
    await awake(context, { protocol: 'oip', name, version })
    return JSON.stringify(modelConfig(app, name, version))
  }

  api.get(
    '/v2/models/stats',
    {
      schema: {
        tags: TAGS,
        summary: 'Statistics of every version',
        description: 'Since the server started, over all its processes. A version that was unloaded keeps its counts.',
        response: { 200: Statistics },
      },
    },
    async (request, reply) => sendText(reply, await statistics(request)),
  )

  api.get(
    '/v2/models/:model/stats',
    {
      schema: { tags: TAGS, summary: 'Statistics of a model', params: ModelParams, response: { 200: Statistics } },
    },
    async (request, reply) => sendText(reply, await statistics(request, request.params.model)),
  )

  api.get(
    '/v2/models/:model/versions/:version/stats',
    {
      schema: {
        tags: TAGS,
        summary: 'Statistics of one version',
        params: VersionParams,
        response: { 200: Statistics },
      },
    },
    async (request, reply) => sendText(reply, await statistics(request, request.params.model, parseVersion(request))),
  )

  api.get(
    '/v2/models/:model/config',
    {
      schema: {
        tags: TAGS,
        summary: "A model as Triton's ModelConfig",
        params: ModelParams,
        response: { 200: Config },
      },
    },
    async (request, reply) => sendText(reply, await config(request.params.model)),
  )

  api.get(
    '/v2/models/:model/versions/:version/config',
    {
      schema: {
        tags: TAGS,
        summary: "A version as Triton's ModelConfig",
        params: VersionParams,
        response: { 200: Config },
      },
    },
    async (request, reply) => sendText(reply, await config(request.params.model, parseVersion(request))),
  )
}
