// What is happening now: each endpoint over the last minute and quarter of an hour, and route trees to see it in.
import type { FastifyRequest } from 'fastify'
import Type, { type TSchema } from 'typebox'
import { isAllowed, isTenantBound } from '../../access/index.js'
import { type LiveNodes, routeView } from '../../app/index.js'
import type { ServerContext } from '../context.js'
import { callerOf } from './actor.js'
import { isViewed } from './enforce.js'
import type { Api } from './route.js'
import { NameParam, orNull, WITHOUT_NUL } from './schemas.js'

const Params = Type.Object({ name: NameParam('Endpoint') })
const Question = Type.Object(
  {
    node: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 128,
        pattern: WITHOUT_NUL,
        description: 'Id of a node: only its traffic; "self" is the one that answers. Default: the sum of all',
      }),
    ),
  },
  { additionalProperties: false },
)
const Count = (description: string) => Type.Integer({ minimum: 0, description })
const Latency = () => orNull('number', { description: 'Milliseconds, to within a tenth; null without requests' })

const Url = orNull('string', {
  description: 'Where it listens; null of the one that answers, and for who may not list nodes',
})

const Window = {
  nodes: Type.Object(
    {
      counted: Type.Array(
        Type.Object({
          id: Type.String(),
          name: Type.String({ description: "The host's name" }),
          url: Url,
          isSelf: Type.Boolean({ description: 'It is the one that answers' }),
          ageMs: Type.Number({ description: 'How long ago it said so' }),
        }),
        { description: 'The nodes that the figures are the sum of' },
      ),
      missing: Type.Array(Type.Object({ id: Type.String(), name: Type.String(), url: Url, reason: Type.String() }), {
        description: 'Known nodes that they are without',
      }),
      isStoreAway: Type.Boolean({
        description: 'The metadata store does not answer, so nothing is known of other nodes',
      }),
    },
    { description: 'Whose traffic it is' },
  ),
  tenant: orNull('string', {
    description: 'Only its traffic is counted: that of the tenant of the caller. Null: of all',
  }),
  nowMs: Type.Number({ description: 'Milliseconds since the Unix epoch' }),
  sinceMs: Type.Number({
    description: 'The figures are of the time since then: a minute, or less when counting began later',
  }),
  isCatchingUp: Type.Boolean({ description: 'The log is still being read: figures grow' }),
}

const EndpointLive = {
  name: Type.String(),
  requests: Count('In the window'),
  rows: Count('Of these requests'),
  rate: Type.Number({ description: 'Requests a second' }),
  errors: Count('Requests that the caller got an error for'),
  p50Ms: Latency(),
  p95Ms: Latency(),
  p99Ms: Latency(),
  batchRows: orNull('number', { description: 'Mean rows of the batches that its calls ran in; null where none ran' }),
  cache: Type.Object({
    hits: Count('Calls answered from the cache'),
    coalesced: Count('By the run of an identical call'),
    stale: Count('By the last answer known'),
  }),
  history: Type.Array(orNull('integer'), {
    description:
      'Requests in each half minute of the last quarter of an hour, oldest first; the last one is not over. Null: before the counting',
  }),
}

const Arm = Type.Object({
  node: Type.String(),
  arm: Type.String(),
  requests: Count('That the node sent there'),
  errors: Count('Of these'),
})

const LiveVersion = Type.Object({
  leaf: Type.String({ examples: ['fraud/2'] }),
  model: Type.String(),
  version: Type.Integer({ description: '0 for what is no version' }),
  isShadow: Type.Boolean({ description: 'Copies for a shadow are counted apart' }),
  calls: Count('In the window'),
  errors: Count('Of these'),
  p50Ms: Latency(),
  p99Ms: Latency(),
})

const Named = (name: string) => Type.Array(Type.Object({ [name]: Type.String(), count: Type.Integer() }))
const Counts = Type.Array(orNull('integer'), { description: 'Null: before the counting' })
const Numbers = Type.Array(orNull('number'))

