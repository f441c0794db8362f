// Faults for tests and drills, one route for each kind. A server that was not started for them refuses.
import Type, { type Static, type TObject, type TProperties } from 'typebox'
import { type Chaos, ChaosErrors, type Fault } from '../../app/index.js'
import type { ServerContext } from '../context.js'
import { ActorHeaders, actorOf } from './actor.js'
import type { Api } from './route.js'
import { NameParam, VersionNumber } from './schemas.js'

const TAGS = ['Chaos'] as const

const FaultView = Type.Object({
  id: Type.String({ description: 'The decision that injected it' }),
  kind: Type.Enum(['delay', 'error', 'hang', 'kill', 'redis', 'disk-full', 'clock-skew']),
  summary: Type.String({ examples: ['delay fraud/2 by 300 ms'] }),
  startedAt: Type.String({ description: 'ISO 8601' }),
  endsAt: Type.String({ description: 'ISO 8601: it heals by itself then' }),
})

const lasting = {
  durationMs: Type.Optional(
    Type.Integer({ minimum: 1, description: 'Until it heals by itself; default 30,000, at most chaos.maxDurationMs' }),
  ),
}
const target = {
  model: NameParam('Model'),
  version: Type.Optional(VersionNumber),
}
const bodyOf = <P extends TProperties>(properties: P) => Type.Object(properties, { additionalProperties: false })

export function chaosRoutes(api: Api, { app }: ServerContext): void {
  const chaos = (): Chaos => {
    if (app.chaos === undefined) throw ChaosErrors.DISABLED()
    return app.chaos
  }

  api.get(
    '/api/v1/chaos',
    {
      schema: {
        tags: TAGS,
        summary: 'Whether faults are taken, and the ones that are active',
        response: { 200: Type.Object({ enabled: Type.Boolean(), faults: Type.Array(FaultView) }) },
      },
    },
    async () => ({ enabled: app.chaos !== undefined, faults: app.chaos?.list() ?? [] }),
  )

  function inject<B extends TObject>(
    path: string,
    summary: string,
    body: B,
    fault: (body: Static<B>) => Fault,
    description = 'It is a decision, it is logged, and it heals by itself.',
  ): void {
    api.post(
      `/api/v1/chaos/${path}`,
      { schema: { tags: TAGS, summary, description, headers: ActorHeaders, body, response: { 200: FaultView } } },
      (request) => {
        const given = request.body as Static<B> & { durationMs?: number }
        return chaos().inject(fault(given), given.durationMs, actorOf(request))
      },
    )
  }

  inject(
    'delay',
    'Make each run of a model take longer',
    bodyOf({ ...target, ms: Type.Number({ exclusiveMinimum: 0, maximum: 600_000 }), ...lasting }),
    ({ model, version = null, ms }) => ({ kind: 'delay', model, version, ms }),
  )
  inject(
    'error',
    'Make runs of a model fail',
    bodyOf({
      ...target,
      rate: Type.Optional(
        Type.Number({ exclusiveMinimum: 0, maximum: 1, description: 'Share of the runs that fail; default 1' }),
      ),
      ...lasting,
    }),
    ({ model, version = null, rate = 1 }) => ({ kind: 'error', model, version, rate }),
  )
  inject(
    'hang',
    'Make runs of a model never end, until it is healed',
    bodyOf({ ...target, ...lasting }),
    ({ model, version = null }) => ({ kind: 'hang', model, version }),
  )
  inject(
    'kill/thread',
    'End the thread or process that runs a model',
    bodyOf(target),
    ({ model, version = null }) => ({ kind: 'kill', what: 'thread', model, version, pid: process.pid }),
    'It is a decision and it is logged. It is started again by itself.',
  )
  inject(
    'kill/worker',
    'Kill a worker process of a server with several',
    bodyOf({}),
    () => ({ kind: 'kill', what: 'worker', model: null, version: null, pid: process.pid }),
    'It is a decision and it is logged. The process that answered this call is killed (SIGKILL) and started again by the primary.',
  )
  inject(
    'redis',
    'Drop or slow the connections to Redis',
    bodyOf({
      mode: Type.Union([Type.Literal('drop'), Type.Literal('slow')]),
      ms: Type.Optional(Type.Number({ minimum: 0, maximum: 600_000, description: 'Of slow; default 1,000' })),
      ...lasting,
    }),
    ({ mode, ms = 1000 }) => ({ kind: 'redis', mode, ms: mode === 'slow' ? ms : 0 }),
  )
  inject('disk-full', 'Make writes of the log and of the metadata store fail', bodyOf(lasting), () => ({
    kind: 'disk-full',
  }))
  inject(
    'clock-skew',
    'Put the clock wrong',
    bodyOf({
      ms: Type.Number({ description: 'By how much; below zero is into the past, which only the wall clock can go' }),
      clock: Type.Optional(
        Type.Union([Type.Literal('wall'), Type.Literal('monotonic')], {
          description: 'Default wall. A jump of the monotonic clock stays when the fault is over',
        }),
      ),
      ...lasting,
    }),
    ({ ms, clock = 'wall' }) => ({ kind: 'clock-skew', ms, clock }),
  )

  const healed = { 200: Type.Object({ healed: Type.Integer() }) }
  api.delete(
    '/api/v1/chaos/faults',
    { schema: { tags: TAGS, summary: 'Heal every fault', headers: ActorHeaders, response: healed } },
    async (request) => ({ healed: await chaos().heal(undefined, actorOf(request)) }),
  )
  api.delete(
    '/api/v1/chaos/faults/:id',
    {
      schema: {
        tags: TAGS,
        summary: 'Heal a fault before its time',
        params: Type.Object({ id: NameParam('Id of a fault') }),
        headers: ActorHeaders,
        response: healed,
      },
    },
    async (request) => ({ healed: await chaos().heal(request.params.id, actorOf(request)) }),
  )
}
