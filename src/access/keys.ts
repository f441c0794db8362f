// Keys as they are stored and as people see them.
import type { Migration, Sql } from '../store/index.js'
import type { Grant, Role } from './types.js'

/** A key without its secret. Plain data: every process has a copy of all of them. */
export interface StoredKey {
  readonly id: string
  readonly name: string
  /** HMAC-SHA256 of the key, in hex. */
  readonly digest: string
  /** Of the secret that the digest was made with. */
  readonly secretId: string
  readonly role: Role | null
  /** Endpoints and models that the role holds for; null: all. */
  readonly on: readonly string[] | null
  readonly predicts: readonly string[]
  readonly tenant: string
  /** Requests per second, and how many may come at once. */
  readonly ratePerSecond: number | null
  readonly burst: number | null
  /** Rows per day. */
  readonly quotaPerDay: number | null
  readonly createdMs: number
  readonly expiresMs: number | null
  readonly revokedMs: number | null
}

export interface KeyRow {
  id: string
  name: string
  digest: string
  secret_id: string
  role: string | null
  /** JSON lists. */
  held_on: string | null
  predicts: string
  tenant: string
  rate_per_second: number | null
  burst: number | null
  quota_per_day: number | null
  created_ms: number
  expires_ms: number | null
  revoked_ms: number | null
}

export type AccessTables = {
  access_keys: KeyRow
  /** Rows reserved of a key's quota: what processes hold to spend is in it. */
  access_quotas: { key: string; day: string; reserved: number }
  access_usage: { day: string; caller: string; endpoint: string; predictions: number; rows: number }
}

export const accessMigrations: Readonly<Record<string, Migration>> = {
  '0001-keys': {
    async up(tx) {
      await tx.schema
        .createTable('access_keys')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('digest', 'text', (column) => column.notNull())
        .addColumn('secret_id', 'text', (column) => column.notNull())
        .addColumn('role', 'text')
        .addColumn('held_on', 'text')
        .addColumn('predicts', 'text', (column) => column.notNull())
        .addColumn('tenant', 'text', (column) => column.notNull())
        .addColumn('rate_per_second', 'double precision')
        .addColumn('burst', 'double precision')
        .addColumn('quota_per_day', 'bigint')
        .addColumn('created_ms', 'bigint', (column) => column.notNull())
        .addColumn('expires_ms', 'bigint')
        .addColumn('revoked_ms', 'bigint')
        .execute()
      await tx.schema
        .createTable('access_quotas')
        .addColumn('key', 'text', (column) => column.notNull())
        .addColumn('day', 'text', (column) => column.notNull())
        .addColumn('reserved', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('access_quotas_key', ['key', 'day'])
        .execute()
      await tx.schema
        .createTable('access_usage')
        .addColumn('day', 'text', (column) => column.notNull())
        .addColumn('caller', 'text', (column) => column.notNull())
        .addColumn('endpoint', 'text', (column) => column.notNull())
        .addColumn('predictions', 'bigint', (column) => column.notNull())
        .addColumn('rows', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('access_usage_key', ['day', 'caller', 'endpoint'])
        .execute()
    },
  },
}

/** Every key that was ever made, oldest first. */
export async function readKeys(sql: Sql): Promise<StoredKey[]> {
  const rows = await sql
    .db<AccessTables>()
    .selectFrom('access_keys')
    .selectAll()
    .orderBy('created_ms')
    .orderBy('id')
    .execute()
  return rows.map(fromRow)
}

export function fromRow(row: KeyRow): StoredKey {
  return {
    id: row.id,
    name: row.name,
    digest: row.digest,
    secretId: row.secret_id,
    role: row.role as Role | null,
    on: row.held_on === null ? null : (JSON.parse(row.held_on) as string[]),
    predicts: JSON.parse(row.predicts) as string[],
    tenant: row.tenant,
    ratePerSecond: row.rate_per_second,
    burst: row.burst,
    quotaPerDay: row.quota_per_day,
    createdMs: row.created_ms,
    expiresMs: row.expires_ms,
    revokedMs: row.revoked_ms,
  }
}

/** Why a key is of no use now; undefined when it is of use. */
export function whyUnusable(
  { expiresMs, revokedMs }: Pick<StoredKey, 'expiresMs' | 'revokedMs'>,
  nowMs: number,
): 'revoked' | 'expired' | undefined {
  if (revokedMs !== null) return 'revoked'
  return expiresMs !== null && expiresMs <= nowMs ? 'expired' : undefined
}

export function grantsOf({ role, on }: Pick<StoredKey, 'role' | 'on'>): Grant[] {
  if (role === null) return []
  return [on === null ? { role } : { role, on }]
}

/** Who may change an endpoint may try it. */
export function defaultPredicts(role: Role | null, on: readonly string[] | null): readonly string[] {
  return role === null || role === 'viewer' ? [] : (on ?? ['*'])
}
