// Who asks, and who makes a change. Until keys exist a caller says its name in a header, which proves nothing: the server listens on
// loopback only. From then on the name is that of the key or token, whatever the header says.
import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { ANONYMOUS, type Caller, type Need, NOBODY } from '../../access/index.js'
import type { Actor } from '../../decisions/index.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Undefined before the request was authenticated. */
    caller: Caller | undefined
  }
  interface FastifyContextConfig {
    /** What a caller needs; default `viewer` to read and `developer` for everything else. `open`: nothing at all. */
    needs?: Need | 'open'
    /** The endpoint or model that it is needed for, also from the body; default the parameter `name`, `endpoint` or `model` of the path. Undefined: the whole project. */
    on?: (request: FastifyRequest) => string | undefined
    /** What it shows of all tenants together, which who belongs to one may not see. */
    ofAllTenants?: string | undefined
  }
}

export const ActorHeaders = Type.Object({
  'headrace-actor': Type.Optional(
    Type.String({
      pattern: '^[\\x21-\\x7e][\\x20-\\x7e]{0,127}$',
      description: 'Your name, for the record of the decision, on a server without keys; default "anonymous"',
      examples: ['anna'],
    }),
  ),
})

/** Who sends the request, in any handler. */
export function callerOf(request: Pick<FastifyRequest, 'caller'>): Caller {
  return request.caller ?? NOBODY
}

/** Who makes the change that a request asks for. */
export function actorOf(from: Pick<FastifyRequest, 'caller' | 'headers'> | Static<typeof ActorHeaders>): Actor {
  if (!('caller' in from)) return actorFor(ANONYMOUS, from['headrace-actor'])
  return actorFor(callerOf(from), from.headers['headrace-actor'] as string | undefined)
}

export function actorFor(caller: Caller, said: string | undefined): Actor {
  if (caller.kind !== 'anonymous') return { kind: 'person', name: caller.name }
  return { kind: 'person', name: said?.slice(0, 128).replace(/^person:/, '') || 'anonymous' }
}
