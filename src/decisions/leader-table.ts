// Who leads, as it is kept: one row per thing that is led, changed by compare-and-set alone.
import type { Transaction } from 'kysely'
import type { Migration, Sql } from '../store/index.js'
import { DecisionErrors } from './errors.js'

export interface LeaseRow {
  /** Empty when nobody leads. */
  readonly holder: string
  /** Grows with every change of leader. */
  readonly term: number
  /** Grows with every sign of life. */
  readonly counter: number
}

export interface LeaseStore {
  read(): Promise<LeaseRow>
  /** Replaces `expected`, if that is what is there. */
  swap(expected: LeaseRow, next: LeaseRow): Promise<boolean>
}

type LeaderTables = { leader_lease: LeaseRow & { name: string } }

export const leaderMigrations: Readonly<Record<string, Migration>> = {
  '0001-leader-lease': {
    async up(tx) {
      await tx.schema
        .createTable('leader_lease')
        .addColumn('name', 'text', (column) => column.primaryKey())
        .addColumn('holder', 'text', (column) => column.notNull())
        .addColumn('term', 'bigint', (column) => column.notNull())
        .addColumn('counter', 'bigint', (column) => column.notNull())
        .execute()
    },
  },
}

const NOBODY: LeaseRow = { holder: '', term: 0, counter: 0 }

export function sqlLeaseStore(sql: Sql, name: string): LeaseStore {
  const db = () => sql.db<LeaderTables>()
  return {
    async read() {
      const row = await db()
        .selectFrom('leader_lease')
        .select(['holder', 'term', 'counter'])
        .where('name', '=', name)
        .executeTakeFirst()
      if (row !== undefined) return row
      await db()
        .insertInto('leader_lease')
        .values({ name, ...NOBODY })
        .onConflict((on) => on.doNothing())
        .execute()
      return NOBODY
    },
    async swap(expected, next) {
      const { numUpdatedRows } = await db()
        .updateTable('leader_lease')
        .set(next)
        .where('name', '=', name)
        .where('holder', '=', expected.holder)
        .where('term', '=', expected.term)
        .where('counter', '=', expected.counter)
        .executeTakeFirstOrThrow()
      return numUpdatedRows === 1n
    },
  }
}

/** Inside the transaction that a leader makes: throws DECISION_NOT_LEADER when another leads by now. */
export async function requireTerm(tx: Transaction<unknown>, name: string, term: number): Promise<void> {
  const row = await tx
    .withTables<LeaderTables>()
    .selectFrom('leader_lease')
    .select('term')
    .where('name', '=', name)
    .executeTakeFirst()
  if (row?.term !== term) throw DecisionErrors.NOT_LEADER({ name, term, now: row?.term ?? 0 })
}
