// What this server is and how it is doing, for people, the CLI and the console.
import { basename } from 'node:path'
import Type from 'typebox'
import { modelViews } from '../../app/index.js'
import type { ServerContext } from '../context.js'
import { packageVersion } from './package-version.js'
import type { Api } from './route.js'
import { orNull } from './schemas.js'

const Status = Type.Object({
  name: Type.String({ description: 'Name of the project' }),
  version: Type.String({ description: 'Of Headrace' }),
  ready: Type.Boolean(),
  startedAt: Type.String({ description: 'ISO 8601' }),
  uptimeSeconds: Type.Number(),
  url: orNull('string', { description: 'As the caller reached it' }),
  models: Type.Integer(),
  endpoints: Type.Integer(),
  log: Type.Object({
    durableThrough: Type.Integer({ description: 'Position of the last record that survives power loss' }),
  }),
  pid: Type.Integer({ description: 'Of the process to stop' }),
  processes: Type.Integer({ description: 'That serve the port' }),
  worker: orNull('integer', { description: 'Which of several processes answers, counted from 1' }),
})

export function statusRoutes(api: Api, { app }: ServerContext): void {
  const { clock } = app.platform
  const startedAt = new Date(clock.nowMs()).toISOString()
  const startedMs = clock.monotonicMs()
  const name = app.project.config.name ?? basename(app.project.root)

  api.get(
    '/api/v1/status',
    { schema: { tags: ['Server'], summary: 'What this server is and how it is doing', response: { 200: Status } } },
    async (request) => ({
      name,
      version: packageVersion,
      ready: app.isReady(),
      startedAt,
      uptimeSeconds: Math.round(clock.monotonicMs() - startedMs) / 1000,
      url: request.headers.host === undefined ? null : `http://${request.headers.host}`,
      models: (await modelViews(app)).length,
      endpoints: app.endpoints.list().length,
      log: { durableThrough: app.log.durableThrough() },
      pid: app.peers?.pid ?? process.pid,
      processes: app.peers?.processes ?? 1,
      worker: app.peers?.number ?? null,
    }),
  )
}
