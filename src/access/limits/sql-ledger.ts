// Quotas in the metadata store: exact over all nodes that share it, and over restarts.
import type { Transaction } from 'kysely'
import type { Sql } from '../../store/index.js'
import type { AccessTables } from '../keys.js'
import { blockOf, type QuotaLedger } from './types.js'

export function createSqlLedger(sql: Sql): QuotaLedger {
  /** Makes the row where there is none, and holds it to the end of the transaction. */
  async function lock(tx: Transaction<AccessTables>, key: string, day: string, by: number): Promise<number> {
    await tx
      .insertInto('access_quotas')
      .values({ key, day, reserved: 0 })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    const row = await tx
      .updateTable('access_quotas')
      .set((eb) => ({ reserved: eb('reserved', '+', by) }))
      .where('key', '=', key)
      .where('day', '=', day)
      .returning('reserved')
      .executeTakeFirstOrThrow()
    return row.reserved
  }

  return {
    reserve: ({ key, day, limit, need }) =>
      sql.transaction(async (tx: Transaction<AccessTables>) => {
        const granted = blockOf(limit - (await lock(tx, key, day, 0)), need)
        if (granted > 0) await lock(tx, key, day, granted)
        return granted
      }),
    add: (key, day, rows) =>
      sql.transaction(async (tx: Transaction<AccessTables>) => {
        await lock(tx, key, day, rows)
      }),
  }
}
