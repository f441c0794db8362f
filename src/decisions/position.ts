// How far the decisions have come, for those who follow them from another process: numbers have no gaps, and the hash of the last
// one says whether they are still the ones that were seen.
import type { Sql } from '../store/index.js'
import { type DecisionTables, fromRow, HEAD_ID } from './tables.js'
import type { Decision } from './types.js'

export interface DecisionPosition {
  /** Of the last decision; 0 before any. */
  readonly number: number
  readonly hash: string
}

export async function readPosition(sql: Sql): Promise<DecisionPosition> {
  return sql
    .db<DecisionTables>()
    .selectFrom('decision_head')
    .select(['number', 'hash'])
    .where('id', '=', HEAD_ID)
    .executeTakeFirstOrThrow()
}

/** Those after `number`, oldest first. Whether one was undone since is not looked up. */
export async function readDecisionsAfter(sql: Sql, number: number, limit: number): Promise<Decision[]> {
  const rows = await sql
    .db<DecisionTables>()
    .selectFrom('decisions')
    .selectAll()
    .where('number', '>', number)
    .orderBy('number')
    .limit(limit)
    .execute()
  return rows.map((row) => fromRow(row, null))
}
