// What keeps a registered version from being deleted, beside what the metadata store itself knows: routes, releases, pipelines, other nodes.
import { versionKey } from '../../core/index.js'
import { type RegisteredRef, type RegisteredVersion, type RegistryActor, RegistryErrors } from '../../registry/index.js'
import type { App } from '../app.js'
import { pinnedElsewhere } from '../nodes/report-pinned.js'
import { numberOf } from '../versions.js'

type Using = Pick<App, 'endpoints' | 'aliases' | 'pool' | 'registryState' | 'services' | 'source'>

/** Deletes a version unless anything uses it. Throws REGISTRY_VERSION_NOT_FOUND, REGISTRY_VERSION_IN_USE. */
export async function removeVersion(
  app: Using,
  ref: string | RegisteredRef,
  by: RegistryActor,
  reason?: string,
): Promise<RegisteredVersion> {
  const { registry } = app.services
  const { model, servableName, version } = await registry.describe(ref)
  const uses = (await usesOf(app))(servableName, version)
  return registry.remove({ model, version }, by, reason, uses)
}

/** Deletes a model unless anything uses one of its versions. Throws REGISTRY_MODEL_NOT_FOUND, REGISTRY_VERSION_IN_USE. */
export async function removeModel(app: Using, model: string, by: RegistryActor, reason?: string): Promise<void> {
  const { registry } = app.services
  const { name, servableName, versions } = await registry.getModel(model)
  const find = await usesOf(app)
  for (const version of versions) {
    const uses = find(servableName, version)
    if (uses.length > 0) throw RegistryErrors.VERSION_IN_USE({ model: name, version, uses })
  }
  await registry.removeModel(name, by, reason)
}

/** Every `model/version` that something answers with or may fall back to. */
export async function versionsInUse(app: Using): Promise<string[]> {
  const used = new Set<string>()
  for (const { route } of app.endpoints.list())
    for (const leaf of route.leaves) {
      const version = answeringNumber(app, leaf)
      if (version !== undefined) used.add(`${leaf.model}/${version}`)
    }
  const { releases, targets } = app.registryState()
  for (const { model, from, to } of releases) used.add(`${model}/${from}`).add(`${model}/${to}`)
  for (const { model, version } of targets) used.add(`${model}/${version}`)
  for (const { step } of await pipelineSteps(app)) used.add(step)
  for (const { keys } of await pinnedElsewhere(app.services.nodes)) for (const key of keys) used.add(key)
  return [...used]
}

/** Answers in words, for the message that refuses, what uses a version; by servable name. */
async function usesOf(app: Using): Promise<(model: string, version: number) => string[]> {
  const { releases, targets } = app.registryState()
  const steps = await pipelineSteps(app)
  const elsewhere = await pinnedElsewhere(app.services.nodes)
  return (model, version) => {
    const uses: string[] = []
    const key = `${model}/${version}`
    for (const { name, route } of app.endpoints.list())
      if (route.leaves.some((leaf) => leaf.model === model && answeringNumber(app, leaf) === version))
        uses.push(
          app.endpoints.origin(name) === 'implicit'
            ? `the endpoint "${name}" answers with it (set the alias "champion" to another version, or unload the model)`
            : `the endpoint "${name}" answers with it`,
        )
    for (const { id, endpoint, model: released, from, to } of releases)
      if (released === model && (from === version || to === version))
        uses.push(`release ${id} of the endpoint "${endpoint}" is under way with it`)
    for (const target of targets)
      if (target.model === model && target.version === version)
        uses.push(`a completed release left it to the endpoint "${target.endpoint}"`)
    for (const { pipeline, step } of steps) if (step === key) uses.push(`the pipeline ${pipeline} is made of it`)
    for (const { node, keys } of elsewhere)
      if (keys.includes(key)) uses.push(`the configuration of the node ${node} names it`)
    return uses
  }
}

function answeringNumber(
  { aliases, pool }: Pick<App, 'aliases' | 'pool'>,
  leaf: Parameters<typeof numberOf>[0],
): number | undefined {
  const number = numberOf(leaf, aliases)
  return number === 'latest' ? pool.latest(leaf.model)?.ref.version : number
}

/** Pipelines lie in the models folder alone. */
async function pipelineSteps({
  source,
  pool,
  registryState,
}: Pick<App, 'source' | 'pool' | 'registryState'>): Promise<{ readonly pipeline: string; readonly step: string }[]> {
  const { registered } = registryState()
  const steps: { pipeline: string; step: string }[] = []
  for (const { ref } of pool.statuses()) {
    const backend = pool.get(ref)?.kind
    // What is not loaded may be one.
    if (registered.has(versionKey(ref)) || (backend !== undefined && backend !== 'pipeline')) continue
    // It may have gone meanwhile.
    const artifact = await source.get(ref).catch(() => undefined)
    for (const step of artifact?.pipeline?.steps ?? [])
      steps.push({ pipeline: versionKey(ref), step: versionKey(step) })
  }
  return steps
}
