// Registered versions as the app serves them: fetched and checked whenever they are loaded, tried again when the blob store is down.
import { type Platform, type VersionRef, versionKey } from '../../core/index.js'
import type { Endpoint } from '../../path/index.js'
import {
  createLocalVersions,
  createRegistrySource,
  type KeptArtifacts,
  type RegistrySource,
} from '../../registry/index.js'
import type { BackendFactory } from '../../serving/index.js'
import { registeredFolder } from '../data-folder.js'
import type { Engines } from '../engines.js'
import type { LoadedProject } from '../load-project.js'
import { type Aliases, numberOf } from '../versions.js'

export interface RegisteredVersions {
  readonly source: RegistrySource
  /** A factory that has the files of registered versions first; `retried` wraps what loads those. */
  fetching(load: BackendFactory, retried: (load: BackendFactory) => BackendFactory): BackendFactory
  /** The blob store is the copy of what is registered. */
  withoutCopies(kept: KeptArtifacts): KeptArtifacts
  /** Removes files of versions that are no more. */
  prune(): Promise<void>
}

export function openRegisteredVersions(
  project: LoadedProject,
  engines: Pick<Engines, 'blobs' | 'registry' | 'follow'>,
  platform: Platform,
): RegisteredVersions {
  const local = createLocalVersions({ folder: registeredFolder(project), blobs: engines.blobs, platform })
  const source = createRegistrySource({
    local,
    registered: () => engines.registry().registered,
    follow(change) {
      let seen = engines.registry().registeredRevision
      return engines.follow(() => {
        const { registeredRevision } = engines.registry()
        // To look at ten thousand versions takes longer than anything else that a decision sets off.
        if (registeredRevision !== seen) change()
        seen = registeredRevision
      })
    },
  })
  return {
    source,
    fetching(load, retried) {
      const fetched = retried(async (artifact, options) => {
        await source.fetch(artifact)
        return load(artifact, options)
      })
      return (artifact, options) => (source.owns(artifact) ? fetched : load)(artifact, options)
    },
    withoutCopies: (kept) => ({
      keep: async (artifact) => (source.owns(artifact) ? undefined : kept.keep(artifact)),
      find: async (artifact) => (source.owns(artifact) ? undefined : kept.find(artifact)),
      forget: (artifact) => kept.forget(artifact),
      prune: (digests) => kept.prune(digests),
    }),
    prune: () => local.prune(source.places()),
  }
}

/** Keys of the newest version of each model and of those that an alias or a route names. */
export function* namedKeys(
  refs: readonly VersionRef[],
  aliases: Aliases,
  endpoints: readonly Endpoint[],
): Generator<string> {
  const newest = new Map<string, VersionRef>()
  for (const ref of refs) if ((newest.get(ref.model)?.version ?? 0) < ref.version) newest.set(ref.model, ref)
  for (const ref of newest.values()) yield versionKey(ref)
  for (const model of newest.keys()) for (const version of Object.values(aliases.of(model))) yield `${model}/${version}`
  for (const { route } of endpoints)
    for (const leaf of route.leaves) {
      const number = numberOf(leaf, aliases)
      if (typeof number === 'number') yield `${leaf.model}/${number}`
    }
}
