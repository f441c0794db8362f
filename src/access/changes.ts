// The decisions that make and revoke keys. The decisions domain is on the same floor, so its ChangeKind is met by shape. A key's
// digest never enters a decision: it is handed over beside it, in the process that makes both.
import type { Kysely, Transaction } from 'kysely'
import { z } from 'zod'
import type { Clock } from '../core/index.js'
import { AccessErrors } from './errors.js'
import { type AccessTables, fromRow, type KeyRow, type StoredKey, whyUnusable } from './keys.js'
import { DEFAULT_TENANT } from './permissions.js'
import { ROLES } from './types.js'

/** As in decisions/types.ts. */
interface Change {
  readonly kind: string
  readonly subject: string
  readonly detail: Readonly<Record<string, string | number | boolean | null>>
}
type Replaced = Readonly<Record<string, unknown>> | null
interface ChangeKind {
  readonly kind: string
  readonly undoable: boolean
  parse(change: Change): void
  apply(tx: Transaction<unknown>, change: Change): Promise<Replaced>
  undo(tx: Transaction<unknown>, decision: { readonly change: Change; readonly before: Replaced }): Promise<Replaced>
  summary(decision: { readonly change: Change }): string
}

export interface Fingerprint {
  readonly digest: string
  readonly secretId: string
  /** Asked for by somebody who was let in because there was no key yet. */
  readonly isFirst?: boolean
}

export interface KeyKindsOptions {
  readonly clock: Clock
  /** Digests of keys that are being made, by id. */
  readonly pending: Map<string, Fingerprint>
  /** Whether callers with tokens of other issuers may be admins: then no key needs to be. */
  readonly hasIssuers: boolean
}

const time = z.int().nonnegative()
const created = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{12}$/),
  name: z.string(),
  role: z.enum(ROLES as [string, ...string[]]).nullable(),
  on: z.string().nullable(),
  predict: z.string(),
  tenant: z.string(),
  ratePerSecond: z.number().positive().nullable(),
  burst: z.number().min(1).nullable(),
  quotaPerDay: z.int().positive().nullable(),
  createdMs: time,
  expiresMs: time.nullable(),
  replaces: z.string().nullable(),
  replacedUntilMs: time.nullable(),
})
const revoked = z.strictObject({ id: z.string(), name: z.string(), revokedMs: time })

type Created = z.output<typeof created>

/** Subject: the key's id. */
export function keyChangeKinds(options: KeyKindsOptions): ChangeKind[] {
  const create: ChangeKind = {
    kind: 'key.create',
    undoable: true,
    parse: (change) => void read(created, change),
    async apply(tx, change) {
      const db = tx.withTables<AccessTables>()
      const detail = read(created, change)
      const print = options.pending.get(detail.id)
      if (print === undefined)
        throw AccessErrors.CHANGE_INVALID({ kind: change.kind, problem: 'keys are made by the keys service alone' })
      const others = await allKeys(db)
      if (others.length === 0 && !options.hasIssuers && !isAdmin(detail))
        throw AccessErrors.FIRST_KEY({ role: detail.role ?? 'none' })
      // Another was quicker: only with a key from then on.
      if (print.isFirst === true && others.length > 0) throw AccessErrors.CREDENTIALS_MISSING()
      const nowMs = options.clock.nowMs()
      expectNameFree(others, detail, nowMs, detail.replaces)
      let before: Replaced = null
      if (detail.replaces !== null) {
        const old = await liveKey(db, detail.replaces, nowMs)
        before = { expiresMs: old.expires_ms }
        const untilMs = Math.min(old.expires_ms ?? Number.MAX_SAFE_INTEGER, detail.replacedUntilMs ?? nowMs)
        await db.updateTable('access_keys').set({ expires_ms: untilMs }).where('id', '=', old.id).execute()
      }
      await db.insertInto('access_keys').values(rowOf(detail, print)).execute()
      return before
    },
    async undo(tx, { change, before }) {
      const db = tx.withTables<AccessTables>()
      const { id, name, replaces } = read(created, change)
      const { revoked_ms: revokedMs } = await keyRow(db, id)
      const nowMs = options.clock.nowMs()
      let was: Replaced = null
      if (replaces !== null) {
        const old = await keyRow(db, replaces)
        was = { expiresMs: old.expires_ms }
        const expires = (before as { readonly expiresMs: number | null }).expiresMs
        await db.updateTable('access_keys').set({ expires_ms: expires }).where('id', '=', replaces).execute()
      }
      // Undone, the key is revoked; the undo of that makes it good again.
      if (revokedMs === null) await expectAdminLeft(db, id, options, nowMs)
      else expectNameFree(await allKeys(db), { id, name }, nowMs, replaces)
      await db
        .updateTable('access_keys')
        .set({ revoked_ms: revokedMs === null ? nowMs : null })
        .where('id', '=', id)
        .execute()
      return was
    },
    summary({ change }) {
      const { name, role, on, predict, replaces } = read(created, change)
      const may = [
        role !== null && `${role}${on === null ? '' : ` on ${on}`}`,
        predict !== '' && `predict with ${predict}`,
      ]
      return `${replaces === null ? 'Made' : 'Rotated'} the key "${name}" (${may.filter(Boolean).join(', ')}).`
    },
  }
  const revoke: ChangeKind = {
    kind: 'key.revoke',
    undoable: true,
    parse: (change) => void read(revoked, change),
    async apply(tx, change) {
      const db = tx.withTables<AccessTables>()
      const { id, revokedMs } = read(revoked, change)
      const row = await keyRow(db, id)
      if (row.revoked_ms !== null) throw AccessErrors.ALREADY_REVOKED({ name: row.name, id })
      await expectAdminLeft(db, id, options, revokedMs)
      await db.updateTable('access_keys').set({ revoked_ms: revokedMs }).where('id', '=', id).execute()
      return { revokedMs: null }
    },
    async undo(tx, { change, before }) {
      const db = tx.withTables<AccessTables>()
      const { id, name } = read(revoked, change)
      const { revoked_ms: was } = await keyRow(db, id)
      const { revokedMs } = before as { readonly revokedMs: number | null }
      if (revokedMs !== null) await expectAdminLeft(db, id, options, revokedMs)
      else expectNameFree(await allKeys(db), { id, name }, options.clock.nowMs(), null)
      await db.updateTable('access_keys').set({ revoked_ms: revokedMs }).where('id', '=', id).execute()
      return { revokedMs: was }
    },
    summary: ({ change }) => `Revoked the key "${read(revoked, change).name}".`,
  }
  return [create, revoke]
}

