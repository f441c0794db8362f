// A route tree as plain data of one shape for every kind of node, with each arm under the name that records give it.
import { type VersionRef, versionKey } from '../../core/index.js'
import { leafText, type RouteNode, type VersionLeaf } from '../../route/index.js'
import type { App } from '../app.js'
import { numberOf } from '../versions.js'

export interface RouteView {
  readonly kind: RouteNode['kind']
  /** As records name it; of a leaf: the leaf in words, `fraud@champion`. */
  readonly name: string
  /** What else the node is told: `by`, `sample`, `combine` and so on. */
  readonly settings: Readonly<Record<string, unknown>>
  /** Null for what is no version. */
  readonly version: RouteVersionView | null
  /** Empty for leaves. */
  readonly arms: readonly RouteArmView[]
}

export interface RouteVersionView {
  readonly model: string
  /** What the leaf means now; null when there is none. */
  readonly version: number | null
  /** Of the version in the pool of the process that answers; null when it is not there. */
  readonly state: string | null
  readonly reason: string | null
}

export interface RouteArmView {
  /** As records name it. */
  readonly arm: string
  /** Share of the traffic that the node gives it, 0 to 1; null where that is not set in advance. */
  readonly share: number | null
  readonly settings: Readonly<Record<string, unknown>>
  readonly route: RouteView
}

/** Throws PATH_ENDPOINT_NOT_FOUND. */
export function routeView(name: string, app: App): RouteView {
  return nodeView(app.endpoints.get(name).route.node, app)
}

function nodeView(node: RouteNode, app: App): RouteView {
  const arm = (name: string | number, share: number | null, settings: object, route: RouteNode): RouteArmView => ({
    arm: String(name),
    share,
    settings: { ...settings },
    route: nodeView(route, app),
  })
  const view = (settings: object, arms: readonly RouteArmView[]): RouteView => ({
    kind: node.kind,
    name: 'name' in node ? node.name : leafText(node),
    settings: { ...settings },
    version: null,
    arms,
  })
  switch (node.kind) {
    case 'version':
      return { ...view({}, []), version: versionView(node, app) }
    case 'last-known':
      return view(node.maxAgeMs === undefined ? {} : { maxAgeMs: node.maxAgeMs }, [])
    case 'constant':
      return view({ outputs: node.outputs }, [])
    case 'split': {
      const total = node.arms.reduce((sum, { weight }) => sum + weight, 0)
      const { by, salt } = node
      return view(
        { by, salt },
        node.arms.map(({ name, weight, route }) => arm(name, weight / total, {}, route)),
      )
    }
    case 'match':
      return view({}, [
        ...node.cases.map(({ name, when, route }) => arm(name, null, when, route)),
        arm('otherwise', null, {}, node.otherwise),
      ])
    case 'fallback':
      return view(
        {},
        node.arms.map(({ route, ...settings }, i) => arm(i, null, settings, route)),
      )
    case 'cascade':
      return view(
        node.output === undefined ? {} : { output: node.output },
        node.arms.map(({ route, ...settings }, i) => arm(i, null, settings, route)),
      )
    case 'cheapest':
      return view(
        {},
        node.arms.map(({ route, ...settings }, i) => arm(i, null, settings, route)),
      )
    case 'fastest':
      return view(
        { staggerMs: node.staggerMs },
        node.arms.map((route, i) => arm(i, null, {}, route)),
      )
    case 'shadow': {
      const { sample, maxInFlight } = node
      return view({ sample, maxInFlight }, [
        arm('primary', 1, {}, node.primary),
        arm('shadow', sample, {}, node.shadow),
      ])
    }
    case 'ensemble': {
      const { combine, quorum, meta } = node
      return view({ combine, ...(quorum !== undefined && { quorum }) }, [
        ...node.arms.map(({ name, route, ...settings }) => arm(name, null, settings, route)),
        ...(meta === undefined ? [] : [arm('meta', null, {}, meta)]),
      ])
    }
  }
}

function versionView(leaf: VersionLeaf, app: App): RouteVersionView {
  const number = numberOf(leaf, app.aliases)
  const version = number === 'latest' ? app.versions.there(leaf)?.ref.version : number
  if (version === undefined) return { model: leaf.model, version: null, state: null, reason: null }
  const ref: VersionRef = { model: leaf.model, version }
  const status = app.pool.status(ref)
  const refused = app.refused.get(versionKey(ref))
  return {
    model: leaf.model,
    version,
    state: status?.state ?? (refused === undefined ? null : 'failed'),
    reason: status?.reason ?? refused?.message ?? null,
  }
}
