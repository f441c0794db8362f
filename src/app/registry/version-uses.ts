// What keeps a registered version from being deleted, beside what the metadata store itself knows: routes and releases.
import type { App } from '../app.js'
import { numberOf } from '../versions.js'

/** In words, for the message that refuses. `model` is the servable name. */
export function usesOfVersion(
  { endpoints, aliases, pool, registryState }: Pick<App, 'endpoints' | 'aliases' | 'pool' | 'registryState'>,
  model: string,
  version: number,
): string[] {
  const uses: string[] = []
  for (const { name, route } of endpoints.list()) {
    const isRouted = route.leaves.some((leaf) => {
      if (leaf.model !== model) return false
      const number = numberOf(leaf, aliases)
      return number === 'latest' ? pool.latest(leaf.model)?.ref.version === version : number === version
    })
    if (isRouted) uses.push(`the endpoint "${name}" answers with it`)
  }
  const { releases, targets } = registryState()
  for (const { id, endpoint, model: released, from, to } of releases)
    if (released === model && (from === version || to === version))
      uses.push(`release ${id} of the endpoint "${endpoint}" is under way with it`)
  for (const target of targets)
    if (target.model === model && target.version === version)
      uses.push(`a completed release left it to the endpoint "${target.endpoint}"`)
  return uses
}

/** Every `model/version` that something here answers with or may fall back to. */
export function versionsInUse(app: Pick<App, 'endpoints' | 'aliases' | 'pool' | 'registryState'>): string[] {
  const used = new Set<string>()
  for (const { route } of app.endpoints.list())
    for (const leaf of route.leaves) {
      const number = numberOf(leaf, app.aliases)
      const version = number === 'latest' ? app.pool.latest(leaf.model)?.ref.version : number
      if (version !== undefined) used.add(`${leaf.model}/${version}`)
    }
  const { releases, targets } = app.registryState()
  for (const { model, from, to } of releases) used.add(`${model}/${from}`).add(`${model}/${to}`)
  for (const { model, version } of targets) used.add(`${model}/${version}`)
  return [...used]
}
