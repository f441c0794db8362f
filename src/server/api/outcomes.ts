// Outcomes: what turned out later about predictions. They join the predictions in the log, where guards, quality and training sets read them.
import Type from 'typebox'
import type { OutcomeRecord } from '../../log/index.js'
import type { ServerContext } from '../context.js'
import { callerOf } from './actor.js'
import type { Api } from './route.js'
import { NameParam, WITHOUT_NUL } from './schemas.js'

/** Of one request. */
const MOST = 1000

const Outcome = Type.Object(
  {
    prediction: Type.String({
      pattern: '^[\\x21-\\x7e]{1,160}$',
      description: 'Id of a prediction, or id#row for one row of several, counted from 0',
    }),
    name: Type.String({ minLength: 1, maxLength: 128, pattern: WITHOUT_NUL, examples: ['chargeback'] }),
    value: Type.Union([Type.Boolean(), Type.Number(), Type.String({ maxLength: 1024 })]),
    happenedMs: Type.Optional(
      Type.Integer({ minimum: 0, description: 'When it happened, milliseconds since 1970; default now' }),
    ),
  },
  { additionalProperties: false },
)

export function outcomeRoutes(api: Api, { app }: ServerContext): void {
  const { clock, ids } = app.platform
  api.post(
    '/api/v1/outcomes/:endpoint',
    {
      config: { needs: 'predict' },
      schema: {
        tags: ['Predictions'],
        summary: 'Tell what turned out about predictions',
        description:
          'Answered once the outcomes are in the log for good. It is not checked that the predictions are (still) there. After a 503, send all of them again.',
        params: Type.Object({ endpoint: NameParam('Endpoint that made the predictions') }),
        body: Type.Object(
          { outcomes: Type.Array(Outcome, { minItems: 1, maxItems: MOST }) },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ taken: Type.Integer() }) },
      },
    },
    async (request) => {
      const endpoint = app.endpoints.get(request.params.endpoint).name
      const { tenant } = callerOf(request)
      const knownMs = clock.nowMs()
      const { outcomes } = request.body
      const positions = outcomes.map(({ prediction, name, value, happenedMs = knownMs }) => {
        const record: OutcomeRecord = {
          kind: 'outcome',
          id: ids.next(),
          timeMs: knownMs,
          prediction,
          endpoint,
          tenant,
          name,
          value,
          happenedMs,
          knownMs,
        }
        return app.log.append(record)
      })
      await Promise.all(positions.map((position) => app.log.whenDurable(position)))
      return { taken: outcomes.length }
    },
  )
}
