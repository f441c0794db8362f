// Releases: from one version to another by a plan, watched, and taken back.
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { startRelease } from '../../app/index.js'
import { type Release, ReleaseErrors } from '../../release/index.js'
import type { ServerContext } from '../context.js'
import { ActorHeaders, actorOf, callerOf } from './actor.js'
import { isViewed } from './enforce.js'
import { shownRelease, shownStatus } from './reduced-release.js'
import { PlanView, ReleaseStatusView, ReleaseView } from './release-schemas.js'
import type { Api } from './route.js'
import { NameParam, VersionNumber, WITHOUT_NUL } from './schemas.js'

const TAGS = ['Releases'] as const
const Params = Type.Object({ id: NameParam("Id of a release, or an endpoint's name: its active or last release") })
const Reason = Type.Optional(
  Type.String({ minLength: 1, maxLength: 500, pattern: WITHOUT_NUL, description: 'Kept with the decision' }),
)
const Revision = Type.Optional(
  Type.Integer({ minimum: 1, description: 'Refused with 409 when the release has another revision meanwhile' }),
)
const Change = Type.Object({ reason: Reason, revision: Revision }, { additionalProperties: false })

/** The endpoints of the releases that requests name: what a caller may do is asked of the endpoint. */
const endpoints = new WeakMap<FastifyRequest, string>()
const endpointOf = (request: FastifyRequest) => endpoints.get(request)

export function releaseRoutes(api: Api, { app }: ServerContext): void {
  const { releases } = app.services
  const findEndpoint = async (request: FastifyRequest) => {
    endpoints.set(request, (await releases.get((request.params as { id: string }).id)).endpoint)
  }

  api.get(
    '/api/v1/releases',
    {
      schema: {
        tags: TAGS,
        summary: 'Releases of the endpoints that the caller may view, newest first',
        description: 'Callers of a tenant see no reasons, and not who started one.',
        querystring: Type.Object(
          {
            endpoint: Type.Optional(Type.String({ pattern: WITHOUT_NUL })),
            state: Type.Optional(Type.Enum(['running', 'paused', 'completed', 'aborted', 'rolled-back'])),
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, description: 'Default 50' })),
          },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ releases: Type.Array(ReleaseView) }) },
      },
    },
    async (request) => {
      const all = await releases.list(request.query as Parameters<typeof releases.list>[0])
      const seen = all.filter(({ endpoint }) => isViewed(request, endpoint))
      return { releases: seen.map((release) => shownRelease(callerOf(request), release)) }
    },
  )

  api.post(
    '/api/v1/releases',
    {
      config: { needs: 'approver', on: (request) => (request.body as { endpoint?: string } | undefined)?.endpoint },
      schema: {
        tags: TAGS,
        summary: 'Start a release',
        description: 'Checks the gates first. Answers when the release has started, which is before it is over.',
        headers: ActorHeaders,
        body: Type.Object(
          {
            endpoint: NameParam('Endpoint whose traffic moves'),
            to: VersionNumber,
            model: Type.Optional(NameParam('Which model, where the route of the endpoint has several')),
            from: Type.Optional(VersionNumber),
            plan: Type.Optional(
              Type.String({
                minLength: 1,
                maxLength: 1000,
                pattern: WITHOUT_NUL,
                description: 'Name or steps; default: the endpoint’s, else standard',
                examples: ['shadow:1h,canary:5%/30m,25%/30m,100%'],
              }),
            ),
            minUnits: Type.Optional(
              Type.Integer({ minimum: 0, maximum: 1_000_000, description: 'Units that each step waits for' }),
            ),
            timeScale: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: 1_000_000,
                description: 'For demonstrations: the time of the plan passes so many times faster',
              }),
            ),
            skipGates: Type.Optional(Type.Boolean({ description: 'Pass by the gates; needs a reason' })),
            reason: Reason,
          },
          { additionalProperties: false },
        ),
        response: { 201: ReleaseView },
      },
    },
    async (request, reply): Promise<Release> => {
      const { skipGates, reason, ...rest } = request.body
      if (skipGates && reason === undefined)
        throw ReleaseErrors.REQUEST_INVALID({ endpoint: rest.endpoint, problem: 'to pass by the gates needs a reason' })
      const release = await startRelease(
        app,
        { ...rest, reason, ...(skipGates && { skipGates: reason }) },
        actorOf(request),
        // An alias is the model's: completion moves it for every endpoint that names it.
        (model) => app.access.check(callerOf(request), 'approver', model),
      )
      void reply.status(201)
      return shownRelease(callerOf(request), release)
    },
  )

  api.get(
    '/api/v1/releases/plans',
    {
      schema: {
        tags: TAGS,
        summary: 'Plans by name: built in, and those of the configuration',
        response: {
          200: Type.Object({
            plans: Type.Array(Type.Object({ name: Type.String(), plan: PlanView, isBuiltIn: Type.Boolean() })),
          }),
        },
      },
    },
    async () => ({ plans: await releases.plans() }),
  )

  api.get(
    '/api/v1/releases/:id',
    {
      config: { needs: 'viewer', on: endpointOf },
      preValidation: findEndpoint,
      schema: {
        tags: TAGS,
        summary: 'A release: how far it is and why, its guards over time, its decisions, and what each node does',
        description:
          'Callers of a tenant see how far it is. What is of the traffic of all tenants is left out: counts, evidence, reasons, and who acted.',
        params: Params,
        response: { 200: ReleaseStatusView },
      },
    },
    async (request) => shownStatus(callerOf(request), await releases.status(request.params.id)),
  )

  api.post(
    '/api/v1/releases/:id/promote',
    {
      config: { needs: 'approver', on: endpointOf },
      preValidation: findEndpoint,
      schema: {
        tags: TAGS,
        summary: 'Go on to the next step, or complete',
        headers: ActorHeaders,
        params: Params,
        body: Type.Object(
          {
            all: Type.Optional(Type.Boolean({ description: 'Complete: all traffic, for good' })),
            reason: Reason,
            revision: Revision,
          },
          { additionalProperties: false },
        ),
        response: { 200: ReleaseView },
      },
    },
    async (request) =>
      shownRelease(callerOf(request), await releases.promote(request.params.id, request.body, actorOf(request))),
  )

  const acts = [
    ['pause', 'Keep the weights as they are: time stands still, guards go on'],
    ['resume', 'Let time go on'],
    ['abort', 'End it: the endpoint serves what it served before'],
    ['rollback', 'End it because of what the candidate did; of one that was ended before, nothing'],
  ] as const
  for (const [act, summary] of acts)
    api.post(
      `/api/v1/releases/:id/${act}`,
      {
        config: { needs: 'approver', on: endpointOf },
        preValidation: findEndpoint,
        schema: {
          tags: TAGS,
          summary,
          headers: ActorHeaders,
          params: Params,
          body: Change,
          response: { 200: ReleaseView },
        },
      },
      async (request) =>
        shownRelease(callerOf(request), await releases[act](request.params.id, request.body, actorOf(request))),
    )
}
