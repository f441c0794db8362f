// Starts a release as a person asks for it: finds what the endpoint serves now, asks the gates, and hands the rest to the service.
import { type ModelName, versionKey } from '../../core/index.js'
import type { Actor } from '../../decisions/index.js'
import { PathErrors } from '../../path/index.js'
import { type Release, ReleaseErrors, releaseTree, selectorOf, versionLeaves } from '../../release/index.js'
import type { VersionLeaf } from '../../route/index.js'
import type { App } from '../app.js'
import { expectVersion } from '../gates/check-version.js'
import { gateRelease } from '../gates/gate-release.js'

export interface StartRelease {
  readonly endpoint: string
  readonly to: number
  /** The model whose version is replaced, where the endpoint has several. */
  readonly model?: string | undefined
  /** The version it is replaced in place of; default: the one that is served. */
  readonly from?: number | undefined
  readonly plan?: string | undefined
  readonly minUnits?: number | undefined
  readonly timeScale?: number | undefined
  /** Passes by the gates, for this reason. */
  readonly skipGates?: string | undefined
  readonly reason?: string | undefined
}

/**
 * Throws PATH_ENDPOINT_NOT_FOUND, RELEASE_REQUEST_INVALID, RELEASE_ALREADY_LIVE, RELEASE_ALREADY_ACTIVE, GATE_VERSION_NOT_FOUND, RELEASE_NOT_SERVABLE,
 * RELEASE_PLAN_INVALID and what the gates refuse with.
 */
export async function startRelease(
  app: App,
  request: StartRelease,
  by: Actor,
  /** Throws when the caller may not move an alias of the model. */
  expectMayMoveAlias?: (model: ModelName) => void,
): Promise<Release> {
  const { endpoint, to } = request
  const route = app.endpoints.plain(endpoint)
  if (route === undefined)
    throw PathErrors.ENDPOINT_NOT_FOUND({
      name: endpoint.slice(0, 128),
      known: app.endpoints.list().map(({ name }) => name),
    })
  const active = (await app.services.releases.list({ endpoint, limit: 1 }))[0]
  if (active && (active.state === 'running' || active.state === 'paused'))
    throw ReleaseErrors.ALREADY_ACTIVE({ endpoint, id: active.id, to: active.to })
  const { targets } = app.registryState()
  // What a completed release left in the leaf's place is served; the leaf itself is what a release is about.
  const moved = (leaf: VersionLeaf) => releaseTree(endpoint, leaf, [], targets) as VersionLeaf
  const serving = (leaf: VersionLeaf): number | undefined => app.versions.there(moved(leaf))?.ref.version
  const leaf = leafOf(request, versionLeaves(route), serving)
  const { model } = leaf
  if (typeof leaf.version === 'object') expectMayMoveAlias?.(model)
  const serves = serving(leaf)
  const from = request.from ?? serves
  if (from === to) throw ReleaseErrors.ALREADY_LIVE({ endpoint, model, version: to })
  if (from === undefined)
    throw ReleaseErrors.REQUEST_INVALID({
      endpoint,
      problem: `no version of ${model} is served there that a release could start from; point it at one first, or say which ("--from")`,
    })
  if (serves !== undefined && serves !== from && serves !== to)
    throw ReleaseErrors.REQUEST_INVALID({
      endpoint,
      problem: `${model}/${serves} answers there, not ${model}/${from}, which everybody but the candidate's units would get at once; leave "--from" away, or point the endpoint at ${model}/${from} first`,
    })
  for (const version of [to, from]) {
    await expectVersion(app, { model, version })
    expectServable(app, model, version)
  }
  const asked = { startedBy: by, skipReason: request.skipGates }
  // Going back before it goes on gives that version traffic at once.
  if (from !== serves && from !== moved(leaf).version) await gateRelease(app, { model, version: from }, endpoint, asked)
  const gates = await gateRelease(app, { model, version: to }, endpoint, asked)
  const { plan, minUnits, timeScale, reason } = request
  return app.services.releases.start(
    {
      endpoint,
      model,
      from,
      to,
      selector: selectorOf(leaf),
      // An endpoint that nobody declared or pointed follows its champion as soon as there is one.
      ...(app.endpoints.origin(endpoint) === 'implicit' && { alias: 'champion' }),
      ...(plan !== undefined && { plan }),
      ...(minUnits !== undefined && { minUnits }),
      ...(timeScale !== undefined && { timeScale }),
      evidence: { ...gates, ...(reason !== undefined && { reason }) },
    },
    by,
  )
}

/** The one leaf, or the one selector, that the release is about: of the model and the version to be replaced, where they are named. */
function leafOf(
  { endpoint, model, from }: StartRelease,
  leaves: readonly VersionLeaf[],
  serving: (leaf: VersionLeaf) => number | undefined,
): VersionLeaf {
  const named = leaves.filter((leaf) => model === undefined || leaf.model === model)
  const [any] = named
  if (any === undefined)
    throw ReleaseErrors.REQUEST_INVALID({
      endpoint,
      problem: model === undefined ? 'its route has no version' : `its route has no version of ${model}`,
    })
  const kinds = new Set(named.map(kindOf))
  if (kinds.size === 1) return any
  const meant = from === undefined ? named : named.filter((leaf) => serving(leaf) === from)
  const [first] = meant
  if (first !== undefined && meant.every((leaf) => kindOf(leaf) === kindOf(first))) return first
  throw ReleaseErrors.REQUEST_INVALID({
    endpoint,
    problem: `its route has several leaves (${[...kinds].join(', ')}); say which model ("--model") and which version ("--from") is to be replaced`,
  })
}

const kindOf = (leaf: VersionLeaf): string => `${leaf.model} ${selectorOf(leaf)}`

function expectServable(app: App, model: ModelName, version: number): void {
  const refused = app.refused.get(versionKey({ model, version }))
  const status = app.pool.status({ model, version })
  if (refused !== undefined) throw ReleaseErrors.NOT_SERVABLE({ model, version, reason: refused.message })
  if (status?.state === 'failed')
    throw ReleaseErrors.NOT_SERVABLE({ model, version, reason: status.reason ?? 'it could not be loaded.' })
  if (status === undefined)
    throw ReleaseErrors.NOT_SERVABLE({ model, version, reason: 'this server does not load it.' })
}
