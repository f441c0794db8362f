// The one hook that every route behind Fastify passes: who asks, may they, and not too often?
import type { FastifyRequest } from 'fastify'
import { expectNoTenant, isAllowed, isAllowedSomewhere } from '../../access/index.js'
import type { ServerContext } from '../context.js'
import { callerOf } from './actor.js'
import { openApiPath } from './catalogue.js'
import { needOf, shownOfAllTenants } from './needs.js'
import type { Api } from './route.js'

export function enforceAccess(api: Api, { app }: ServerContext): void {
  api.decorateRequest('caller', undefined)
  api.addHook('onRoute', (route) => {
    const methods = Array.isArray(route.method) ? route.method : [route.method]
    const needs = route.config?.needs ?? needOf(methods[0]!, openApiPath(route.url))
    const ofAllTenants = shownOfAllTenants(methods[0]!, openApiPath(route.url))
    route.config = { ...route.config, needs, ofAllTenants }
  })
  api.addHook('onRequest', async (request) => {
    // What no route said is no route: it was answered before.
    const { needs = 'admin', on, ofAllTenants } = request.routeOptions.config
    if (needs === 'open') return
    const caller = await app.access.authenticate(request.headers)
    request.caller = caller
    if (caller.kind !== 'anonymous') nameActor(request, caller.name)
    await caller.meter?.admitRequest()
    const name = (on ?? namedInPath)(request)
    // The name may be in the body, which is read for those alone who may do this with something.
    if (on === undefined || name !== undefined || !isAllowedSomewhere(caller, needs))
      app.access.check(caller, needs, name)
    if (ofAllTenants !== undefined) expectNoTenant(caller, ofAllTenants)
  })
  api.addHook('preHandler', async (request) => {
    const { needs = 'admin', on } = request.routeOptions.config
    if (on !== undefined && needs !== 'open') app.access.check(callerOf(request), needs, on(request))
  })
}

/** Whether a list that this request asks for may name the endpoint or model. */
export function isShown(request: FastifyRequest, name: string): boolean {
  return isAllowed(callerOf(request), 'see', name)
}

/** Whether it may say how the endpoint or model does: more than that it is there. */
export function isViewed(request: FastifyRequest, name: string): boolean {
  return isAllowed(callerOf(request), 'viewer', name)
}

/** What the header says counts on a server without keys only. */
function nameActor({ raw }: FastifyRequest, name: string): void {
  raw.headers['headrace-actor'] = name.replace(/[^\x20-\x7e]/g, '?').slice(0, 128)
}

function namedInPath({ params }: FastifyRequest): string | undefined {
  const { name, model, endpoint } = (params ?? {}) as Readonly<Record<string, string | undefined>>
  return name ?? endpoint ?? model
}
