// The ways into the store's engine room; a project without definitions loads none of it.
import type { RemoteReader, RemoteReaderOptions } from './remote.js'
import type { FeatureStore, FeatureStoreOptions } from './store.js'

export type { FeatureStore, FeatureStoreOptions, RemoteReader, RemoteReaderOptions }

/** Opens everything of the store that lives in the data folder's process. Nothing runs before `start`. */
export async function openFeatureStore(options: FeatureStoreOptions): Promise<FeatureStore> {
  return (await import('./store.js')).openFeatureStore(options)
}

/** Opens what a process needs that reads what another one owns. */
export async function openRemoteReader(options: RemoteReaderOptions): Promise<RemoteReader> {
  return (await import('./remote.js')).openRemoteReader(options)
}
