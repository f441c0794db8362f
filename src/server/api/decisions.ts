// Decisions: the history of what was changed, why and by whom, and taking a change back.
import Type from 'typebox'
import { AccessErrors, type Caller, isAllowed, isTenantBound } from '../../access/index.js'
import type { DecisionId } from '../../core/index.js'
import type { Decision as MadeDecision } from '../../decisions/index.js'
import type { ServerContext } from '../context.js'
import { ActorHeaders, actorOf, callerOf } from './actor.js'
import { isOwn } from './keys.js'
import { needOfChange } from './needs.js'
import type { Api } from './route.js'
import { Decision, Explanation, NameParam, WITHOUT_NUL } from './schemas.js'

const TAGS = ['Decisions'] as const
const Params = Type.Object({ id: NameParam('Id of a decision') })
const DEFAULT_LIMIT = 50
const PAGE = 1000
/** So many of the newest are looked through for those that a caller may see. */
const MAX_LOOKED_AT = 10_000
/** Kinds of decisions whose subject is an endpoint or a model. */
const ABOUT_NAMES: ReadonlySet<string> = new Set([
  'alias',
  'breaker',
  'cache',
  'endpoint',
  'release',
  'repository',
  'version',
])

export function decisionRoutes(api: Api, { app }: ServerContext): void {
  api.get(
    '/api/v1/decisions',
    {
      schema: {
        tags: TAGS,
        summary: 'Decisions, newest first',
        description: 'Who may view some endpoints and models sees what was decided about these.',
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
    async (request) => {
      const caller = callerOf(request)
      const { limit = DEFAULT_LIMIT, ...query } = request.query
      // Who sees all gets the page as it is; for others it is filled with what they may see.
      if (isAllowed(caller, 'viewer')) return { decisions: await app.decisions.list({ ...query, limit }) }
      const found: MadeDecision[] = []
      let { before } = query
      for (let looked = 0; looked < MAX_LOOKED_AT && found.length < limit; looked += PAGE) {
        const page = await app.decisions.list({ ...query, ...(before !== undefined && { before }), limit: PAGE })
        found.push(...page.filter(({ change }) => mayReadDecision(caller, change.kind, change.subject)))
        if (page.length < PAGE) break
        before = page.at(-1)!.number
      }
      return { decisions: found.slice(0, limit) }
    },
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
    async (request) => {
      const explanation = await app.decisions.explain(request.params.id as DecisionId)
      const caller = callerOf(request)
      const { kind, subject } = explanation.decision.change
      if (!mayReadDecision(caller, kind, subject))
        app.access.check(caller, 'viewer', isAboutNames(kind) ? nameIn(subject) : undefined)
      return explanation
    },
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

/** Decisions about an endpoint or model are for who may view it; all others for who may view the whole project. */
export function mayReadDecision(caller: Caller, kind: string, subject: string): boolean {
  if (isTenantBound(caller)) return false
  return isAllowed(caller, 'viewer') || (isAboutNames(kind) && isAllowed(caller, 'viewer', nameIn(subject)))
}

function isAboutNames(kind: string): boolean {
  return ABOUT_NAMES.has(kind.split('.', 1)[0]!)
}

/** The model or endpoint of a subject: `fraud@champion`, `fraud/3`, `fraud`. */
function nameIn(subject: string): string {
  return subject.split(/[@/]/, 1)[0]!
}
