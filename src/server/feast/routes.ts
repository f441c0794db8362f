// Feast's feature server, for its client with `online_store: {type: remote, path: http://host:8080/feast}`. What Feast's own server does
// otherwise (old values overwrite newer ones, the time to live is not looked at, a wrong key is a 500) is done right here.
import type { FastifyReply } from 'fastify'
import Type from 'typebox'
import { deserializeError } from '../../core/index.js'
import {
  type CompiledView,
  FeatureErrors,
  type FeatureOperations,
  type FeatureProject,
  type JobView,
  planOf,
  type ReadPlan,
  type ServedFeatures,
} from '../../features/index.js'
import type { JsonValue } from '../../tensor/index.js'
import type { Api } from '../api/route.js'
import type { ServerContext } from '../context.js'
import { sendJson } from '../reply.js'
import { type AskedKeys, answerText } from './answer.js'
import {
  columnsOf,
  flagOf,
  type Members,
  membersOf,
  optionalText,
  readFeastBodies,
  rowsOf,
  textOf,
  textsOf,
  timeOf,
} from './body.js'
import { FeastErrors } from './errors.js'
import { answerAsFeast } from './failures.js'
import { type Asked, askedByReference, askedByService, viewOf } from './features.js'

const TAGS = ['Feast'] as const

/** Feast's client waits for as long as it takes; the store is given up before that. */
const BUDGET_MS = 2000
/** Plans of references that were asked for lately. */
const MAX_PLANS = 500
const JOB_POLL_MS = 20

interface Planned {
  readonly asked: Asked
  readonly plan: ReadPlan
}

