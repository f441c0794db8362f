// Floor 2. Who may call, what they may do and how much: keys, tokens of other issuers, roles, tenants, rates and quotas; and the
// protection of a server that has no keys yet.
// It decides about callers only: what a model may be given is checked on the path.
export { type AccessOptions, createAccess, type KeyedAccess } from './access.js'
export { type Fingerprint, keyChangeKinds } from './changes.js'
export { type AccessConfig, accessSection } from './config.js'
export { AccessErrors } from './errors.js'
export { createIssuers, isTenant, type TokenIssuers } from './jwt/issuers.js'
export { loadKeySecret } from './key-secret.js'
export { digestOf, newKey, secretIdOf } from './key-text.js'
export { accessMigrations, defaultPredicts, readKeys, type StoredKey, whyUnusable } from './keys.js'
export { createDays } from './limits/days.js'
export { withLocalShare } from './limits/local-share.js'
export { Meters } from './limits/meters.js'
export { RateBuckets } from './limits/rate-buckets.js'
export { createSharedLedger } from './limits/shared-ledger.js'
export { SharedRates } from './limits/shared-rates.js'
export { createSqlLedger } from './limits/sql-ledger.js'
export type { Limits, QuotaLedger, RequestsGranted, RequestsWanted, RowsWanted, UsageCount } from './limits/types.js'
export { addUsage, readUsage, type UsageQuery } from './limits/usage.js'
export { checkBind, createLoopbackGuard, isLoopback } from './loopback.js'
export {
  ANONYMOUS,
  DEFAULT_TENANT,
  expectNoTenant,
  isAllowed,
  isAllowedSomewhere,
  isTenantBound,
  NOBODY,
} from './permissions.js'
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
