// Gates: checking a version before it takes traffic, profiling it, and people's word on it.
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { isAllowed } from '../../access/index.js'
import { checkVersion, profileVersion } from '../../app/index.js'
import { type ModelName, toHeadraceError, type VersionRef } from '../../core/index.js'
import { GateErrors } from '../../release/index.js'
import type { ServerContext } from '../context.js'
import { ActorHeaders, actorOf, callerOf } from './actor.js'
import { ApprovalView, GateReportView, ProfileView } from './gate-schemas.js'
import type { Api } from './route.js'
import { Decision, NameParam } from './schemas.js'

const TAGS = ['Gates'] as const
const MAX_RUNNING = 4
const RETRY_MS = 5000

const Stream = Type.Optional(
  Type.Boolean({
    description:
      'Answers application/x-ndjson: lines of progress, then one with `result` or `error`. Default false. Closing the connection cancels.',
  }),
)
const VersionParam = Type.String({ pattern: '^[1-9][0-9]{0,8}$', description: 'Version number' })
const AtVersion = Type.Object({
  endpoint: NameParam('Endpoint'),
  model: NameParam('Model'),
  version: VersionParam,
})

export function gateRoutes(api: Api, { app, closing }: ServerContext): void {
  let running = 0

  /** Runs long work for a request: cancelled when the caller goes away or the server closes, with progress when it was asked for. */
  async function answer<T>(
    request: FastifyRequest,
    reply: FastifyReply,
    streams: boolean,
    work: (signal: AbortSignal, progress: (step: string, done: number, total: number) => void) => Promise<T>,
  ): Promise<T | undefined> {
    if (running >= MAX_RUNNING) throw GateErrors.TOO_MANY({ running, retryAfterMs: RETRY_MS })
    const gone = new AbortController()
    const { raw } = reply
    const leave = () => gone.abort()
    raw.once('close', leave)
    const signal = AbortSignal.any([gone.signal, closing])
    let isOpen = false
    const write = (line: object) => {
      if (!isOpen) {
        // Only now, so that what is wrong with the request itself is answered with its own status.
        reply.hijack()
        raw.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' })
        isOpen = true
      }
      if (!raw.destroyed) raw.write(`${JSON.stringify(line)}\n`)
    }
    running++
    try {
      const result = await work(signal, (step, done, total) => {
        if (streams) write({ progress: { step, done, total } })
      })
      if (!streams) return result
      write({ result })
    } catch (thrown) {
      if (!isOpen) throw thrown
      const { code, message, status } = toHeadraceError(thrown)
      request.log.debug({ code }, 'long work failed')
      write({ error: message, code, status })
    } finally {
      running--
      raw.off('close', leave)
    }
    raw.end()
    return undefined
  }

  api.post(
    '/api/v1/gates/reports/:endpoint/:model/:version',
    {
      config: { on: endpointOf },
      schema: {
        tags: TAGS,
        summary: 'Check every gate of an endpoint for a version',
        description:
          'Loads, answers its warm-up, signature, evaluations, latency, memory, approvals. The report is kept as the last of this version and endpoint.',
        params: AtVersion,
        body: Type.Object(
          {
            only: Type.Optional(
              Type.Array(Type.String(), { description: 'Names of gates; then the report is not kept' }),
            ),
            forRelease: Type.Optional(
              Type.Boolean({
                description: 'You will start the release: with four eyes your own approval does not count',
              }),
            ),
            stream: Stream,
          },
          { additionalProperties: false },
        ),
        response: { 200: GateReportView },
      },
    },
    (request, reply) => {
      const { model, version, endpoint } = request.params
      const { only, forRelease, stream = false } = request.body
      const startedBy = forRelease ? actorOf(request) : undefined
      return answer(request, reply, stream, (signal, progress) =>
        checkVersion(app, refOf(model, version), endpoint, {
          signal,
          progress,
          ...(only && { only }),
          ...(startedBy && { startedBy }),
        }),
      )
    },
  )

  api.post(
    '/api/v1/gates/profiles/:model/:version',
    {
      schema: {
        tags: TAGS,
        summary: 'Measure the latency, throughput and memory of a version',
        description: 'Beside the traffic of callers, at low priority. Takes about half a minute.',
        params: Type.Object({ model: NameParam('Model'), version: VersionParam }),
        body: Type.Object(
          {
            batchSizes: Type.Optional(
              Type.Array(Type.Integer({ minimum: 1, maximum: 4096 }), { minItems: 1, maxItems: 20 }),
            ),
            concurrencies: Type.Optional(
              Type.Array(Type.Integer({ minimum: 1, maximum: 256 }), { minItems: 1, maxItems: 20 }),
            ),
            durationMs: Type.Optional(
              Type.Integer({ minimum: 1, maximum: 60_000, description: 'Of each of three repeats; default 300' }),
            ),
            stream: Stream,
          },
          { additionalProperties: false },
        ),
        response: { 200: ProfileView },
      },
    },
    (request, reply) => {
      const { model, version } = request.params
      const { stream = false, batchSizes, concurrencies, durationMs } = request.body
      return answer(request, reply, stream, (signal, progress) =>
        profileVersion(app, refOf(model, version), { signal, progress, batchSizes, concurrencies, durationMs }),
      )
    },
  )

  api.get(
    '/api/v1/gates/reports',
    {
      schema: {
        tags: TAGS,
        summary: 'The last report of each version and endpoint, newest first',
        querystring: Type.Object(
          { endpoint: Type.Optional(Type.String()), model: Type.Optional(Type.String()) },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ reports: Type.Array(GateReportView) }) },
      },
    },
    async (request) => ({ reports: await app.services.gates.reports(request.query) }),
  )

  api.get(
    '/api/v1/gates/reports/:endpoint/:model/:version',
    {
      config: { on: endpointOf },
      schema: {
        tags: TAGS,
        summary: 'The last report of a version for an endpoint',
        params: AtVersion,
        response: { 200: GateReportView },
      },
    },
    async ({ params: { endpoint, model, version } }) => {
      const report = await app.services.gates.report(endpoint, model, Number(version))
      if (report === undefined) throw GateErrors.NO_REPORT({ endpoint, model, version: Number(version) })
      return report
    },
  )

  api.get(
    '/api/v1/gates/approvals/:endpoint/:model/:version',
    {
      config: { on: endpointOf },
      schema: {
        tags: TAGS,
        summary: "People's word on the present content of a version, for an endpoint",
        params: AtVersion,
        response: { 200: Type.Object({ approvals: Type.Array(ApprovalView) }) },
      },
    },
    async ({ params: { endpoint, model, version } }) => {
      const ref = refOf(model, version)
      const digest = app.pool.get(ref)?.digest ?? (await app.source.get(ref)).digest
      return { approvals: await app.services.gates.approvals(endpoint, ref, digest) }
    },
  )

  api.post(
    '/api/v1/gates/approvals/:endpoint/:model/:version',
    {
      config: { needs: 'approver', on: endpointOf },
      schema: {
        tags: TAGS,
        summary: 'Approve or reject a version for an endpoint',
        description:
          'Holds for exactly this content of the version. A later word of the same person takes the place of an earlier one; undoing the decision revokes it.',
        params: AtVersion,
        headers: ActorHeaders,
        body: Type.Object(
          {
            verdict: Type.Enum(['approved', 'rejected']),
            comment: Type.Optional(Type.String({ minLength: 1, maxLength: 1000 })),
          },
          { additionalProperties: false },
        ),
        response: { 200: Decision },
      },
    },
    (request) => {
      const { model, version, endpoint } = request.params
      const { verdict, comment } = request.body
      const caller = callerOf(request)
      const mostOf = () => (isAllowed(caller, 'admin', endpoint) ? 'admin' : 'approver')
      const role = caller.kind === 'anonymous' ? null : mostOf()
      return app.services.gates.decide(
        { verdict, endpoint, ref: refOf(model, version), comment, role },
        actorOf(request),
      )
    },
  )
}

function endpointOf({ params }: FastifyRequest): string {
  return (params as { endpoint: string }).endpoint
}

function refOf(model: string, version: string): VersionRef {
  return { model: model as ModelName, version: Number(version) }
}