export function feastRoutes(api: Api, context: ServerContext): void {
  const { app } = context
  const { clock } = app.platform
  readFeastBodies(api, context)
  answerAsFeast(api, context)
  const plans = new Map<string, Planned>()

  function featuresOf(): NonNullable<typeof app.features> {
    if (app.features === undefined) throw FeatureErrors.NONE_DEFINED()
    return app.features
  }

  function planned(members: Members): Planned {
    const { project } = featuresOf()
    const service = optionalText(members, 'feature_service')
    const references = textsOf(members, 'features') ?? []
    const hasFullNames = flagOf(members, 'full_feature_names')
    if (service === undefined && references.length === 0)
      throw FeastErrors.BODY_INVALID({
        member: 'features',
        expected: 'a list of "view:feature", or "feature_service" a name',
      })
    const id = JSON.stringify([service ?? references, hasFullNames])
    let found = plans.get(id)
    if (found === undefined) {
      const asked =
        service === undefined
          ? askedByReference(project, references, hasFullNames)
          : askedByService(project, service, hasFullNames)
      found = { asked, plan: planOf([asked.service]) }
      if (plans.size >= MAX_PLANS) plans.clear()
      plans.set(id, found)
    }
    return found
  }

  async function read(members: Members): Promise<string> {
    const { project, reader } = featuresOf()
    const { asked, plan } = planned(members)
    const { rows, byName } = columnsOf(members, 'entities')
    const keys = new Map<string, readonly (string | number | bigint)[]>()
    const given = new Map<string, readonly JsonValue[]>()
    const echoed: AskedKeys[] = []
    for (const [column, values] of byName) {
      const isRequest = plan.request.some((one) => one.name === column)
      const name = isRequest ? column : keyOf(project, column)
      if (isRequest) given.set(name, values)
      else {
        reader.checkKeyName(name)
        keys.set(name, values as readonly (string | number | bigint)[])
      }
      echoed.push({ name, values })
    }
    const served = await reader.read(plan, { rows, keys, given, atMs: clock.nowMs(), budgetMs: BUDGET_MS })
    refuseDeadStore(served)
    return answerText(asked, served, echoed, flagOf(members, 'include_feature_view_version_metadata'))
  }

  api.post(
    '/feast/get-online-features',
    {
      schema: {
        tags: TAGS,
        summary: 'Features of entities, as Feast answers them',
        description:
          'Columns by feature, join keys first, with a status (PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE) and the time of the row. What is not there is null: defaults are for predictions.',
        body: GetOnlineFeatures,
        response: { 200: OnlineFeatures },
      },
      // The handlers look at bodies themselves: their errors have Feast's shape.
      validatorCompiler: () => () => true,
    },
    async (request, reply) => {
      const body = await read(membersOf(request.body))
      reply.hijack()
      sendJson(reply.raw, 200, body)
    },
  )

  api.post(
    '/feast/push',
    {
      schema: {
        tags: TAGS,
        summary: 'Events of a push source',
        description:
          'One event a row. They are kept for training sets and counted online, whatever "to" says: both are one history here.',
        body: Push,
        response: { 200: Type.Object({}) },
      },
      validatorCompiler: () => () => true,
    },
    async (request) => {
      const members = membersOf(request.body)
      const source = textOf(members, 'push_source_name')
      const to = optionalText(members, 'to') ?? 'online'
      if (!PUSH_TO.includes(to)) throw FeastErrors.BODY_INVALID({ member: 'to', expected: PUSH_TO.join(', ') })
      const { project, operations } = featuresOf()
      const rows = rowsOf(columnsOf(members, 'df'))
      const known = project.sources.get(source)
      const eventTime = known !== undefined && 'lateness' in known ? known.eventTime : known?.eventTime
      if (eventTime !== undefined && eventTime !== FEAST_TIME)
        for (const row of rows) row[eventTime] ??= row[FEAST_TIME] ?? null
      const report = await operations.push(source, rows)
      if (report.accepted === 0 && report.refused > 0)
        throw FeastErrors.EVENTS_REFUSED({
          source,
          refused: report.refused,
          problem: report.problems[0]?.problem ?? '',
        })
      return report
    },
  )

  api.post(
    '/feast/write-to-online-store',
    {
      schema: {
        tags: TAGS,
        summary: 'Rows of a feature view',
        description:
          'Keys, features, event_timestamp and created by column. A row that is older than the one there changes nothing. Views of aggregations are computed from events and cannot be written.',
        body: Write,
        response: { 200: Type.Null() },
      },
      validatorCompiler: () => () => true,
    },
    async (request, reply) => {
      const members = membersOf(request.body)
      const { project, operations } = featuresOf()
      const view = viewOf(project, textOf(members, 'feature_view_name'))
      const columns = columnsOf(members, 'df')
      await operations.writeRows(view.name, rowsOf(columns))
      return nothing(reply)
    },
  )

  api.post(
    '/feast/materialize',
    {
      schema: {
        tags: TAGS,
        summary: 'Fill the online store again',
        description:
          'Everything that was known at end_ts, into tables beside the live ones, which are then switched to. start_ts is checked and makes no difference: what is served does not depend on it. ?async=true answers 202 at once, 409 when a view is being materialised already.',
        querystring: AsyncQuery,
        body: Materialize,
        response: { 200: Type.Null(), 202: Accepted },
      },
      validatorCompiler: () => () => true,
    },
    async (request, reply) => {
      const members = membersOf(request.body)
      if (flagOf(members, 'disable_event_timestamp')) return materialise(members, true, undefined, request.query, reply)
      const [startMs, endMs] = [timeOf(members, 'start_ts'), timeOf(members, 'end_ts')]
      if (startMs >= endMs) throw FeastErrors.BODY_INVALID({ member: 'start_ts', expected: 'before end_ts' })
      return materialise(members, true, endMs, request.query, reply)
    },
  )

  api.post(
    '/feast/materialize-incremental',
    {
      schema: {
        tags: TAGS,
        summary: 'Bring the online store up to a moment',
        description: 'Takes in what became known since the last time, rows that came late included.',
        querystring: AsyncQuery,
        body: Materialize,
        response: { 200: Type.Null(), 202: Accepted },
      },
      validatorCompiler: () => () => true,
    },
    async (request, reply) => {
      const members = membersOf(request.body)
      return materialise(members, false, timeOf(members, 'end_ts'), request.query, reply)
    },
  )

  async function materialise(
    members: Members,
    full: boolean,
    untilMs: number | undefined,
    query: { readonly async?: unknown },
    reply: FastifyReply,
  ): Promise<unknown> {
    const { project, operations } = featuresOf()
    const views = textsOf(members, 'feature_views')?.map((name) => viewOf(project, name).name)
    const version = optionalText(members, 'version')
    for (const name of version === undefined ? [] : (views ?? [])) {
      const view = viewOf(project, name)
      if (version !== `v${view.version}`)
        throw FeastErrors.VIEW_VERSION({ view: name, asked: version!, version: view.version })
    }
    const until = untilMs === undefined || untilMs >= clock.nowMs() ? {} : { untilMs }
    const job = await operations.materialise({ ...(views === undefined ? {} : { views }), full, ...until })
    if (String(query.async) === 'true') {
      const names = views ?? [...project.views.values()].filter(isMaterialised).map(({ name }) => name)
      return reply.code(202).send({ status: 'accepted', feature_views: names })
    }
    await ended(operations, job)
    return nothing(reply)
  }

  async function ended(operations: FeatureOperations, started: JobView): Promise<void> {
    let job = started
    while (job.state === 'running') {
      await new Promise<void>((resolve) => clock.after(JOB_POLL_MS, resolve))
      job = await operations.job(job.id)
    }
    if (job.error !== null) throw deserializeError(job.error)
  }

  api.get(
    '/feast/health',
    { schema: { tags: TAGS, summary: 'Whether features can be read', response: { 200: Type.Null() } } },
    async (_request, reply) => {
      const { store } = await featuresOf().operations.status()
      reply.hijack()
      reply.raw.writeHead(store.isReachable ? 200 : 503, { 'Content-Length': '0' })
      reply.raw.end()
    },
  )
}

