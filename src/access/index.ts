// Floor 2. Who may call, and what they may do. For now: the protection of a server without keys.
// Keys, roles, tenants and quotas join here.
// It decides about callers only: what a model may be given is checked on the path.
export { AccessErrors } from './errors.js'
export { checkBind, createLoopbackGuard, isLoopback } from './loopback.js'

/** The tenant of every caller until keys exist. */
export const DEFAULT_TENANT = 'default'
