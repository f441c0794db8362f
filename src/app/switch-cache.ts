// A person switches the cache of an endpoint on or off: a decision like the server's own.
import type { Actor, Decision, Evidence } from '../decisions/index.js'
import { cacheSwitch } from '../serving/index.js'
import type { App } from './app.js'
import { AppErrors } from './errors.js'

/** Throws PATH_ENDPOINT_NOT_FOUND, APP_CACHE_NOT_DECLARED. */
export async function switchCache(
  app: App,
  endpoint: string,
  isOn: boolean,
  evidence: Evidence,
  by: Actor,
): Promise<Decision> {
  const { name, cache } = app.endpoints.get(endpoint)
  if (cache === undefined) throw AppErrors.CACHE_NOT_DECLARED({ endpoint: name })
  const hitRate = app.cache.hitRate(name)
  return app.decide(cacheSwitch(name, isOn), hitRate === undefined ? evidence : { ...evidence, hitRate }, by)
}