const FEAST_TIME = 'event_timestamp'
const PUSH_TO: readonly string[] = ['online', 'offline', 'online_and_offline']

/** Feast takes the name of an entity for that of its only key. */
function keyOf({ entities }: FeatureProject, column: string): string {
  const keys = Object.keys(entities.get(column)?.keys ?? {})
  return keys.length === 1 ? keys[0]! : column
}

/** A caller of Feast's has no flags to tell a default by: it is told that there is nothing to read. */
function refuseDeadStore({ hasDefaults, gaps, sources }: ServedFeatures): void {
  if (!hasDefaults) return
  for (let column = 0; column < gaps.length; column++) {
    const at = gaps[column]!.findIndex(
      (gap, row) => (gap === 'timeout' || gap === 'store-down') && sources[column]![row] === 'default',
    )
    if (at === -1) continue
    throw FeatureErrors.STORE_UNAVAILABLE({
      reason: gaps[column]![at] === 'timeout' ? 'it took too long' : 'it is down',
    })
  }
}

function isMaterialised({ online, source }: CompiledView): boolean {
  return online && source !== undefined
}

/** What Feast's server answers where there is nothing to say. */
function nothing(reply: FastifyReply): undefined {
  reply.hijack()
  sendJson(reply.raw, 200, 'null')
}

const Frame = Type.Record(Type.String(), Type.Array(Type.Unknown()), { description: 'A list of values by column' })
const GetOnlineFeatures = Type.Object({
  entities: Frame,
  features: Type.Optional(Type.Array(Type.String(), { description: '"view:feature"' })),
  feature_service: Type.Optional(Type.String()),
  full_feature_names: Type.Optional(Type.Boolean({ description: 'Answer with "view__feature"' })),
  include_feature_view_version_metadata: Type.Optional(Type.Boolean()),
})
const OnlineFeatures = Type.Object({
  metadata: Type.Object({ feature_names: Type.Array(Type.String()) }),
  results: Type.Array(
    Type.Object({
      values: Type.Array(Type.Unknown()),
      statuses: Type.Array(Type.String()),
      event_timestamps: Type.Array(Type.String()),
    }),
  ),
})
const Push = Type.Object({
  push_source_name: Type.String(),
  df: Frame,
  to: Type.Optional(Type.Enum(['online', 'offline', 'online_and_offline'])),
})
const Write = Type.Object({ feature_view_name: Type.String(), df: Frame })
const Materialize = Type.Object({
  start_ts: Type.Optional(Type.String({ description: 'ISO 8601' })),
  end_ts: Type.Optional(Type.String({ description: 'ISO 8601' })),
  feature_views: Type.Optional(Type.Array(Type.String(), { description: 'Default: all that have a batch source' })),
  disable_event_timestamp: Type.Optional(Type.Boolean()),
  version: Type.Optional(Type.String({ description: '"v2"' })),
})
const AsyncQuery = Type.Object({ async: Type.Optional(Type.String()), force: Type.Optional(Type.String()) })
const Accepted = Type.Object({ status: Type.String(), feature_views: Type.Array(Type.String()) })
