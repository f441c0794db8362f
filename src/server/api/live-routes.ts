// Each live endpoint as routes of its own for the OpenAPI document: its features by name, its tensors, and a row to try.
import Type, { type TSchema } from 'typebox'
import { rowSchema } from '../../app/index.js'
import { type Endpoint, type FeatureNeeds, firstThere, type Versions } from '../../path/index.js'
import type { ServedVersion } from '../../serving/index.js'
import {
  elementCount,
  type FeatureRow,
  type FeatureSpec,
  type OutputSpec,
  type RowSchema,
  rowsToTensors,
  type TensorSpec,
  tensorToJson,
} from '../../tensor/index.js'
import type { DescribedRoute } from './catalogue.js'
import { InferParameters, InferResponse, nativeRequest, nativeResponse, RequestedOutputs } from './hot-routes.js'
import { orNull } from './schemas.js'

/** Two routes for each endpoint that answers now. */
export function liveRoutes(
  endpoints: readonly Endpoint[],
  versions: Versions,
  needsOf: (endpoint: Endpoint) => FeatureNeeds | undefined = () => undefined,
): DescribedRoute[] {
  return endpoints.flatMap((endpoint) => {
    const served = firstThere(endpoint.route.leaves, versions)
    return served ? [nativeRoute(endpoint.name, served, needsOf(endpoint)), inferRoute(endpoint.name, served)] : []
  })
}

/** Changes when an endpoint appears, goes or is answered by another version. */
export function liveKey(endpoints: readonly Endpoint[], versions: Versions): string {
  return endpoints
    .map((endpoint) => {
      const served = firstThere(endpoint.route.leaves, versions)
      return `${endpoint.name} ${served?.ref.model} ${served?.ref.version} ${served?.digest}`
    })
    .join('\n')
}

function nativeRoute(name: string, served: ServedVersion, needs: FeatureNeeds | undefined): DescribedRoute {
  const schema = rowSchema(served)
  const example = served.manifest.warmup[0]?.inputs
  const Row = Type.Object(
    needs === undefined
      ? Object.fromEntries(schema.features.map((feature) => [feature.name, featureSchema(feature)]))
      : servedRow(schema, needs),
    { additionalProperties: false, ...(example && { examples: [example] }) },
  )
  const body = nativeRequest(Row, Type.Enum(served.signature.outputs.map((output) => output.name)), {
    ...(example && { examples: [{ inputs: example }] }),
    ...(needs && { entities: entitySchema(needs), isInputOptional: needs.required.length === 0 }),
  })
  const outputs = Type.Object(
    Object.fromEntries(schema.outputs.map((output) => [output.name, Type.Optional(outputSchema(output, schema))])),
  )
  return {
    method: 'POST',
    needs: 'predict',
    path: `/api/v1/predict/${name}`,
    schema: { ...about('Predictions', name, served), body, response: { 200: nativeResponse(outputs) } },
  }
}

/** What only the request can bring, and what it may bring in place of the feature store. */
function servedRow({ features }: RowSchema, { features: given, request, required }: FeatureNeeds) {
  const row: Record<string, TSchema> = {}
  for (const { name, type } of given)
    row[name] = Type.Optional(Type.Unknown({ description: `${type}; looked up without it` }))
  for (const feature of features)
    row[feature.name] = required.includes(feature.name)
      ? featureSchema(feature)
      : Type.Optional(orNullOf(featureSchema(feature)))
  for (const { name, type, isRequired } of request) {
    const input = Type.Unknown({ description: `${type}; features are computed from it` })
    row[name] = isRequired ? input : Type.Optional(input)
  }
  return row
}

function orNullOf(schema: TSchema): TSchema {
  return Type.Union([schema, Type.Null()], { description: 'Looked up in the feature store without it' })
}

function entitySchema({ entities }: FeatureNeeds): TSchema {
  return Type.Object(
    Object.fromEntries(
      entities.map(({ name, type, isRequired }) => {
        const key = type === 'int64' ? Type.Union([Type.Integer(), Type.String()]) : Type.String()
        const given = Type.Union([key, Type.Null()])
        return [name, isRequired ? given : Type.Optional(given)]
      }),
    ),
    { description: 'Entity keys that features are looked up by' },
  )
}

