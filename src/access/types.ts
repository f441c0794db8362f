// Who calls, and what they may do.

/** Each role may do what the ones before it may: see, change what does not take traffic, let versions take traffic, everything. */
export type Role = 'viewer' | 'developer' | 'approver' | 'admin'

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
}
