// What changes the feature store, and long work on it: events pushed, and jobs that are followed by their id.
import Type from 'typebox'
import type { ServerContext } from '../context.js'
import { featuresOf } from './features.js'
import type { Api } from './route.js'
import { NameParam, orNull } from './schemas.js'

const TAGS = ['Features'] as const
/** Not a `mapOf`: that would look at each value of each event, which all may be anything. */
const Event = Type.Object({}, { additionalProperties: true, description: 'Values by column' })

export function featureWorkRoutes(api: Api, { app }: ServerContext): void {
  const operations = () => featuresOf(app).operations

  api.post(
    '/api/v1/features/push',
    {
      schema: {
        tags: TAGS,
        summary: 'Events of a push source',
        description:
          'They are kept once this answers, and counted within milliseconds. What breaks a rule is in quarantine, with the others taken in; what came later than the source allows is kept and does not count. Send batches: a body is at most 1 MiB.',
        body: Type.Object(
          {
            source: Type.String({ minLength: 1 }),
            events: Type.Array(Event, { minItems: 1, maxItems: 50_000 }),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            accepted: Type.Integer(),
            duplicates: Type.Integer({ description: 'Of an id that is in already' }),
            late: Type.Integer({ description: 'Kept, but too late to count' }),
            refused: Type.Integer({ description: 'In quarantine' }),
            problems: Type.Array(Type.Object({ index: Type.Integer(), code: Type.String(), problem: Type.String() }), {
              description: 'Of the first that were refused',
            }),
          }),
        },
      },
    },
    ({ body: { source, events } }) => operations().push(source, events as readonly Readonly<Record<string, unknown>>[]),
  )

  api.post(
    '/api/v1/features/materialise',
    {
      schema: {
        tags: TAGS,
        summary: 'Start to fill the online store from the batch sources',
        description:
          'Incremental: what became known since the last time. Full: into tables beside the live ones, which are switched to when they are whole.',
        body: Type.Object(
          {
            views: Type.Optional(
              Type.Array(Type.String(), { minItems: 1, description: 'Default: every view with a batch source' }),
            ),
            full: Type.Optional(Type.Boolean({ description: 'Default false' })),
            untilMs: Type.Optional(Moment('Rows known up to here; default now')),
          },
          { additionalProperties: false },
        ),
        response: { 202: Job },
      },
    },
    async (request, reply) => reply.code(202).send(await operations().materialise(request.body)),
  )

  api.post(
    '/api/v1/features/training-sets',
    {
      schema: {
        tags: TAGS,
        summary: 'Start to make a training set: for each label row, the values as they were known then',
        description: 'Paths are files on the machine of the server; relative ones start at the project.',
        body: Type.Object(
          {
            service: Type.String({ minLength: 1 }),
            labels: Type.String({
              minLength: 1,
              description: 'Parquet, CSV or JSON: entity keys, a time, inputs of on-demand views, and anything else',
            }),
            out: Type.String({ minLength: 1, description: '.parquet, .csv or .json' }),
            timeColumn: Type.Optional(Type.String({ minLength: 1, description: 'Default event_timestamp' })),
            proofRows: Type.Optional(
              Type.Integer({
                minimum: 0,
                maximum: 1_000_000,
                description: 'Rows that are derived again by brute force',
              }),
            ),
            resume: Type.Optional(Type.Boolean({ description: 'Go on with an interrupted one; default true' })),
            withTimes: Type.Optional(Type.Boolean({ description: 'Beside each feature, the time of its row' })),
          },
          { additionalProperties: false },
        ),
        response: { 202: Job },
      },
    },
    async (request, reply) => reply.code(202).send(await operations().trainingSet(request.body)),
  )

  api.post(
    '/api/v1/features/training-sets/from-log',
    {
      schema: {
        tags: TAGS,
        summary: 'Start to make a training set of what was served, with the outcomes that joined',
        body: Type.Object(
          {
            service: Type.String({ minLength: 1 }),
            out: Type.String({ minLength: 1, description: '.parquet, .csv or .json' }),
            sinceMs: Type.Optional(Moment('Served at this moment or later; default everything in the log')),
            untilMs: Type.Optional(Moment('Served, and known, before this moment; default now')),
            outcome: Type.Optional(Type.String({ minLength: 1, description: 'The only one that is joined' })),
          },
          { additionalProperties: false },
        ),
        response: { 202: Job },
      },
    },
    async (request, reply) => reply.code(202).send(await operations().trainingSetFromLog(request.body)),
  )

  api.post(
    '/api/v1/features/quarantine/retry',
    {
      schema: {
        tags: TAGS,
        summary: 'Take quarantined events of a stream source in again',
        body: Type.Object(
          {
            of: Type.String({ minLength: 1, description: 'A stream source' }),
            reason: Type.Optional(Type.String({ minLength: 1 })),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            accepted: Type.Integer(),
            duplicates: Type.Integer(),
            late: Type.Integer(),
            refused: Type.Integer(),
            cut: Type.Integer({ description: 'Kept only in part, so that they stay in quarantine' }),
            problems: Type.Array(Type.Object({ index: Type.Integer(), code: Type.String(), problem: Type.String() })),
          }),
        },
      },
    },
    (request) => operations().retryQuarantine(request.body),
  )

  api.post(
    '/api/v1/features/verify',
    {
      schema: {
        tags: TAGS,
        summary: 'Start to compare what was served with the definitions',
        body: Type.Object(
          {
            service: Type.String({ minLength: 1 }),
            sinceMs: Type.Optional(Moment('Served at this moment or later; default 24 h ago')),
            untilMs: Type.Optional(Moment('Default now')),
            limit: Type.Optional(
              Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Served vectors that are compared at most' }),
            ),
            tolerance: Type.Optional(
              Type.Number({ minimum: 0, maximum: 1, description: 'Relative, of numbers with fractions; default 1e-9' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: { 202: Job },
      },
    },
    async (request, reply) => reply.code(202).send(await operations().verify(request.body)),
  )

  api.get(
    '/api/v1/features/verify',
    {
      schema: {
        tags: TAGS,
        summary: 'The last comparison of each service, asked for or scheduled',
        response: { 200: Type.Object({ reports: Type.Array(Type.Unknown()) }) },
      },
    },
    async () => ({ reports: await operations().lastVerifications() }),
  )

  api.post(
    '/api/v1/features/infer',
    {
      schema: {
        tags: TAGS,
        summary: 'Start to infer expectations from the rows of a view',
        body: Type.Object(
          { view: Type.String({ minLength: 1 }), sinceMs: Type.Optional(Moment('Rows of this event time or later')) },
          { additionalProperties: false },
        ),
        response: { 202: Job },
      },
    },
    async (request, reply) => reply.code(202).send(await operations().infer(request.body)),
  )

  api.post(
    '/api/v1/features/check',
    {
      schema: {
        tags: TAGS,
        summary: 'Start to judge the rows of a view by its expectations',
        body: Type.Object(
          {
            view: Type.String({ minLength: 1 }),
            sinceMs: Type.Optional(Moment('Judges rows of this event time or later, against those before')),
          },
          { additionalProperties: false },
        ),
        response: { 202: Job },
      },
    },
    async (request, reply) => reply.code(202).send(await operations().check(request.body)),
  )

  api.get(
    '/api/v1/features/jobs',
    {
      schema: {
        tags: TAGS,
        summary: 'Jobs, newest first',
        response: { 200: Type.Object({ jobs: Type.Array(Job) }) },
      },
    },
    async () => ({ jobs: (await operations().jobs()).map(({ result: _, ...job }) => ({ ...job, result: null })) }),
  )

  api.get(
    '/api/v1/features/jobs/:id',
    {
      schema: {
        tags: TAGS,
        summary: 'A job: how far it is, or what came of it',
        params: Type.Object({ id: NameParam('Job') }),
        response: { 200: Job },
      },
    },
    (request) => operations().job(request.params.id),
  )

  api.post(
    '/api/v1/features/jobs/:id/cancel',
    {
      schema: {
        tags: TAGS,
        summary: 'End a job; what it had finished stays',
        params: Type.Object({ id: NameParam('Job') }),
        response: { 200: Job },
      },
    },
    (request) => operations().cancel(request.params.id),
  )
}

function Moment(description: string) {
  return Type.Integer({
    minimum: 0,
    maximum: 8.64e15,
    description: `${description}. Milliseconds since the Unix epoch`,
  })
}

const Job = Type.Object({
  id: Type.String(),
  kind: Type.Enum(['materialise', 'training-set', 'verify', 'infer', 'check']),
  of: Type.String({ description: 'Views or a service' }),
  state: Type.Enum(['running', 'done', 'failed', 'cancelled']),
  progress: Type.Union([Type.Object({ step: Type.String(), done: Type.Number(), total: Type.Number() }), Type.Null()]),
  startedMs: Type.Number(),
  endedMs: orNull('number'),
  result: Type.Unknown({ description: 'Its report, once it is done; null in lists' }),
  error: Type.Union([Type.Object({ code: Type.String(), message: Type.String() }), Type.Null()]),
})
