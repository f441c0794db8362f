// Floor 2. Who may call, what they may do and how much: keys, tokens of other issuers, roles, tenants, rates and quotas; and the
// protection of a server that has no keys yet.
// It decides about callers only: what a model may be given is checked on the path.
export { createAccess } from './access.js'
export { AccessErrors } from './errors.js'
export { checkBind, createLoopbackGuard, isLoopback } from './loopback.js'
export { ANONYMOUS, DEFAULT_TENANT, isAllowed, isTenantBound, NOBODY } from './permissions.js'
export {
  type Access,
  type Caller,
  type Credentials,
  type Grant,
  type Meter,
  type Need,
  ROLES,
  type Role,
} from './types.js'
