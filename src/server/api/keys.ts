// Keys: making, showing, revoking and rotating them; what callers used; and who asks.
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { AccessErrors, type Caller, isLoopback, isTenantBound } from '../../access/index.js'
import type { KeyView } from '../../app/index.js'
import type { ServerContext } from '../context.js'
import { ActorHeaders, actorOf, callerOf } from './actor.js'
import type { Api } from './route.js'
import { Decision, orNull, Reason } from './schemas.js'

const TAGS = ['Keys'] as const
const Role = Type.Enum(['viewer', 'developer', 'approver', 'admin'])
const Patterns = (description: string) =>
  Type.Array(Type.String(), { maxItems: 100, description, examples: [['fraud*']] })
const Params = Type.Object({ key: Type.String({ minLength: 1, description: 'Id of a key, or its name' }) })
const DayText = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$', examples: ['2026-11-22'] })

const Key = Type.Object({
  id: Type.String(),
  name: Type.String(),
  state: Type.Enum(['active', 'expired', 'revoked']),
  role: Type.Union([Role, Type.Null()]),
  on: Type.Union([Type.Array(Type.String()), Type.Null()], {
    description: 'What the role holds for; null: everything',
  }),
  predict: Type.Array(Type.String(), { description: 'Endpoints it may predict with' }),
  tenant: Type.String(),
  ratePerSecond: orNull('number'),
  burst: orNull('number'),
  quotaPerDay: orNull('integer', { description: 'Rows' }),
  createdMs: Type.Integer(),
  expiresMs: orNull('integer'),
  revokedMs: orNull('integer'),
})
const MadeKey = Type.Object({
  key: Key,
  secret: Type.String({ description: 'What callers send. It is shown this once and stored nowhere.' }),
  decision: Type.String(),
})
const KeyRequest = Type.Object(
  {
    name: Type.String({ description: 'Decisions name it', examples: ['ci'] }),
    role: Type.Optional(Role),
    on: Type.Optional(Patterns('Endpoints and models that the role holds for; default all')),
    predict: Type.Optional(Patterns('Endpoints to predict with; default those of the role, from developer up')),
    tenant: Type.Optional(
      Type.String({ description: 'Whose predictions it makes and may see; default: of the project itself' }),
    ),
    expiresMs: Type.Optional(Type.Integer({ description: 'Milliseconds since the Unix epoch; default never' })),
    ratePerSecond: Type.Optional(Type.Number({ description: 'Requests' })),
    burst: Type.Optional(Type.Number({ description: 'Requests at once; default those of a second' })),
    quotaPerDay: Type.Optional(Type.Integer({ description: 'Rows' })),
  },
  { additionalProperties: false },
)