/** Nobody is to lock everybody out: the last key that may make keys stays. */
async function expectAdminLeft(
  db: Kysely<AccessTables>,
  id: string,
  options: KeyKindsOptions,
  nowMs: number,
): Promise<void> {
  if (options.hasIssuers) return
  const keys = await allKeys(db)
  const admins = keys.filter((key) => isAdmin(key) && whyUnusable(key, nowMs) === undefined)
  if (admins.length === 1 && admins[0]!.id === id) throw AccessErrors.LAST_ADMIN({ name: admins[0]!.name })
}

/** Who may make keys for everybody. */
function isAdmin({ role, on, tenant }: Pick<Created, 'role' | 'on' | 'tenant'> | StoredKey): boolean {
  return role === 'admin' && on === null && tenant === DEFAULT_TENANT
}

/** Decisions name keys: of those in use a name stands for one, and `replaced` is about to go. */
function expectNameFree(
  keys: readonly StoredKey[],
  { id, name }: Pick<Created, 'id' | 'name'>,
  nowMs: number,
  replaced: string | null,
): void {
  const namesake = keys.find((key) => key.name === name && key.id !== id && whyUnusable(key, nowMs) === undefined)
  if (namesake !== undefined && namesake.id !== replaced) throw AccessErrors.NAME_TAKEN({ name, id: namesake.id })
}

async function allKeys(db: Kysely<AccessTables>): Promise<StoredKey[]> {
  return (await db.selectFrom('access_keys').selectAll().execute()).map(fromRow)
}

async function keyRow(db: Kysely<AccessTables>, id: string): Promise<KeyRow> {
  const row = await db.selectFrom('access_keys').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) throw AccessErrors.KEY_NOT_FOUND({ key: id })
  return row
}

async function liveKey(db: Kysely<AccessTables>, id: string, nowMs: number): Promise<KeyRow> {
  const row = await keyRow(db, id)
  if (whyUnusable(fromRow(row), nowMs) !== undefined) throw AccessErrors.ALREADY_REVOKED({ name: row.name, id })
  return row
}

function rowOf(detail: Created, { digest, secretId }: Fingerprint): KeyRow {
  return {
    id: detail.id,
    name: detail.name,
    digest,
    secret_id: secretId,
    role: detail.role,
    held_on: detail.on === null ? null : JSON.stringify(split(detail.on)),
    predicts: JSON.stringify(split(detail.predict)),
    tenant: detail.tenant,
    rate_per_second: detail.ratePerSecond,
    burst: detail.burst,
    quota_per_day: detail.quotaPerDay,
    created_ms: detail.createdMs,
    expires_ms: detail.expiresMs,
    revoked_ms: null,
  }
}

function split(list: string): string[] {
  return list === '' ? [] : list.split(',')
}

function read<T>(schema: z.ZodType<T>, { kind, detail }: Change): T {
  const parsed = schema.safeParse(detail)
  if (parsed.success) return parsed.data
  throw AccessErrors.CHANGE_INVALID({ kind, problem: z.prettifyError(parsed.error) })
}
