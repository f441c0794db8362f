// Explains one prediction: what the log has about it, what served it as it is now, and its steps in sentences.
import Type from 'typebox'
import { AppErrors, endpointView, modelViews } from '../../app/index.js'
import { idTimeMs } from '../../core/index.js'
import { findPrediction } from '../../log/index.js'
import type { ServerContext } from '../context.js'
import { callerOf } from './actor.js'
import { mayRead } from './log.js'
import { predictionSteps } from './prediction-steps.js'
import type { Api } from './route.js'
import { EndpointView, NameParam, VersionView } from './schemas.js'

const Record = Type.Object({ seq: Type.Integer(), id: Type.String(), timeMs: Type.Number() })

export function predictionRoutes(api: Api, { app }: ServerContext): void {
  api.get(
    '/api/v1/predictions/:id',
    {
      schema: {
        tags: ['Predictions'],
        summary: 'What happened to a prediction',
        description: 'The id is in every reply: the header Headrace-Prediction-Id, and "id" of the native call.',
        params: Type.Object({ id: NameParam('Id of a prediction') }),
        response: {
          200: Type.Object({
            id: Type.String(),
            steps: Type.Array(Type.String(), { description: 'What happened, a sentence each' }),
            prediction: Type.Union([Record, Type.Null()], {
              description: 'Its record in the log; null when only later records are left',
            }),
            calls: Type.Array(Record, { description: 'Calls that ended after the reply' }),
            outcomes: Type.Array(Record, { description: 'What became known later' }),
            endpoint: Type.Union([EndpointView, Type.Null()], { description: 'As it is now; null when it is gone' }),
            versions: Type.Array(Type.Intersect([Type.Object({ model: Type.String() }), VersionView]), {
              description: 'The versions it called, as they are now',
            }),
          }),
        },
      },
    },
    async (request) => {
      const { id } = request.params
      // The newest prediction may not be written yet.
      await app.log.flush()
      // Without the time in the id, all of the log would have to be read.
      const trace = idTimeMs(id) === undefined ? undefined : await findPrediction(app.log.folder, id)
      const caller = callerOf(request)
      const isMine =
        trace !== undefined &&
        [trace.prediction ?? [], trace.calls, trace.outcomes].flat().every((record) => mayRead(caller, record))
      // What is another tenant's is not there.
      if (!isMine) throw AppErrors.PREDICTION_NOT_FOUND({ id: id.slice(0, 100) })
      const { prediction, calls, outcomes } = trace
      const name = (prediction ?? calls[0] ?? outcomes[0])?.endpoint
      const called = new Set([...(prediction?.calls ?? []), ...calls.map(({ call }) => call)].map(({ leaf }) => leaf))
      const models = await modelViews(app)
      const endpoint = app.endpoints.list().find((candidate) => candidate.name === name)
      return {
        id,
        steps: predictionSteps(trace),
        prediction: prediction ?? null,
        calls,
        outcomes,
        endpoint: endpoint === undefined ? null : endpointView(endpoint, app),
        versions: models
          .flatMap((model) => model.versions.map((version) => ({ model: model.name, ...version })))
          .filter(({ model, version }) => called.has(`${model}/${version}`)),
      }
    },
  )
}
