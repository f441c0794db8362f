// What a caller may do: grants and patterns of names against what a request needs.
import { AccessErrors } from './errors.js'
import { type Caller, type Grant, type Need, ROLES, type Role } from './types.js'

/** The tenant of callers that belong to none: the people and programs of the project itself, who see every tenant's predictions. */
export const DEFAULT_TENANT = 'default'

/** Everybody, where no keys exist yet. */
export const ANONYMOUS: Caller = {
  id: 'anonymous',
  name: 'anonymous',
  kind: 'anonymous',
  tenant: DEFAULT_TENANT,
  grants: [{ role: 'admin' }],
  predicts: ['*'],
  meter: undefined,
}

/** Whoever asks for what needs no caller. */
export const NOBODY: Caller = { ...ANONYMOUS, id: 'nobody', name: 'nobody', grants: [], predicts: [] }

/** `fraud*` matches every name that starts so; anything else only itself. */
export function matchesName(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name
}

export function matchesAny(patterns: readonly string[], name: string): boolean {
  for (let i = 0; i < patterns.length; i++) if (matchesName(patterns[i]!, name)) return true
  return false
}

/** Whether a caller may do what needs `need` with the endpoint or model named; without a name, with the whole project. */
export function isAllowed(caller: Caller, need: Need, name?: string): boolean {
  switch (need) {
    case 'predict':
      return name === undefined ? isAllowedSomewhere(caller, need) : matchesAny(caller.predicts, name)
    case 'see':
      if (name === undefined) return isAllowedSomewhere(caller, need)
      return matchesAny(caller.predicts, name) || hasRole(caller.grants, 'viewer', name)
    default:
      return hasRole(caller.grants, need, name)
  }
}

/** Whether there is anything at all that a caller may do this with. */
export function isAllowedSomewhere({ predicts, grants }: Caller, need: Need): boolean {
  if (need === 'predict') return predicts.length > 0
  if (need === 'see') return predicts.length > 0 || grants.length > 0
  return grants.some(({ role }) => ROLES.indexOf(role) >= ROLES.indexOf(need))
}

/** Throws ACCESS_ROLE_MISSING or ACCESS_PREDICT_MISSING. */
export function checkAllowed(caller: Caller, need: Need, name?: string): void {
  if (isAllowed(caller, need, name)) return
  const on = name === undefined ? 'the whole project' : `"${name.slice(0, 128)}"`
  if (need === 'predict')
    throw AccessErrors.PREDICT_MISSING({ caller: caller.name, on, may: caller.predicts.join(', ') })
  throw AccessErrors.ROLE_MISSING({
    caller: caller.name,
    needs: need === 'see' ? 'viewer' : need,
    on,
    has: describeGrants(caller),
  })
}

/** Whether the predictions of other tenants are no business of this caller. */
export function isTenantBound(caller: Caller): boolean {
  return caller.tenant !== DEFAULT_TENANT
}

/** Throws ACCESS_TENANT_BOUND for what shows all tenants together. */
export function expectNoTenant(caller: Caller, what: string): void {
  if (isTenantBound(caller)) throw AccessErrors.TENANT_BOUND({ caller: caller.name, tenant: caller.tenant, what })
}

function hasRole(grants: readonly Grant[], needed: Role, name: string | undefined): boolean {
  const rank = ROLES.indexOf(needed)
  for (const { role, on } of grants) {
    if (ROLES.indexOf(role) < rank) continue
    if (on === undefined || (name !== undefined && matchesAny(on, name))) return true
  }
  return false
}

function describeGrants({ grants, predicts }: Caller): string {
  const roles = grants.map(({ role, on }) => (on === undefined ? role : `${role} on ${on.join(', ')}`))
  if (predicts.length > 0) roles.push(`predict with ${predicts.join(', ')}`)
  return roles.join('; ') || 'nothing'
}