export function keyRoutes(api: Api, { app }: ServerContext): void {
  const { access } = app.services

  api.get(
    '/api/v1/whoami',
    {
      schema: {
        tags: TAGS,
        summary: 'Who asks, and what it may do',
        response: {
          200: Type.Object({
            id: Type.String(),
            name: Type.String(),
            kind: Type.Enum(['key', 'jwt', 'anonymous']),
            tenant: Type.String(),
            grants: Type.Array(Type.Object({ role: Role, on: Type.Optional(Type.Array(Type.String())) })),
            predicts: Type.Array(Type.String()),
          }),
        },
      },
    },
    async (request) => {
      const { id, name, kind, tenant, grants, predicts } = callerOf(request)
      return { id, name, kind, tenant, grants, predicts }
    },
  )

  api.get(
    '/api/v1/keys',
    {
      schema: {
        tags: TAGS,
        summary: 'Every key that was made, oldest first',
        response: { 200: Type.Object({ keys: Type.Array(Key) }) },
      },
    },
    async (request) => ({ keys: (await access.list()).filter(({ tenant }) => isOwn(callerOf(request), tenant)) }),
  )

  api.post(
    '/api/v1/keys',
    {
      schema: {
        tags: TAGS,
        summary: 'Make a key',
        description:
          'From the first key on every request needs one. That first one is made on the machine of the server, and has to be an admin of the whole project.',
        headers: ActorHeaders,
        body: KeyRequest,
        response: { 200: MadeKey },
      },
    },
    async (request) => {
      // Somebody before an open server may authenticate callers, but says nothing about which of them may lock it.
      const address = request.ip.replace(/^::ffff:/, '')
      const { isOpen } = app.access
      if (isOpen && !isLoopback(address)) throw AccessErrors.FIRST_KEY_REMOTE({ address })
      const caller = callerOf(request)
      const { tenant = caller.tenant } = request.body
      if (!isOwn(caller, tenant))
        throw AccessErrors.OTHER_TENANT({ caller: caller.name, tenant: caller.tenant, other: tenant.slice(0, 64) })
      return access.create({ ...request.body, tenant }, actorOf(request), isOpen)
    },
  )

  api.get(
    '/api/v1/keys/:key',
    { schema: { tags: TAGS, summary: 'One key', params: Params, response: { 200: Key } } },
    (request) => keyOf(request),
  )

  api.delete(
    '/api/v1/keys/:key',
    {
      schema: {
        tags: TAGS,
        summary: 'Revoke a key',
        description: 'It is refused at once here, and within a second by every other node.',
        params: Params,
        headers: ActorHeaders,
        body: Type.Object({ reason: Type.Optional(Reason) }, { additionalProperties: false }),
        response: { 200: Decision },
      },
    },
    async (request) => access.revoke((await keyOf(request)).id, request.body?.reason, actorOf(request)),
  )

  api.post(
    '/api/v1/keys/:key/rotate',
    {
      schema: {
        tags: TAGS,
        summary: 'Make a new key in place of one',
        params: Params,
        headers: ActorHeaders,
        body: Type.Object(
          {
            graceMs: Type.Optional(
              Type.Integer({
                minimum: 0,
                maximum: 31_536_000_000,
                description: 'So long the old one works; default 0',
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: { 200: MadeKey },
      },
    },
    async (request) => access.rotate((await keyOf(request)).id, request.body?.graceMs ?? 0, actorOf(request)),
  )

  api.get(
    '/api/v1/usage',
    {
      schema: {
        tags: TAGS,
        summary: 'What callers predicted, by day and endpoint, newest day first',
        description: 'Exact counts of what was let in; up to two seconds behind.',
        querystring: Type.Object(
          {
            caller: Type.Optional(Type.String({ description: 'Name or id of a key, or "issuer#subject"' })),
            from: Type.Optional(DayText),
            until: Type.Optional(DayText),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            usage: Type.Array(
              Type.Object({
                day: Type.String(),
                caller: Type.String(),
                endpoint: Type.String(),
                predictions: Type.Integer(),
                rows: Type.Integer(),
              }),
            ),
          }),
        },
      },
    },
    async (request) => {
      const usage = await access.usage(request.query)
      const caller = callerOf(request)
      if (!isTenantBound(caller)) return { usage }
      const own = new Set((await access.list()).filter(({ tenant }) => tenant === caller.tenant).map(({ id }) => id))
      return { usage: usage.filter((count) => own.has(count.caller)) }
    },
  )

  /** Throws ACCESS_KEY_NOT_FOUND, also for what is another tenant's. */
  async function keyOf(request: FastifyRequest<{ Params: { key: string } }>): Promise<KeyView> {
    const key = await access.get(request.params.key)
    if (!isOwn(callerOf(request), key.tenant)) throw AccessErrors.KEY_NOT_FOUND({ key: request.params.key })
    return key
  }
}

/** Who belongs to a tenant has to do with the keys of that tenant alone. */
export function isOwn(caller: Caller, tenant: string): boolean {
  return !isTenantBound(caller) || caller.tenant === tenant
}
