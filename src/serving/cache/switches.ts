// Which endpoints' caches were switched off or on again: the rows, and the decisions that change them. The decisions domain is on
// the same floor, so its ChangeKind is met by shape.
import type { Transaction } from 'kysely'
import { z } from 'zod'
import type { EndpointName } from '../../core/index.js'
import type { Migration, Sql } from '../../store/index.js'
import { ServingErrors } from '../errors.js'

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

type CacheTables = { serving_cache_switches: { endpoint: string; enabled: number } }

export const cacheMigrations: Readonly<Record<string, Migration>> = {
  '0001-cache-switches': {
    async up(tx) {
      await tx.schema
        .createTable('serving_cache_switches')
        .addColumn('endpoint', 'text', (column) => column.primaryKey())
        .addColumn('enabled', 'integer', (column) => column.notNull())
        .execute()
    },
  },
}

/** Whether caching is on, by endpoint; it is for those not named. */
export type CacheSwitches = ReadonlyMap<EndpointName, boolean>

export async function readCacheSwitches(sql: Sql): Promise<CacheSwitches> {
  const rows = await sql.db<CacheTables>().selectFrom('serving_cache_switches').selectAll().execute()
  return new Map(rows.map(({ endpoint, enabled }) => [endpoint as EndpointName, enabled === 1]))
}

const KIND = 'cache.switch'
const detail = z.strictObject({ enabled: z.boolean('must be true or false') })

export function cacheSwitch(endpoint: EndpointName, enabled: boolean): Change {
  return { kind: KIND, subject: endpoint, detail: { enabled } }
}

/** Subject: the endpoint. */
export const cacheSwitchKind: ChangeKind = {
  kind: KIND,
  undoable: true,
  parse: (change) => void read(change),
  apply: (tx, change) => replace(tx, change.subject, read(change)),
  undo: (tx, { change, before }) =>
    replace(tx, change.subject, before === null ? undefined : (before['enabled'] as boolean)),
  summary: (decision) =>
    `Switched the cache of endpoint ${decision.change.subject} ${read(decision.change) ? 'on' : 'off'}.`,
}

function read(change: Change): boolean {
  const parsed = detail.safeParse(change.detail)
  if (parsed.success) return parsed.data.enabled
  throw ServingErrors.CACHE_SWITCH_INVALID({ problem: z.prettifyError(parsed.error) })
}

/** Undefined leaves the endpoint as it is configured, which is on. */
async function replace(tx: Transaction<unknown>, endpoint: string, enabled: boolean | undefined): Promise<Replaced> {
  const db = tx.withTables<CacheTables>()
  const before = await db
    .selectFrom('serving_cache_switches')
    .select('enabled')
    .where('endpoint', '=', endpoint)
    .executeTakeFirst()
  if (enabled === undefined) {
    await db.deleteFrom('serving_cache_switches').where('endpoint', '=', endpoint).execute()
  } else {
    const values = { enabled: enabled ? 1 : 0 }
    await db
      .insertInto('serving_cache_switches')
      .values({ endpoint, ...values })
      .onConflict((conflict) => conflict.column('endpoint').doUpdateSet(values))
      .execute()
  }
  return before === undefined ? null : { enabled: before.enabled === 1 }
}
