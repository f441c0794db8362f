// The routes that the HTTP server answers without Fastify, described here so that OpenAPI and 405 know of them.
import Type, { type TSchema } from 'typebox'
import type { DescribedRoute, Method } from './catalogue.js'
import type { RouteNeed } from './needs.js'
import type { RouteSchema } from './route.js'
import { mapOf, NameParam } from './schemas.js'

const Values = Type.Array(Type.Unknown(), { description: 'Row-major: nested as the shape, or flat' })
const Parameters = mapOf(Type.Union([Type.String(), Type.Number(), Type.Boolean()]))

const InferTensor = Type.Object({
  name: Type.String(),
  datatype: Type.String({ examples: ['FP32'] }),
  shape: Type.Array(Type.Integer({ minimum: 0 })),
  data: Values,
})

export const RequestedOutputs = Type.Array(Type.Object({ name: Type.String() }), {
  description: 'Outputs wanted, in order; default all',
})

export const InferParameters = Type.Intersect([
  Parameters,
  Type.Object({
    unit: Type.Optional(Type.String({ description: 'What the assignment is sticky to: a user or session id' })),
    timeout: Type.Optional(Type.Integer({ description: 'Microseconds' })),
  }),
])

export const InferResponse = Type.Object({
  model_name: Type.String(),
  model_version: Type.String(),
  id: Type.Optional(Type.String()),
  parameters: Type.Optional(Parameters),
  outputs: Type.Array(InferTensor),
})

const InferRequest = Type.Object({
  id: Type.Optional(Type.String({ description: 'Echoed' })),
  parameters: Type.Optional(InferParameters),
  inputs: Type.Array(InferTensor),
  outputs: Type.Optional(RequestedOutputs),
})

const V1Request = Type.Union([
  Type.Object({ instances: Type.Array(Type.Unknown(), { description: 'Rows' }) }),
  Type.Object({ inputs: Type.Unknown({ description: 'Columns' }) }),
])

const V1Response = Type.Union([
  Type.Object({ predictions: Type.Array(Type.Unknown()) }),
  Type.Object({ outputs: Type.Unknown() }),
])

const Unit = Type.String({ description: 'What the assignment is sticky to: a user or session id' })
const Entities = mapOf(
  Type.Union([Type.String(), Type.Integer(), Type.Null()]),
  'Entity keys by name: what features are looked up by; null for none',
)

/** A native request whose rows are of this shape. */
export function nativeRequest(
  row: TSchema,
  output: TSchema,
  options: {
    readonly examples?: readonly unknown[]
    readonly entities?: TSchema
    readonly isInputOptional?: boolean
  } = {},
): TSchema {
  const { entities: Keys = Entities, isInputOptional = false, ...rest } = options
  const inputs = Type.Union([row, Type.Array(row, { minItems: 1 })], {
    description: 'One row, or a list: each is a prediction of its own',
  })
  return Type.Object(
    {
      inputs: isInputOptional ? Type.Optional(inputs) : inputs,
      unit: Type.Optional(Type.Union([Unit, Type.Array(Type.Union([Unit, Type.Null()]))], { description: FOR_ROWS })),
      entities: Type.Optional(
        Type.Union([Keys, Type.Array(Type.Union([Keys, Type.Null()]))], { description: FOR_ROWS }),
      ),
      outputs: Type.Optional(Type.Array(output, { description: 'Outputs of the graph to compute; default all' })),
    },
    { additionalProperties: false, ...rest },
  )
}

const FOR_ROWS = 'For all rows, or a list with one for each'

