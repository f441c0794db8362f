// The one hook that every route behind Fastify passes: who asks, and may they?
import type { FastifyRequest } from 'fastify'
import type { ServerContext } from '../context.js'
import type { Api } from './route.js'

export function enforceAccess(api: Api, { app }: ServerContext): void {
  api.decorateRequest('caller', undefined)
  api.addHook('onRequest', async (request) => {
    const { needs = defaultNeed(request.method), on = namedInPath } = request.routeOptions.config
    if (needs === 'open') return
    const caller = await app.access.authenticate(request.headers)
    request.caller = caller
    if (caller.kind !== 'anonymous') nameActor(request, caller.name)
    app.access.check(caller, needs, on(request))
  })
}

/** What the header says counts on a server without keys only. */
function nameActor({ raw }: FastifyRequest, name: string): void {
  raw.headers['headrace-actor'] = name.replace(/[^\x20-\x7e]/g, '?').slice(0, 128)
}

function defaultNeed(method: string): 'viewer' | 'developer' {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS' ? 'viewer' : 'developer'
}

function namedInPath({ params }: FastifyRequest): string | undefined {
  const { name, model, endpoint } = params as Readonly<Record<string, string | undefined>>
  return name ?? model ?? endpoint
}