function inferRoute(name: string, served: ServedVersion): DescribedRoute {
  const { inputs } = served.signature
  const example = exampleTensors(served)
  const body = Type.Object(
    {
      id: Type.Optional(Type.String({ description: 'Echoed' })),
      parameters: Type.Optional(InferParameters),
      inputs: Type.Array(Type.Union(inputs.map(tensorSchema)), { minItems: inputs.length, maxItems: inputs.length }),
      outputs: Type.Optional(RequestedOutputs),
    },
    { ...(example && { examples: [{ inputs: example }] }) },
  )
  return {
    method: 'POST',
    needs: 'predict',
    path: `/v2/models/${name}/infer`,
    schema: { ...about('Open Inference Protocol', name, served), body, response: { 200: InferResponse } },
  }
}

function about(tag: string, name: string, { ref, manifest }: ServedVersion) {
  return {
    tags: [tag],
    summary: `Predict with ${name}`,
    description: `${manifest.description} Answered by version ${ref.version} of ${ref.model}.`.trimStart(),
  } as const
}

function featureSchema({ type, datatype, shape, size }: FeatureSpec): TSchema {
  let schema: TSchema
  if (type === 'number') schema = orNull('number', { description: `${datatype}; null is missing` })
  else if (type === 'boolean') schema = Type.Boolean({ description: datatype })
  else if (type === 'string') schema = Type.String({ description: datatype })
  else schema = integerSchema(datatype)
  if (size === 1) return schema
  for (const length of [...shape].reverse())
    schema = Type.Array(schema, length === -1 ? {} : { minItems: length, maxItems: length })
  return schema
}

function integerSchema(datatype: string): TSchema {
  const bits = Number(/\d+$/.exec(datatype)?.[0])
  const description = datatype
  // JSON numbers are exact to 2^53 only.
  if (bits === 64) return Type.Union([Type.Integer(), Type.String({ pattern: '^-?\\d{1,20}$' })], { description })
  const [minimum, maximum] = datatype.startsWith('U') ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]
  return Type.Integer({ minimum, maximum, description })
}

/** What is said of one row; the sizes decide whether probabilities can be named (see `tensorsToNamedOutputs`). */
function outputSchema({ meaning, tensor }: OutputSpec, { labels, signature }: RowSchema): TSchema {
  const shape = signature.outputs.find(({ name }) => name === tensor)!.shape.slice(signature.batchAxis === 0 ? 1 : 0)
  const size = shape.includes(-1) ? -1 : elementCount(shape)
  if (labels === undefined || meaning === 'value') return Type.Unknown()
  if (meaning === 'label') {
    // Where the labels are numbers, the graph may answer with them.
    const numbers = labels.map(Number).filter((number) => !Number.isNaN(number))
    return size === 1 ? Type.Enum([...labels, ...numbers], { description: 'The class' }) : Type.Unknown()
  }
  const isNamed = size === -1 || size === labels.length || (size === 1 && labels.length === 2)
  if (!isNamed) return Type.Unknown()
  const probability = orNull('number', { minimum: 0, maximum: 1 })
  return Type.Object(Object.fromEntries(labels.map((label) => [label, probability])), {
    description: 'Probability by class',
  })
}

function tensorSchema({ name, datatype, shape }: TensorSpec): TSchema {
  const sizes = shape.map((axis) => (axis === -1 ? { type: 'integer', minimum: 0 } : { const: axis }))
  return Type.Object({
    name: Type.Literal(name),
    datatype: Type.Literal(datatype),
    // typebox writes tuples in the way of an older JSON Schema than OpenAPI 3.1 has.
    shape: Type.Unsafe({
      type: 'array',
      prefixItems: sizes,
      minItems: shape.length,
      maxItems: shape.length,
      description: `[${shape.join(', ')}], where -1 is any size`,
    }),
    data: Type.Array(Type.Unknown(), { description: 'Row-major: nested as the shape, or flat' }),
  })
}

/** The first warm-up row as the protocol writes it. */
function exampleTensors(served: ServedVersion): unknown[] | undefined {
  const row: FeatureRow | undefined = served.manifest.warmup[0]?.inputs
  if (row === undefined) return undefined
  const tensors = rowsToTensors([row], rowSchema(served))
  return [...tensors.values()].map((tensor) => JSON.parse(tensorToJson(tensor)))
}