const Series = Type.Object(
  {
    startMs: Type.Number(),
    bucketMs: Type.Number(),
    requests: Counts,
    errors: Counts,
    p50Ms: Numbers,
    p95Ms: Numbers,
    p99Ms: Numbers,
    batchRows: Numbers,
    cached: Counts,
  },
  { description: 'The last quarter of an hour: a value for each bucket, oldest first' },
)

const Settings = Type.Object({}, { additionalProperties: true, description: 'What else it is told' })

/** OpenAPI's readers do not all follow a schema into itself: arms are described one level deep. */
const RouteNode = (arms: TSchema) =>
  Type.Object({
    kind: Type.String({ examples: ['split'] }),
    name: Type.String({ description: 'As records name it; of a leaf: the leaf in words' }),
    settings: Settings,
    version: Type.Union([
      Type.Object({
        model: Type.String(),
        version: orNull('integer', { description: 'What the leaf means now' }),
        state: orNull('string', { description: 'In the process that answers; null when it is not there' }),
        reason: orNull('string'),
      }),
      Type.Null(),
    ]),
    arms,
  })

const Route = RouteNode(
  Type.Array(
    Type.Object({
      arm: Type.String({ description: 'As records name it' }),
      share: orNull('number', { description: 'Of the traffic, 0 to 1; null where that is not set in advance' }),
      settings: Settings,
      route: RouteNode(Type.Array(Type.Unknown(), { description: 'As above' })),
    }),
  ),
)

export function liveRoutes(api: Api, { app }: ServerContext): void {
  const { live } = app.services

  api.get(
    '/api/v1/live',
    {
      schema: {
        tags: ['Endpoints'],
        summary: 'Rates, latencies and errors of every endpoint over the last minute',
        description:
          'A reading of the log of every node that shares the metadata store, which starts with the first question and ends two minutes after the last. Other nodes follow within some five seconds.',
        querystring: Question,
        response: {
          200: Type.Object({
            ...Window,
            endpoints: Type.Array(Type.Object(EndpointLive), {
              description: 'Those that the caller may view, with requests in the last quarter of an hour',
            }),
            uncounted: Count('Endpoints beyond the most that a node counts: 2,000, or 200 of a tenant'),
          }),
        },
      },
    },
    async (request) => {
      const tenant = tenantOf(request)
      const overview = await live.overview({ tenant, node: request.query.node })
      const endpoints = overview.endpoints.filter(({ name }) => isViewed(request, name))
      return { ...overview, endpoints, tenant: tenant ?? null, nodes: shownNodes(request, overview.nodes) }
    },
  )

  api.get(
    '/api/v1/live/:name',
    {
      schema: {
        tags: ['Endpoints'],
        summary: 'One endpoint over the last minute: arms, versions, errors, and the last quarter of an hour as series',
        params: Params,
        querystring: Question,
        response: {
          200: Type.Object({
            ...Window,
            ...EndpointLive,
            errorCodes: Named('code'),
            flags: Named('flag'),
            arms: Type.Array(Arm),
            versions: Type.Array(LiveVersion),
            series: Series,
          }),
        },
      },
    },
    async (request) => {
      const tenant = tenantOf(request)
      const { name } = app.endpoints.get(request.params.name)
      const figures = await live.endpoint(name, { tenant, node: request.query.node })
      return { ...figures, tenant: tenant ?? null, nodes: shownNodes(request, figures.nodes) }
    },
  )

  api.get(
    '/api/v1/endpoints/:name/route',
    {
      schema: {
        tags: ['Endpoints'],
        summary: 'The route tree that answers an endpoint now',
        params: Params,
        response: { 200: Route },
      },
    },
    async ({ params: { name } }) => routeView(name, app),
  )
}

/** Whose records alone the caller may see; undefined: those of all. */
function tenantOf(request: FastifyRequest): string | undefined {
  const caller = callerOf(request)
  return isTenantBound(caller) ? caller.tenant : undefined
}

/** Where other nodes listen is for those who may list them. */
function shownNodes(request: FastifyRequest, nodes: LiveNodes): LiveNodes {
  if (isAllowed(callerOf(request), 'viewer')) return nodes
  const without = <T extends { readonly url: string | null }>(node: T) => ({ ...node, url: null })
  return { ...nodes, counted: nodes.counted.map(without), missing: nodes.missing.map(without) }
}
