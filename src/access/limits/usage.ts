// Exact counts of what callers were admitted with, by day, caller and endpoint: what quotas are seen by, and bills are made from.
import type { Transaction } from 'kysely'
import type { Sql } from '../../store/index.js'
import type { AccessTables } from '../keys.js'
import type { UsageCount } from './types.js'

/** Adds counts, all of them or none. */
export async function addUsage(sql: Sql, counts: readonly UsageCount[]): Promise<void> {
  await sql.transaction(async (tx: Transaction<AccessTables>) => {
    for (const count of counts)
      await tx
        .insertInto('access_usage')
        .values(count)
        .onConflict((conflict) =>
          conflict.columns(['day', 'caller', 'endpoint']).doUpdateSet((eb) => ({
            predictions: eb('access_usage.predictions', '+', count.predictions),
            rows: eb('access_usage.rows', '+', count.rows),
          })),
        )
        .execute()
  })
}

export interface UsageQuery {
  readonly caller?: string
  /** `2026-11-22`; both inclusive. */
  readonly from?: string
  readonly until?: string
}

export async function readUsage(sql: Sql, { caller, from, until }: UsageQuery): Promise<UsageCount[]> {
  let query = sql.db<AccessTables>().selectFrom('access_usage').selectAll()
  if (caller !== undefined) query = query.where('caller', '=', caller)
  if (from !== undefined) query = query.where('day', '>=', from)
  if (until !== undefined) query = query.where('day', '<=', until)
  return query.orderBy('day', 'desc').orderBy('caller').orderBy('endpoint').limit(10_000).execute()
}
