// Who calls, and what they may do.

/** Each role may do what the ones before it may: see, change what does not take traffic, let versions take traffic, everything. */
export type Role = 'viewer' | 'developer' | 'approver' | 'admin'

export const ROLES: readonly Role[] = ['viewer', 'developer', 'approver', 'admin']

/**
 * What a request needs. `predict`: to predict with the endpoint named. `see`: to see it, which who may predict with it may too. Without
 * a name a role is needed for the whole project, and `see` and `predict` are needed for anything at all.
 */
export type Need = Role | 'predict' | 'see'

export interface Grant {
  readonly role: Role
  /** Endpoint and model names it holds for; `*` at the end stands for any rest. Absent: all of the project. */
  readonly on?: readonly string[]
}

/** A caller as the rest of the server sees it. */
export interface Caller {
  /** Key id or JWT subject; `anonymous` where no keys exist yet. */
  readonly id: string
  readonly name: string
  readonly kind: 'key' | 'jwt' | 'anonymous'
  readonly tenant: string
  readonly grants: readonly Grant[]
  /** Endpoints it may predict with; `*` at the end stands for any rest. */
  readonly predicts: readonly string[]
  /** What limits and counts its predictions; undefined for nothing. */
  readonly meter: Meter | undefined
}

/** Counts the predictions of one caller against its limits. */
export interface Meter {
  /** Before a request is read. Throws ACCESS_RATE_LIMITED. */
  admitRequest(): void | Promise<void>
  /** Before a prediction runs; throws or rejects with ACCESS_QUOTA_EXCEEDED. Nothing to wait for, as nearly always: undefined. */
  admitRows(endpoint: string, rows: number): void | Promise<void>
}

/** The headers that say who calls, over HTTP as over gRPC. */
export interface Credentials {
  readonly authorization?: string | undefined
  readonly 'x-api-key'?: string | readonly string[] | undefined
}

export interface Access {
  /** No key was ever made and no issuer of tokens is configured: everybody may do everything, and the server stays on loopback. */
  readonly isOpen: boolean
  /**
   * Who sends these headers: at once when it can be told at once, as nearly always. Throws or rejects with ACCESS_CREDENTIALS_MISSING,
   * ACCESS_CREDENTIALS_MALFORMED, ACCESS_KEY_INVALID, ACCESS_KEY_EXPIRED, ACCESS_KEY_REVOKED, ACCESS_TOKEN_INVALID or ACCESS_ISSUER_DOWN.
   */
  authenticate(credentials: Credentials): Caller | Promise<Caller>
  /** Throws ACCESS_ROLE_MISSING or ACCESS_PREDICT_MISSING. */
  check(caller: Caller, need: Need, name?: string): void
}
