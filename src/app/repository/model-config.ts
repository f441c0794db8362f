// The configuration of what answers under a name.
import { referenceVersion } from '../../path/index.js'
import type { App } from '../app.js'
import { configOf } from './config-of.js'
import type { ModelConfig } from './types.js'

/**
 * Of the version that an endpoint's callers write to, or of a version of its model.
 * Throws PATH_ENDPOINT_NOT_FOUND and what resolving a version throws.
 */
export function modelConfig(app: App, name: string, version?: number): ModelConfig {
  const endpoint = app.endpoints.get(name)
  const { model } = endpoint.route.leaves[0]!
  const served =
    version === undefined
      ? referenceVersion(endpoint, app.versions)
      : app.versions.resolve({ kind: 'version', model, version })
  const isCached = endpoint.cache !== undefined && app.cache.isOn(endpoint.name)
  return configOf(name, served, { isCached, policy: app.repository.versionPolicy(served.ref.model) })
}
