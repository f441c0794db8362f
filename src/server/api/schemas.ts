// The shapes that several routes take or answer, as typebox schemas. The views they describe are made by the domains; a test
// compares what the server really answers with them.
import Type, { type TSchema } from 'typebox'

const Text = (description: string) => Type.String({ description })
const TextOrNull = (description: string) => orNull('string', { description })
const Facts = (description: string) => mapOf(Type.Unknown(), description)

/** A value of a simple type, or null. */
export function orNull(type: 'string' | 'number' | 'integer', options: object = {}): TSchema {
  return Type.Unsafe({ type: [type, 'null'], ...options })
}

/** Values by name. typebox's own records have a pattern for the names, which documentation shows to its readers. */
export function mapOf(values: TSchema, description?: string): TSchema {
  return Type.Object({}, { additionalProperties: values, ...(description !== undefined && { description }) })
}

export const ErrorReply = Type.Object(
  {
    error: Text('What was wrong, what arrived, what to do'),
    code: Type.String({
      description: 'The contract: match this and not the text',
      examples: ['PATH_ENDPOINT_NOT_FOUND'],
    }),
  },
  { description: 'What every route answers when it fails' },
)

/** No database keeps a NUL in a text. */
export const WITHOUT_NUL = '^[^\\u0000]*$'
export const NameParam = (description: string) => Type.String({ minLength: 1, pattern: WITHOUT_NUL, description })
export const VersionNumber = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: '1, 2, …' })

const TensorSpec = Type.Object({
  name: Type.String(),
  datatype: Type.String({ examples: ['FP32'] }),
  shape: Type.Array(Type.Integer(), { description: '-1 accepts any size' }),
})

const Signature = Type.Object({
  inputs: Type.Array(TensorSpec),
  outputs: Type.Array(TensorSpec),
  batchAxis: Type.Union([Type.Literal(0), Type.Null()], {
    description: '0 when the first axis is the batch; null when runs cannot be joined',
  }),
})

const Labels = Type.Union([Type.Array(Type.String()), Type.Null()], { description: 'Class names' })

const ConvertedFrom = Type.Object(
  {
    format: Type.Enum(['xgboost', 'lightgbm']),
    libraryVersion: Type.String(),
    objective: Type.String(),
    digest: Type.String(),
    rowsCompared: Type.Integer(),
  },
  { description: 'The file of another library that it was made from' },
)

const VersionMemory = Type.Object(
  {
    usedBytes: Type.Integer({ description: 'Of the budget of this process, now; 0 at rest' }),
    sizeBytes: Type.Integer({ description: 'What it takes when it is loaded' }),
    isMeasured: Type.Boolean({ description: 'False: sizeBytes is an estimate' }),
    isPinned: Type.Boolean({ description: 'Never unloaded to make room' }),
  },
  { description: 'Null when it is not in the pool' },
)

export const VersionView = Type.Object({
  version: VersionNumber,
  state: Type.Enum(['resting', 'loading', 'ready', 'unready', 'failed', 'unloading', 'unloaded'], {
    description: 'resting: known, and loaded when a request asks for it',
  }),
  reason: TextOrNull('Why it is not ready'),
  code: TextOrNull('Error code of a load that failed'),
  digest: TextOrNull('SHA-256 of the model file: sha256:…'),
  isolation: Type.Union([
    Type.Literal('inline'),
    Type.Literal('thread'),
    Type.Literal('process'),
    Type.Literal('remote'),
    Type.Literal('steps'),
    Type.Null(),
  ]),
  memory: Type.Union([VersionMemory, Type.Null()]),
  providers: Type.Union([Type.Array(Type.String()), Type.Null()], {
    description: 'What ONNX Runtime computes with, in order of preference',
  }),
  signature: Type.Union([Signature, Type.Null()]),
  labels: Labels,
  description: TextOrNull('From model.json'),
  trained: Type.Union([Facts('From model.json'), Type.Null()]),
  convertedFrom: Type.Union([ConvertedFrom, Type.Null()]),
})

export const ModelView = Type.Object({
  name: Type.String(),
  aliases: mapOf(VersionNumber, 'Version by alias'),
  versions: Type.Array(VersionView),
})

