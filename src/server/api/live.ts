// What is happening now: each endpoint over the last minute and quarter of an hour, and route trees to see it in.
import Type, { type TSchema } from 'typebox'
import { routeView } from '../../app/index.js'
import type { ServerContext } from '../context.js'
import { isViewed } from './enforce.js'
import type { Api } from './route.js'
import { NameParam, orNull } from './schemas.js'

const Params = Type.Object({ name: NameParam('Endpoint') })
const Count = (description: string) => Type.Integer({ minimum: 0, description })
const Latency = () => orNull('number', { description: 'Milliseconds, to within a tenth; null without requests' })

const Window = {
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
  history: Type.Array(Type.Integer(), {
    description: 'Requests in each half minute of the last quarter of an hour, oldest first; the last one is not over',
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
const Integers = Type.Array(Type.Integer())
const Numbers = Type.Array(orNull('number'))

const Series = Type.Object(
  {
    startMs: Type.Number(),
    bucketMs: Type.Number(),
    requests: Integers,
    errors: Integers,
    p50Ms: Numbers,
    p95Ms: Numbers,
    p99Ms: Numbers,
    batchRows: Numbers,
    cached: Integers,
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
  api.get(
    '/api/v1/live',
    {
      schema: {
        tags: ['Endpoints'],
        summary: 'Rates, latencies and errors of every endpoint over the last minute',
        description:
          'A reading of the log, which starts with the first question and ends two minutes after the last. Several nodes: this node alone.',
        response: {
          200: Type.Object({
            ...Window,
            endpoints: Type.Array(Type.Object(EndpointLive), {
              description: 'Those with requests in the last quarter of an hour',
            }),
            uncounted: Count('Endpoints beyond the 2,000 that are counted'),
          }),
        },
      },
    },
    async (request) => {
      const overview = await app.services.live.overview()
      return { ...overview, endpoints: overview.endpoints.filter(({ name }) => isViewed(request, name)) }
    },
  )

  api.get(
    '/api/v1/live/:name',
    {
      schema: {
        tags: ['Endpoints'],
        summary: 'One endpoint over the last minute: arms, versions, errors, and the last quarter of an hour as series',
        params: Params,
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
    ({ params: { name } }) => app.services.live.endpoint(app.endpoints.get(name).name),
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
