// What faces ask about keys of the process that owns the data folder: plain data.
import type { Limits, Role, UsageCount, UsageQuery } from '../../access/index.js'
import type { Actor, Decision } from '../../decisions/index.js'

/** What is asked for when a key is made. */
export interface KeyRequest {
  /** Decisions name it. */
  readonly name: string
  readonly role?: Role | undefined
  /** Endpoints and models that the role holds for; `fraud*` for all that start so. Default: all. */
  readonly on?: readonly string[] | undefined
  /** Endpoints it may predict with. Default: those of the role, from developer up. */
  readonly predict?: readonly string[] | undefined
  readonly tenant?: string | undefined
  readonly expiresMs?: number | undefined
  readonly ratePerSecond?: number | undefined
  readonly burst?: number | undefined
  /** Rows. */
  readonly quotaPerDay?: number | undefined
}

/** A key as people see it. */
export interface KeyView {
  readonly id: string
  readonly name: string
  readonly state: 'active' | 'expired' | 'revoked'
  readonly role: Role | null
  readonly on: readonly string[] | null
  readonly predict: readonly string[]
  readonly tenant: string
  readonly ratePerSecond: number | null
  readonly burst: number | null
  readonly quotaPerDay: number | null
  readonly createdMs: number
  readonly expiresMs: number | null
  readonly revokedMs: number | null
}

export interface MadeKey {
  readonly key: KeyView
  /** What the caller sends. It is stored nowhere and shown this once. */
  readonly secret: string
  readonly decision: string
}

export interface AccessService extends Limits {
  /**
   * With `isFirst` only as long as there is no other: whoever asks had no key. Throws ACCESS_REQUEST_INVALID, ACCESS_FIRST_KEY,
   * ACCESS_NAME_TAKEN, ACCESS_SECRET_DIFFERS, ACCESS_CREDENTIALS_MISSING.
   */
  create(request: KeyRequest, by: Actor, isFirst?: boolean): Promise<MadeKey>
  /** A new key of the same name and rights; the old one ends when `graceMs` are over. Throws ACCESS_KEY_NOT_FOUND, ACCESS_ALREADY_REVOKED. */
  rotate(nameOrId: string, graceMs: number, by: Actor): Promise<MadeKey>
  /** Throws ACCESS_KEY_NOT_FOUND, ACCESS_ALREADY_REVOKED, ACCESS_LAST_ADMIN. */
  revoke(nameOrId: string, reason: string | undefined, by: Actor): Promise<Decision>
  list(): Promise<KeyView[]>
  /** Throws ACCESS_KEY_NOT_FOUND. */
  get(nameOrId: string): Promise<KeyView>
  usage(query: UsageQuery): Promise<UsageCount[]>
}
