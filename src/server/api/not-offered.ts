// What Triton has and this server has no use for: shared memory, tracing and log settings. Asking for their state is answered, so that
// tools which look at everything go on; changing it is refused. gRPC's RPCs of the kind do the same.
import Type from 'typebox'
import type { ServerContext } from '../context.js'
import { HttpErrors } from '../errors.js'
import { sendText } from './oip.js'
import type { Api } from './route.js'
import { ErrorReply } from './schemas.js'

const TAGS = ['Not offered'] as const
const MEMORY = 'tensors are taken from the request and not from memory shared with the client'
const SETTINGS = 'it is set in the configuration of the server'
const RegionParams = Type.Object({ region: Type.String() })
const ModelParams = Type.Object({ model: Type.String() })
const Regions = Type.Array(Type.Object({}))
const Settings = Type.Object({})
const refused = { tags: TAGS, summary: 'Always 501', response: { 501: ErrorReply } } as const

export function notOfferedRoutes(api: Api, _context: ServerContext): void {
  for (const kind of ['systemsharedmemory', 'cudasharedmemory'] as const) {
    const summary = `No region: ${kind} is not offered`
    const response = { 200: Regions }
    api.get(`/v2/${kind}/status`, { schema: { tags: TAGS, summary, response } }, (_request, reply) =>
      sendText(reply, '[]'),
    )
    api.get(
      `/v2/${kind}/region/:region/status`,
      { schema: { tags: TAGS, summary, params: RegionParams, response } },
      (_request, reply) => sendText(reply, '[]'),
    )
    api.post(`/v2/${kind}/region/:region/register`, { schema: { ...refused, params: RegionParams } }, async () =>
      refuse(`Registering a region of ${kind}`, MEMORY),
    )
    // Clients unregister everything before they begin.
    const nothing = { summary: 'Nothing to unregister', response: { 200: Type.Object({}) } }
    api.post(`/v2/${kind}/unregister`, { schema: { tags: TAGS, ...nothing } }, (_request, reply) =>
      sendText(reply, '{}'),
    )
    api.post(
      `/v2/${kind}/region/:region/unregister`,
      { schema: { tags: TAGS, params: RegionParams, ...nothing } },
      (_request, reply) => sendText(reply, '{}'),
    )
  }

  const noSettings = { tags: TAGS, summary: 'No settings', response: { 200: Settings } }
  api.get('/v2/logging', { schema: noSettings }, (_request, reply) => sendText(reply, '{}'))
  api.post('/v2/logging', { schema: refused }, async () => refuse('Changing the log', SETTINGS))
  api.get('/v2/trace/setting', { schema: noSettings }, (_request, reply) => sendText(reply, '{}'))
  api.post('/v2/trace/setting', { schema: refused }, async () => refuse('Changing traces', SETTINGS))
  const ofModel = { params: ModelParams }
  api.get('/v2/models/:model/trace/setting', { schema: { ...noSettings, ...ofModel } }, (_request, reply) =>
    sendText(reply, '{}'),
  )
  api.post('/v2/models/:model/trace/setting', { schema: { ...refused, ...ofModel } }, async () =>
    refuse('Changing traces', SETTINGS),
  )
}

function refuse(what: string, reason: string): never {
  throw HttpErrors.NOT_OFFERED({ what, reason })
}
