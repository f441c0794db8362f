// What callers need for routes that do not say so themselves (`config.needs`), where it is not the rule: `viewer` to read and `developer`
// for everything else, on the endpoint or model in the path. One page, because it is read as a whole: docs/access.md is made of it.
import type { Need } from '../../access/index.js'

export type RouteNeed = Need | 'open'

/** As ACCESS_TENANT_BOUND names them. */
export const STATISTICS = 'the statistics of models'

const NEEDS: Readonly<Record<string, RouteNeed>> = {
  // Probes, and pages whose own calls are asked for a key.
  'GET /': 'open',
  'GET /api/docs': 'open',
  'GET /api/docs/{file}': 'open',
  'GET /feast/health': 'open',

  // What a client looks at before it predicts; lists show what the caller may see.
  'GET /api/docs/json': 'see',
  'GET /api/openapi.json': 'see',
  'GET /api/v1/status': 'see',
  'GET /api/v1/types': 'see',
  'GET /api/v1/endpoints': 'see',
  'GET /api/v1/endpoints/{name}': 'see',
  'GET /api/v1/models': 'see',
  'GET /api/v1/models/{name}': 'see',
  'GET /api/v1/whoami': 'see',
  'GET /v1/models': 'see',
  'GET /v1/models/{model}': 'see',
  'GET /v1/models/{model}/versions/{version}': 'see',
  'GET /v1/models/{model}/labels/{alias}': 'see',
  'POST /v1/models/{model}:explain': 'see',
  'POST /v1/models/{model}/versions/{version}:explain': 'see',
  'GET /v2': 'see',
  'GET /v2/models': 'see',
  'GET /v2/models/{model}': 'see',
  'GET /v2/models/{model}/ready': 'see',
  'GET /v2/models/{model}/config': 'see',
  'GET /v2/models/{model}/stats': 'see',
  'GET /v2/models/{model}/trace/setting': 'see',
  'GET /v2/models/{model}/versions/{version}': 'see',
  'GET /v2/models/{model}/versions/{version}/ready': 'see',
  'GET /v2/models/{model}/versions/{version}/config': 'see',
  'GET /v2/models/{model}/versions/{version}/stats': 'see',
  'GET /v2/models/stats': 'see',
  'POST /v2/repository/index': 'see',
  'GET /v2/logging': 'see',
  'GET /v2/trace/setting': 'see',
  'GET /v2/systemsharedmemory/status': 'see',
  'GET /v2/systemsharedmemory/region/{region}/status': 'see',
  'POST /v2/systemsharedmemory/unregister': 'see',
  'POST /v2/systemsharedmemory/region/{region}/unregister': 'see',
  'GET /v2/cudasharedmemory/status': 'see',
  'GET /v2/cudasharedmemory/region/{region}/status': 'see',
  'POST /v2/cudasharedmemory/unregister': 'see',
  'POST /v2/cudasharedmemory/region/{region}/unregister': 'see',

  // Lists of what may be viewed, one by one.
  'GET /api/v1/live': 'see',
  'GET /api/v1/releases': 'see',
  'GET /api/v1/decisions': 'see',

  // The handlers look at the endpoint and the tenant of each record, and at what a decision changed.
  'GET /api/v1/predictions/{id}': 'see',
  'GET /api/v1/log/tail': 'see',
  'GET /api/v1/decisions/{id}': 'see',
  'POST /api/v1/decisions/{id}/undo': 'see',

  // Reading, with a body.
  'POST /api/v1/log/query': 'viewer',
  'POST /api/v1/features/online': 'viewer',
  'POST /api/v1/features/check': 'viewer',
  'POST /feast/get-online-features': 'viewer',

  // What changes which version takes traffic.
  'PUT /api/v1/models/{name}/aliases/{alias}': 'approver',
  'DELETE /api/v1/models/{name}/aliases/{alias}': 'approver',
  'PUT /api/v1/endpoints/{name}/route': 'approver',
  'POST /v2/repository/models/{model}/load': 'approver',
  'POST /v2/repository/models/{model}/unload': 'approver',

  'POST /v2/logging': 'admin',
  'POST /v2/trace/setting': 'admin',
}

/** What shows the traffic of all tenants, or what was done for them, in words for who belongs to one. */
const OF_ALL_TENANTS: Readonly<Record<string, string>> = {
  'POST /api/v1/log/query': 'SQL over the log',
  'GET /api/v1/decisions': 'the record of decisions',
  'GET /api/v1/decisions/{id}': 'the record of decisions',
  'GET /v2/models/stats': STATISTICS,
  'GET /v2/models/{model}/stats': STATISTICS,
  'GET /v2/models/{model}/versions/{version}/stats': STATISTICS,
}

/** Undefined for what a tenant may see as well. `path` as OpenAPI writes it. */
export function shownOfAllTenants(method: string, path: string): string | undefined {
  return OF_ALL_TENANTS[`${method === 'HEAD' ? 'GET' : method} ${path}`]
}

/** `path` as OpenAPI writes it. */
export function needOf(method: string, path: string): RouteNeed {
  const reads = method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
  const known = NEEDS[`${reads ? 'GET' : method} ${path}`]
  if (known !== undefined) return known
  // Faults are injected, and keys made, by those who run the server alone.
  if (path.startsWith('/api/v1/keys') || path.startsWith('/api/v1/usage')) return 'admin'
  if (path.startsWith('/api/v1/chaos') && !reads) return 'admin'
  return reads ? 'viewer' : 'developer'
}

/** What taking back a decision needs: as much as making it did. */
export function needOfChange(kind: string): Need {
  if (kind.startsWith('key.') || kind.startsWith('chaos.')) return 'admin'
  if (kind === 'cache.switch' || kind === 'version.seen' || kind.startsWith('registry.')) return 'developer'
  return 'approver'
}