export const EndpointView = Type.Object({
  name: Type.String(),
  origin: Type.Enum(['declared', 'pointed', 'implicit'], {
    description: 'Declared in the configuration, pointed by a decision, or implied by the name of a model',
  }),
  ready: Type.Boolean({
    description:
      'It answers, if need be after loading the version that rests: `signature` is null until that was loaded once',
  }),
  reason: TextOrNull('Why it is not ready'),
  model: TextOrNull('The model that answers now'),
  version: orNull('integer', { minimum: 1, description: 'Its version that answers now' }),
  description: TextOrNull('From model.json'),
  signature: Type.Union([Signature, Type.Null()]),
  features: Type.Array(
    Type.Object({
      name: Type.String(),
      datatype: Type.String(),
      type: Type.Enum(['number', 'integer', 'string', 'boolean']),
      shape: Type.Array(Type.Integer(), { description: 'Of one row; [] for a single value' }),
      size: Type.Integer({ description: 'Values in one row; -1 when it varies' }),
    }),
  ),
  outputs: Type.Array(
    Type.Object({
      tensor: Text('Output of the graph'),
      name: Text('Key in the reply of the native call'),
      meaning: Type.Enum(['label', 'probabilities', 'value']),
    }),
  ),
  labels: Labels,
  deadlineMs: Type.Number(),
  served: Type.Union(
    [
      Type.Object({
        services: Type.Array(Type.String(), { description: 'Feature services of the versions that can be called' }),
        entities: Type.Array(
          Type.Object({ name: Type.String(), type: Type.Enum(['string', 'int64']), isRequired: Type.Boolean() }),
          { description: 'Keys to send in `entities`; one that is not required serves other versions of the route' },
        ),
        features: Type.Array(
          Type.Object({ name: Type.String(), type: Type.String(), services: Type.Array(Type.String()) }),
          { description: 'What the services give; a request may bring any of them instead' },
        ),
        request: Type.Array(Type.Object({ name: Type.String(), type: Type.String(), isRequired: Type.Boolean() }), {
          description: 'Inputs that features are computed from',
        }),
        required: Type.Array(Type.String(), { description: 'Inputs of the model that only the request can bring' }),
      }),
      Type.Null(),
    ],
    { description: 'What feature services give its versions; null where none has one' },
  ),
  cache: Type.Union(
    [
      Type.Object({
        enabled: Type.Boolean({ description: 'False while a decision has switched it off' }),
        key: Type.Enum(['tensors', 'request']),
        scope: Type.Enum(['tenant', 'shared']),
        ttlMs: Type.Number(),
        hitRate: orNull('number', { description: 'Share of recent requests, 0 to 1, that asked no model' }),
      }),
      Type.Null(),
    ],
    { description: 'Null when the endpoint declares none' },
  ),
})

export const Decision = Type.Object({
  id: Type.String(),
  number: Type.Integer({ minimum: 1, description: 'Position in the chain' }),
  timeMs: Type.Number({ description: 'Milliseconds since the Unix epoch' }),
  change: Type.Object({
    kind: Type.String({ examples: ['alias.set'] }),
    subject: Type.String({ examples: ['fraud@champion'] }),
    detail: Facts('What the change is made of'),
  }),
  before: Type.Union([Facts('What it replaced'), Type.Null()]),
  evidence: Facts('Why'),
  by: Type.Object({ kind: Type.Enum(['person', 'rule', 'system']), name: Type.String() }),
  undoes: TextOrNull('The decision this one undoes'),
  undoneBy: TextOrNull('The decision that undid this one'),
  hash: Type.String(),
  previousHash: Type.String(),
})

export const Explanation = Type.Object({
  decision: Decision,
  summary: Text('One sentence'),
  canUndo: Type.Boolean(),
  reason: Type.Optional(Text('Why it cannot be undone')),
  related: Type.Array(Decision, { description: 'Other decisions on the same subject' }),
})

export const Force = Type.Boolean({
  description: 'Passes by the gates of the endpoints that it concerns; needs a reason. Default false',
})

export const Reason = Type.String({
  minLength: 1,
  maxLength: 1000,
  description: 'Why: kept as evidence, shown by explain',
})
