// The log: SQL over it, and following it.
import Type from 'typebox'
import { type Caller, isAllowed, isTenantBound } from '../../access/index.js'
import { queryLog, type StoredRecord } from '../../log/index.js'
import type { ServerContext } from '../context.js'
import { callerOf } from './actor.js'
import { mayReadDecision } from './decisions.js'
import { followLog } from './log-tail.js'
import type { Api } from './route.js'

const TAGS = ['Log'] as const
const DEFAULT_ROWS = 1000

export function logRoutes(api: Api, { app, closing }: ServerContext): void {
  api.post(
    '/api/v1/log/query',
    {
      schema: {
        tags: TAGS,
        summary: 'SQL over the log',
        description: 'One SELECT, as DuckDB understands it. Views: predictions, calls, outcomes, decisions, records.',
        body: Type.Object(
          {
            sql: Type.String({
              minLength: 1,
              maxLength: 100_000,
              examples: ['SELECT endpoint, count(*) AS n FROM predictions GROUP BY ALL'],
            }),
            limit: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: 10_000,
                description: `Rows returned at most; default ${DEFAULT_ROWS}`,
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            columns: Type.Array(Type.Object({ name: Type.String(), type: Type.String() })),
            rows: Type.Array(Type.Array(Type.Unknown())),
            truncated: Type.Boolean({ description: 'There were more rows than the limit' }),
          }),
        },
      },
    },
    async (request, reply) => {
      const { sql, limit = DEFAULT_ROWS } = request.body
      await app.log.flush()
      const gone = new AbortController()
      reply.raw.once('close', () => gone.abort())
      return queryLog(app.log.folder, sql, { maxRows: limit, signal: gone.signal })
    },
  )

  api.get(
    '/api/v1/log/tail',
    {
      // A body that nobody reads would be followed all the same.
      exposeHeadRoute: false,
      schema: {
        tags: TAGS,
        summary: 'Follow the log: a JSON record per line, without an end',
        querystring: Type.Object(
          {
            from: Type.Optional(
              Type.Union([Type.Literal('now'), Type.String({ pattern: '^\\d{1,15}$' })], {
                description: '"now" (default) or the position of the first record',
              }),
            ),
            limit: Type.Optional(Type.Integer({ minimum: 1, description: 'Ends after so many records' })),
          },
          { additionalProperties: false },
        ),
        produces: 'application/x-ndjson',
        response: { 200: Type.String() },
      },
    },
    (request, reply) => {
      const { from = 'now', limit = Number.POSITIVE_INFINITY } = request.query
      const position = from === 'now' ? app.log.durableThrough() + 1 : Number(from)
      reply.hijack()
      let caller = callerOf(request)
      // Its key may expire, or be revoked, while it follows.
      const isLetIn = async () => {
        try {
          caller = await app.access.authenticate(request.headers)
          return true
        } catch {
          return false
        }
      }
      followLog(app.log, position, limit, reply.raw, closing, { isLetIn, mayRead: (record) => mayRead(caller, record) })
    },
  )
}

/** Records of the caller's own tenant, and of endpoints that it may look at; decisions about these. */
export function mayRead(caller: Caller, record: StoredRecord): boolean {
  if (!('tenant' in record)) return mayReadDecision(caller, record.change, record.subject)
  if (isTenantBound(caller) && record.tenant !== caller.tenant) return false
  return isAllowed(caller, 'viewer', record.endpoint)
}
