// The way into the store's engine room; a project without definitions does not load it.
import type { FeatureStore, FeatureStoreOptions } from './store.js'

export type { FeatureStore, FeatureStoreOptions }

/** Opens everything of the store that lives in the data folder's process. Nothing runs before `start`. */
export async function openFeatureStore(options: FeatureStoreOptions): Promise<FeatureStore> {
  return (await import('./store.js')).openFeatureStore(options)
}
