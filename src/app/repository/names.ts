// Protocols name endpoints; versions, statistics and configurations belong to models.
import type { App } from '../app.js'

/**
 * The model that an endpoint serves, or the model of that name when it has no endpoint any more. Its route's first leaf counts, as
 * for versions in a path.
 */
export function modelOf(app: App, name: string): string {
  const endpoint = app.endpoints.list().find((candidate) => candidate.name === name)
  return endpoint?.route.leaves[0]?.model ?? name
}
