// The endpoints there are: declared in the configuration, pointed by decisions, or implied by a model's name.
import type { EndpointName, ModelName } from '../core/index.js'
import type { LogPolicy } from '../log/index.js'
import { type Endpoint, type EndpointConfig, endpointSchema, PathErrors } from '../path/index.js'
import { type ActiveRelease, type ReleaseTarget, releaseTree } from '../release/index.js'
import { compileRoute, RouteErrors, type RouteNode, type VersionLeaf } from '../route/index.js'
import { cachePolicy } from '../serving/index.js'
import { type Aliases, implicitRoute } from './versions.js'

export type EndpointOrigin = 'declared' | 'pointed' | 'implicit'

export interface Endpoints {
  /** Throws PATH_ENDPOINT_NOT_FOUND. */
  get(name: string): Endpoint
  /** By name. */
  list(): Endpoint[]
  origin(name: string): EndpointOrigin
  /** What there is now: the models, and the endpoints that decisions point at a version. */
  replace(
    models: Iterable<ModelName>,
    pointers: ReadonlyMap<string, VersionLeaf>,
    releases?: readonly ActiveRelease[],
    targets?: readonly ReleaseTarget[],
  ): void
  /** The route of an endpoint as the configuration or a decision says it, without what releases make of it. */
  plain(name: string): RouteNode | undefined
}

/** What each endpoint asks of the log, whether or not it is declared. */
export function logPolicyOf(declared: Readonly<Record<string, EndpointConfig>>): (name: string) => LogPolicy {
  const defaults = endpointSchema.omit({ route: true }).parse({})
  return (name) => (declared[name] ?? defaults).log
}

export function createEndpoints(declared: Readonly<Record<string, EndpointConfig>>, aliases: Aliases): Endpoints {
  const defaults = endpointSchema.omit({ route: true }).parse({})
  const origins = new Map<string, EndpointOrigin>()
  /** What the table was built from: most of a thousand endpoints stay as they are when a model comes. */
  const sources = new Map<string, RouteNode>()
  let table = new Map<string, Endpoint>()
  let plains = new Map<string, RouteNode>()

  function build(name: string, route: RouteNode): Endpoint {
    const { deadlineMs, log, priority, cache, features } = declared[name] ?? defaults
    const compiled = compileRoute(route)
    if (compiled.hasLastKnown && (cache === undefined || cache.staleMs === 0))
      throw RouteErrors.INVALID({
        where: `endpoints.${name}`,
        problem: "lastKnown() has nothing to give: set the endpoint's cache, with a staleMs above 0",
      })
    return {
      name: name as EndpointName,
      route: compiled,
      deadlineMs,
      ack: log.ack,
      priority,
      features,
      cache: cache && cachePolicy(name, cache),
    }
  }

  const endpoints: Endpoints = {
    get(name) {
      const endpoint = table.get(name)
      if (endpoint) return endpoint
      throw PathErrors.ENDPOINT_NOT_FOUND({ name: name.slice(0, 128), known: [...table.keys()].sort() })
    },
    list: () => [...table.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    origin: (name) => origins.get(name) ?? 'implicit',
    plain: (name) => plains.get(name),
    replace(models, pointers, releases = [], targets = []) {
      const routes = new Map<string, [EndpointOrigin, RouteNode]>()
      for (const model of models) routes.set(model, ['implicit', implicitRoute(model, aliases)])
      for (const [name, { route }] of Object.entries(declared)) routes.set(name, ['declared', route])
      for (const [name, leaf] of pointers) routes.set(name, ['pointed', leaf])
      const next = new Map<string, Endpoint>()
      origins.clear()
      plains = new Map([...routes].map(([name, [, route]]) => [name, route]))
      for (const [name, [origin, plain]] of routes) {
        const route = releaseTree(name, plain, releases, targets)
        const before = sources.get(name)
        const isSame = before !== undefined && isSameRoute(before, route)
        next.set(name, isSame ? table.get(name)! : build(name, route))
        sources.set(name, route)
        origins.set(name, origin)
      }
      for (const name of table.keys()) if (!next.has(name)) sources.delete(name)
      table = next
    },
  }
  endpoints.replace([], new Map())
  return endpoints
}

function isSameRoute(a: RouteNode, b: RouteNode): boolean {
  if (a === b) return true
  if (a.kind !== b.kind) return false
  // A thousand of them are compared after each decision.
  if (a.kind === 'version' && b.kind === 'version') return a.model === b.model && aliasOrNumber(a) === aliasOrNumber(b)
  return JSON.stringify(a) === JSON.stringify(b)
}

function aliasOrNumber({ version }: VersionLeaf): string | number {
  return typeof version === 'object' ? `@${version.alias}` : version
}
