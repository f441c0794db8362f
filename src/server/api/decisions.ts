// Decisions: the history of what was changed, why and by whom, and taking a change back.
import Type from 'typebox'
import { AccessErrors } from '../../access/index.js'
import type { DecisionId } from '../../core/index.js'
import type { ServerContext } from '../context.js'
import { ActorHeaders, actorOf, callerOf } from './actor.js'
import { isOwn } from './keys.js'
import { needOfChange } from './needs.js'
import type { Api } from './route.js'
import { Decision, Explanation, NameParam, WITHOUT_NUL } from './schemas.js'

const TAGS = ['Decisions'] as const
const Params = Type.Object({ id: NameParam('Id of a decision') })

export function decisionRoutes(api: Api, { app }: ServerContext): void {
  api.get(
    '/api/v1/decisions',
    {
      schema: {
        tags: TAGS,
        summary: 'Decisions, newest first',
        querystring: Type.Object(
          {
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Default 50' })),
            before: Type.Optional(
              Type.Integer({ minimum: 1, description: 'The last number of the page before: goes on with older ones' }),
            ),
            subject: Type.Optional(Type.String({ pattern: WITHOUT_NUL, examples: ['fraud@champion'] })),
            kind: Type.Optional(Type.String({ pattern: WITHOUT_NUL, examples: ['alias.set'] })),
          },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ decisions: Type.Array(Decision) }) },
      },
    },
    async (request) => ({ decisions: await app.decisions.list(request.query) }),
  )

  api.get(
    '/api/v1/decisions/verify',
    {
      schema: {
        tags: TAGS,
        summary: 'Recompute the whole chain of hashes',
        response: {
          200: Type.Union([
            Type.Object({ ok: Type.Literal(true), count: Type.Integer(), head: Type.String() }),
            Type.Object({
              ok: Type.Literal(false),
              number: Type.Integer({ description: 'The first row that is not as it was written' }),
              reason: Type.String(),
            }),
          ]),
        },
      },
    },
    () => app.decisions.verify(),
  )

  api.get(
    '/api/v1/decisions/:id',
    {
      schema: {
        tags: TAGS,
        summary: 'A decision: what it changed, why, and whether it can be undone',
        params: Params,
        response: { 200: Explanation },
      },
    },
    (request) => app.decisions.explain(request.params.id as DecisionId),
  )

  api.post(
    '/api/v1/decisions/:id/undo',
    {
      schema: {
        tags: TAGS,
        summary: 'Put back what a decision replaced',
        description: 'Makes a new decision. Undoing an undo does the change again.',
        params: Params,
        headers: ActorHeaders,
        response: { 200: Decision },
      },
    },
    async (request) => {
      const id = request.params.id as DecisionId
      const { kind, subject } = (await app.decisions.get(id)).change
      const needs = needOfChange(kind)
      // A key's id must match no pattern of names.
      const caller = callerOf(request)
      app.access.check(caller, needs, needs === 'admin' ? undefined : nameIn(subject))
      if (kind.startsWith('key.') && !isOwn(caller, (await app.services.access.get(subject)).tenant))
        throw AccessErrors.KEY_NOT_FOUND({ key: subject })
      return app.undo(id, actorOf(request))
    },
  )
}

/** The model or endpoint of a subject: `fraud@champion`, `fraud/3`, `fraud`. */
function nameIn(subject: string): string {
  return subject.split(/[@/]/, 1)[0]!
}
