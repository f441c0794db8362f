// Lineage down to the models and endpoints of this server.
import { FeatureErrors, type Lineage, lineageOf } from '../../features/index.js'
import type { App } from '../app.js'

/** Throws FEATURE_NONE_DEFINED, FEATURE_NAME_UNKNOWN. */
export function featureLineage(app: App, name?: string): Lineage {
  if (app.features === undefined) throw FeatureErrors.NONE_DEFINED()
  const versions = app.pool.statuses().flatMap(({ ref }) => {
    const served = app.pool.get(ref) ?? app.pool.lastSeen(ref.model, ref.version)
    const service = served?.manifest.featureService
    return service === undefined ? [] : [{ model: ref.model, version: ref.version, service }]
  })
  const endpoints = app.endpoints.list().map((endpoint) => ({
    name: endpoint.name,
    versions: endpoint.route.leaves.flatMap((leaf) => {
      const served = app.versions.lastSeen(leaf)
      return served === undefined ? [] : [{ model: served.ref.model, version: served.ref.version }]
    }),
  }))
  return lineageOf(app.features.project, { versions, endpoints }, name)
}
