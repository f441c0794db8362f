// Every route the server answers, also those that Fastify never sees: what OpenAPI describes, and how a wrong method (405) is
// told from a wrong path (404).
import type { RouteNeed } from './needs.js'
import type { RouteSchema } from './route.js'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface DescribedRoute {
  readonly method: Method
  /** As OpenAPI writes it: `/v2/models/{model}/infer`. */
  readonly path: string
  /** What callers need. */
  readonly needs: RouteNeed
  readonly schema: RouteSchema
}

export interface Catalogue {
  readonly routes: readonly DescribedRoute[]
  add(route: DescribedRoute): void
  /** A method that is answered but needs no description. */
  allow(method: string, path: string): void
  /** Methods that the path of this URL takes, for the Allow header; empty when there is no such path. */
  allowed(url: string): string[]
}

export function createCatalogue(): Catalogue {
  const routes: DescribedRoute[] = []
  const methodsByPath = new Map<string, { readonly pattern: RegExp; readonly methods: Set<string> }>()

  function allow(method: string, path: string): void {
    const known = methodsByPath.get(path) ?? { pattern: pathPattern(path), methods: new Set() }
    methodsByPath.set(path, known)
    known.methods.add(method)
  }

  return {
    routes,
    allow,
    add(route) {
      routes.push(route)
      allow(route.method, route.path)
    },
    allowed(url) {
      const path = url.split('?', 1)[0]!.replace(/(?<=.)\/$/, '')
      const matching = [...methodsByPath.values()].filter(({ pattern }) => pattern.test(path))
      return [...new Set(matching.flatMap(({ methods }) => [...methods]))].sort()
    },
  }
}

/** `/v1/models/:model(^[^:/]+)::explain` in Fastify's notation as OpenAPI's `/v1/models/{model}:explain`. */
export function openApiPath(fastifyUrl: string): string {
  return fastifyUrl.replace(/::|:(\w+)(?:\([^)]*\))?/g, (_, name?: string) => (name === undefined ? ':' : `{${name}}`))
}

/** Names hold no colon, so `/v1/models/{model}` does not claim `/v1/models/fraud:predict`. */
function pathPattern(path: string): RegExp {
  const literal = path.replace(/[.+*?^$()|[\]\\]/g, '\\$&')
  return new RegExp(`^${literal.replace(/\{\w+\}/g, '[^/:]+')}$`)
}
