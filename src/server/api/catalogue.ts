// Every route the server answers, also those that Fastify never sees: what OpenAPI describes, and how a wrong method (405) is
// told from a wrong path (404).
import type { RouteSchema } from './route.js'

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

export interface DescribedRoute {
  readonly method: Method
  /** As OpenAPI writes it: `/v2/models/{model}/infer`. */
  readonly path: string
  readonly schema: RouteSchema
}

export interface Catalogue {
  readonly routes: readonly DescribedRoute[]
  add(route: DescribedRoute): void
  /** Methods that the path of this URL takes, for the Allow header; empty when there is no such path. */
  allowed(url: string): string[]
}

export function createCatalogue(): Catalogue {
  const routes: DescribedRoute[] = []
  const methodsByPath = new Map<string, { readonly pattern: RegExp; readonly methods: Method[] }>()
  return {
    routes,
    add(route) {
      routes.push(route)
      const known = methodsByPath.get(route.path)
      if (known) known.methods.push(route.method)
      else methodsByPath.set(route.path, { pattern: pathPattern(route.path), methods: [route.method] })
    },
    allowed(url) {
      const path = url.split('?', 1)[0]!.replace(/(?<=.)\/$/, '')
      const methods = new Set<string>()
      for (const entry of methodsByPath.values()) {
        if (!entry.pattern.test(path)) continue
        for (const method of entry.methods) methods.add(method)
      }
      if (methods.has('GET')) methods.add('HEAD')
      return [...methods].sort()
    },
  }
}

/** `/v1/models/:model(^[^:/]+$)` in Fastify's notation as OpenAPI's `/v1/models/{model}`. */
export function openApiPath(fastifyUrl: string): string {
  return fastifyUrl.replace(/:(\w+)(?:\([^)]*\))?/g, '{$1}')
}

/** Names hold no colon, so `/v1/models/{model}` does not claim `/v1/models/fraud:predict`. */
function pathPattern(path: string): RegExp {
  const literal = path.replace(/[.+*?^$()|[\]\\]/g, '\\$&')
  return new RegExp(`^${literal.replace(/\{\w+\}/g, '[^/:]+')}$`)
}