/** A native reply whose outputs are of this shape. */
export function nativeResponse(outputs: TSchema): TSchema {
  const endpoint = Type.String()
  const timings = mapOf(Type.Number(), 'Milliseconds by stage')
  const prediction = {
    id: Type.String(),
    model: Type.String(),
    version: Type.Integer(),
    outputs,
    flags: Type.Array(Type.String()),
  }
  const failure = { id: Type.String(), error: Type.Object({ code: Type.String(), message: Type.String() }) }
  return Type.Union([
    Type.Object({ endpoint, ...prediction, timings }, { description: 'For one row' }),
    Type.Object(
      {
        endpoint,
        predictions: Type.Array(Type.Union([Type.Object(prediction), Type.Object(failure)])),
        timings,
      },
      { description: 'For a list of rows' },
    ),
  ])
}

const Row = mapOf(Type.Unknown(), 'Value by feature name')

const ModelParams = Type.Object({ model: NameParam('Endpoint or model') })
const VersionParams = Type.Object({
  model: NameParam('Endpoint or model'),
  version: Type.String({ pattern: '^[1-9]\\d{0,14}$', description: 'Pins the version: the route is not asked' }),
})
const UnitHeader = Type.Object({ 'headrace-unit': Type.Optional(Unit) })

const INFER = {
  tags: ['Open Inference Protocol'],
  description:
    'Tensors may also follow the JSON as binary data: `Inference-Header-Content-Length` is then the length of the JSON.',
  headers: UnitHeader,
  body: InferRequest,
  response: { 200: InferResponse },
} as const
const PREDICT = {
  tags: ['KServe v1'],
  headers: UnitHeader,
  body: V1Request,
  response: { 200: V1Response },
} as const
const PROBE = { tags: ['Probes'] } as const
const Live = Type.Object({ live: Type.Boolean() })
const Ready = Type.Object({ ready: Type.Boolean() })
const READY = {
  ...PROBE,
  summary: 'Whether it takes predictions',
  description: 'False until every version found at start was warmed up or refused, and again while the server closes.',
  response: { 200: Ready, 503: Ready },
} as const

export const hotRoutes: readonly DescribedRoute[] = [
  route('POST', '/v2/models/{model}/infer', { ...INFER, summary: 'Predict', params: ModelParams }),
  route('POST', '/v2/models/{model}/versions/{version}/infer', {
    ...INFER,
    summary: 'Predict with one version',
    params: VersionParams,
  }),
  route('POST', '/v1/models/{model}:predict', { ...PREDICT, summary: 'Predict', params: ModelParams }),
  route('POST', '/v1/models/{model}/versions/{version}:predict', {
    ...PREDICT,
    summary: 'Predict with one version',
    params: VersionParams,
  }),
  route('POST', '/v1/models/{model}/labels/{alias}:predict', {
    ...PREDICT,
    summary: 'Predict with the version of an alias',
    params: Type.Object({ model: NameParam('Endpoint or model'), alias: NameParam('Alias') }),
  }),
  route('POST', '/api/v1/predict/{endpoint}', {
    tags: ['Predictions'],
    summary: 'Predict from named features',
    description: 'Each live endpoint is listed below with its own features.',
    params: Type.Object({ endpoint: NameParam('Endpoint or model') }),
    headers: UnitHeader,
    body: nativeRequest(Row, Type.String()),
    response: { 200: nativeResponse(mapOf(Type.Unknown())) },
  }),
  route('GET', '/livez', { ...PROBE, summary: 'Whether the process lives', response: { 200: Live } }, 'open'),
  route('GET', '/readyz', READY, 'open'),
  route('GET', '/v2/health/live', { ...PROBE, summary: 'Whether the process lives', response: { 200: Live } }, 'open'),
  route('GET', '/v2/health/ready', READY, 'open'),
  route(
    'GET',
    '/metrics',
    {
      ...PROBE,
      summary: 'Prometheus metrics',
      description: 'Open to everybody with access.openMetrics.',
      produces: 'text/plain',
      response: { 200: Type.String() },
    },
    'viewer',
  ),
]

function route(method: Method, path: string, schema: RouteSchema, needs: RouteNeed = 'predict'): DescribedRoute {
  return { method, path, needs, schema }
}
