// The feature store: what is defined, how it stands, what flows into what, and what is in quarantine.
import Type from 'typebox'
import { type App, type Features, featureLineage } from '../../app/index.js'
import { catalogueOf, FeatureErrors } from '../../features/index.js'
import type { ServerContext } from '../context.js'
import type { Api } from './route.js'
import { orNull } from './schemas.js'

const TAGS = ['Features'] as const

/** Throws FEATURE_NONE_DEFINED. */
export function featuresOf(app: App): Features {
  if (app.features === undefined) throw FeatureErrors.NONE_DEFINED()
  return app.features
}

export function featureRoutes(api: Api, { app }: ServerContext): void {
  api.get(
    '/api/v1/features',
    {
      schema: {
        tags: TAGS,
        summary: 'Every entity, source, view and service, as it is defined',
        response: { 200: Catalogue },
      },
    },
    async () =>
      app.features ? catalogueOf(app.features.project) : { entities: [], sources: [], views: [], services: [] },
  )

  api.get(
    '/api/v1/features/status',
    {
      schema: {
        tags: TAGS,
        summary: 'How the views stand: what requests read, how fresh it is, the last materialisation',
        response: { 200: Status },
      },
    },
    () => featuresOf(app).operations.status(),
  )

  api.get(
    '/api/v1/features/lineage',
    {
      schema: {
        tags: TAGS,
        summary: 'What flows into what, from sources to endpoints',
        querystring: Type.Object(
          {
            name: Type.Optional(
              Type.String({
                minLength: 1,
                description: 'A source, view, feature, service, model or endpoint: only around it',
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: { 200: Lineage },
      },
    },
    async (request) => {
      featuresOf(app)
      return featureLineage(app, request.query.name)
    },
  )

  api.get(
    '/api/v1/features/quarantine',
    {
      schema: {
        tags: TAGS,
        summary: 'Rows that broke a rule: counts, and the newest of them',
        querystring: Type.Object(
          {
            ...FILTER,
            limit: Type.Optional(Type.Integer({ minimum: 0, maximum: 1000, description: 'Rows; default 100' })),
          },
          { additionalProperties: false },
        ),
        response: { 200: Quarantine },
      },
    },
    (request) => featuresOf(app).operations.quarantine(filterOf(request.query)),
  )

  api.delete(
    '/api/v1/features/quarantine',
    {
      schema: {
        tags: TAGS,
        summary: 'Remove rows from quarantine for good',
        querystring: Type.Object(FILTER, { additionalProperties: false }),
        response: { 200: Type.Object({ removed: Type.Integer() }) },
      },
    },
    (request) => featuresOf(app).operations.emptyQuarantine(filterOf(request.query)),
  )
}

const FILTER = {
  of: Type.Optional(Type.String({ minLength: 1, description: 'A source or a view' })),
  reason: Type.Optional(Type.String({ minLength: 1, examples: ['range amount'] })),
}

/** Without what was not given. */
function filterOf<T extends object>(query: T): { readonly [K in keyof T]: Exclude<T[K], undefined> } {
  return query as never
}

const Text = (description?: string) => Type.String(description === undefined ? {} : { description })
const Named = (types: string) => Type.Array(Type.Object({ name: Type.String(), type: Text(types) }))
const SAID = { description: Type.String(), owner: Text('Who answers for it'), tags: Type.Array(Type.String()) }
const MsOrNull = (description: string) => orNull('number', { description })

const Catalogue = Type.Object({
  entities: Type.Array(Type.Object({ name: Type.String(), keys: Named('string or int64'), ...SAID })),
  sources: Type.Array(
    Type.Object({
      name: Type.String(),
      kind: Type.Enum(['file', 'sql', 'postgres', 'push', 'kafka']),
      from: Text('Path, query, table or topic'),
      columns: Named('As declared'),
      ...SAID,
    }),
  ),
  views: Type.Array(
    Type.Object({
      name: Type.String(),
      kind: Type.Enum(['rows', 'windows', 'on-demand']),
      version: Type.Integer(),
      fingerprint: Text('SHA-256 of what gives its values their meaning'),
      entities: Type.Array(Type.String()),
      keys: Named('string or int64'),
      source: orNull('string'),
      stream: orNull('string'),
      views: Type.Array(Type.String(), { description: 'Of an on-demand view: those it is computed from' }),
      request: Named('Of an on-demand view: what the request brings'),
      features: Type.Array(
        Type.Object({
          name: Type.String(),
          type: Type.String(),
          default: Type.Unknown(),
          description: Type.String(),
          meaning: Type.String({ examples: ['sum(amount) over 30d'] }),
        }),
      ),
      online: Type.Boolean(),
      ttlMs: MsOrNull('An older row has no value'),
      hopMs: MsOrNull('Length of a tile of sawtooth windows'),
      everyMs: MsOrNull('How often it is materialised by itself'),
      ...SAID,
    }),
  ),
  services: Type.Array(
    Type.Object({
      name: Type.String(),
      keys: Named('string or int64'),
      request: Named('Inputs of on-demand views'),
      features: Type.Array(
        Type.Object({
          name: Text('As models call it'),
          type: Type.String(),
          default: Type.Unknown(),
          view: Type.String(),
          feature: Text('As its view calls it'),
        }),
      ),
      ...SAID,
    }),
  ),
})

const Status = Type.Object({
  store: Type.Object({ kind: Type.Enum(['memory', 'redis']), isReachable: Type.Boolean() }),
  views: Type.Array(
    Type.Object({
      view: Type.String(),
      version: Type.Integer(),
      live: orNull('string', { description: 'The table that requests read' }),
      filling: Type.Array(Type.String(), { description: 'Tables that are being filled beside it' }),
      freshnessMs: MsOrNull('Age of the newest event or row, by event time'),
      throughKnownMs: MsOrNull('Rows known up to this moment are in'),
      keys: orNull('integer', { description: 'Entities that the last materialisation wrote' }),
      lastMaterialised: Type.Union([
        Type.Object({
          state: Type.Enum(['running', 'done', 'failed', 'cancelled']),
          mode: Type.Enum(['full', 'incremental']),
          startedMs: Type.Number(),
          endedMs: MsOrNull('Null while it runs'),
          keys: Type.Integer(),
          quarantined: Type.Integer(),
          problem: orNull('string'),
        }),
        Type.Null(),
      ]),
    }),
  ),
  alerts: Type.Array(
    Type.Object({
      alert: Type.Enum(['feature-consistency', 'feature-expectation', 'feature-schema']),
      service: Type.String(),
      of: Text('A source or a view'),
      message: Type.String(),
      sinceMs: Type.Number(),
    }),
    { description: 'Those that stand' },
  ),
})

const Lineage = Type.Object({
  nodes: Type.Array(
    Type.Object({
      id: Type.String({ examples: ['view:user_spend'] }),
      kind: Type.Enum(['source', 'view', 'on-demand', 'feature', 'service', 'version', 'endpoint']),
      name: Type.String(),
      owner: Type.String(),
    }),
  ),
  edges: Type.Array(Type.Object({ from: Text('Id of what feeds'), to: Text('Id of what is fed') })),
})

const Quarantine = Type.Object({
  counts: Type.Array(
    Type.Object({
      of: Type.String(),
      reason: Type.String(),
      rows: Type.Integer(),
      dropped: Type.Integer({ description: 'Counted, but no longer kept' }),
    }),
  ),
  rows: Type.Array(
    Type.Object({
      id: Type.Integer(),
      of: Type.String(),
      reason: Type.String(),
      problem: Type.String(),
      atMs: Type.Number(),
      row: Text('JSON, as it arrived'),
    }),
  ),
})
