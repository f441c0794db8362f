// Every route of the server with every kind of caller: nobody gets more than the table says, and no route is missing from it.
import { describe, expect, it } from 'vitest'
import type { Need } from '../../src/access/index.js'
import { ROUTE_NEEDS } from './route-needs.js'
import { bearer, type KeyedServer } from './support.js'

type Caller = 'anonymous' | 'wrong' | 'predictor' | 'viewer' | 'developer' | 'approver' | 'admin'

const CALLERS: readonly Caller[] = ['anonymous', 'wrong', 'predictor', 'viewer', 'developer', 'approver', 'admin']

/** Who is let in, of those with a key. */
const LETS_IN: Readonly<Record<Need | 'open', readonly Caller[]>> = {
  open: CALLERS,
  see: ['predictor', 'viewer', 'developer', 'approver', 'admin'],
  predict: ['predictor', 'developer', 'approver', 'admin'],
  viewer: ['viewer', 'developer', 'approver', 'admin'],
  developer: ['developer', 'approver', 'admin'],
  approver: ['approver', 'admin'],
  admin: ['admin'],
}

async function statusFor(
  server: KeyedServer,
  key: string | undefined,
  method: string,
  path: string,
): Promise<{ status: number; code: unknown }> {
  const stop = new AbortController()
  const isRead = method === 'GET' || method === 'HEAD'
  const response = await fetch(server.url + path, {
    method,
    redirect: 'manual',
    signal: stop.signal,
    headers: { 'content-type': 'application/json', ...(key !== undefined && bearer(key).headers) },
    ...(!isRead && { body: '{"nothing": "that any route takes"}' }),
  })
  const isRefused = response.status === 401 || response.status === 403
  const { code } = (isRefused && method !== 'HEAD' ? await response.json() : {}) as { code?: unknown }
  // Some answers have no end.
  stop.abort()
  if (response.status === 401) expect(response.headers.get('www-authenticate'), path).toBe('Bearer realm="headrace"')
  return { status: response.status, code }
}

/** What nobody who belongs to a tenant may look at, of what a viewer may. */
const OF_ALL_TENANTS = [
  'GET /api/v1/decisions',
  'GET /api/v1/decisions/nothing',
  'POST /api/v1/log/query',
  'GET /v2/models/stats',
  'GET /v2/models/fraud/stats',
  'GET /v2/models/fraud/versions/1/stats',
  'GET /metrics',
  'HEAD /metrics',
]

export function everyRoute(serverOf: () => KeyedServer): void {
  describe('every route', () => {
    it('is in the table with what it needs, and the table has no others', async () => {
      const server = serverOf()
      const reply = await fetch(`${server.url}/api/docs/json`, bearer(server.admin))
      const { paths } = (await reply.json()) as {
        paths: Record<string, Record<string, { 'x-headrace-needs'?: string }>>
      }
      const found = Object.entries(paths).flatMap(([path, operations]) =>
        Object.entries(operations).map(
          ([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const,
        ),
      )
      const needs = Object.fromEntries(
        // Live endpoints are listed by their names beside the routes themselves.
        found
          .filter(([route]) => !/\/(fraud|same|spare)(\/|$)/.test(route))
          .map(([route, operation]) => [route, operation['x-headrace-needs'] ?? 'open']),
      )
      const expected = Object.fromEntries(
        Object.entries(ROUTE_NEEDS).flatMap(([need, routes]) => routes.map((route) => [route, need])),
      )
      expect(needs).toEqual(expected)
    })

    it('answers 401 to whoever has no right key, 403 to whoever may not, and lets the others in', async () => {
      const server = serverOf()
      const keys = new Map<Caller, string>([
        ['admin', server.admin],
        ['wrong', `${server.admin.slice(0, -1)}${server.admin.endsWith('A') ? 'B' : 'A'}`],
        ['predictor', await server.key({ name: 'predictor', predict: ['*'] })],
      ])
      for (const role of ['viewer', 'developer', 'approver'] as const)
        keys.set(role, await server.key({ name: role, role }))
      const wrong: string[] = []
      for (const [need, routes] of Object.entries(ROUTE_NEEDS) as [Need | 'open', readonly string[]][]) {
        await Promise.all(
          routes.map(async (route) => {
            const [method, template] = route.split(' ') as [string, string]
            const path = template.replace(/\{version\}/, '1').replace(/\{\w+\}/g, 'nothing-of-this-name')
            for (const caller of CALLERS) {
              const { status, code } = await statusFor(server, keys.get(caller), method, path)
              const isStranger = caller === 'anonymous' || caller === 'wrong'
              const isLetIn = LETS_IN[need].includes(caller)
              const expected = isLetIn ? 'in' : isStranger ? 401 : 403
              const actual = status === 401 || status === 403 ? status : 'in'
              if (actual !== expected) wrong.push(`${caller}: ${route} is ${status} ${code}, not ${expected}`)
            }
          }),
        )
      }
      expect(wrong).toEqual([])
    })

    it('that shows what all tenants do is not for who belongs to one', async () => {
      const server = serverOf()
      const text = await server.key({ name: 'viewer of a tenant', tenant: 'acme', role: 'viewer' })
      const codes: Record<string, unknown> = {}
      for (const route of OF_ALL_TENANTS) {
        const [method, path] = route.split(' ') as [string, string]
        const { status, code } = await statusFor(server, text, method, path)
        codes[route] = method === 'HEAD' ? status : code
      }
      const expected = OF_ALL_TENANTS.map((route) => [route, route.startsWith('HEAD') ? 403 : 'ACCESS_TENANT_BOUND'])
      expect(codes).toEqual(Object.fromEntries(expected))
    })
  })
}
