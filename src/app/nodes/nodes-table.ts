// The nodes of one metadata store, as each reports itself. Times are the store's own, so that no two nodes' clocks are compared.
import { type RawBuilder, sql as raw } from 'kysely'
import type { Clock } from '../../core/index.js'
import type { Migration, Sql } from '../../store/index.js'

export interface NodeRow {
  id: string
  name: string
  version: string
  started_ms: number
  reported_ms: number
  /** JSON of NodeState. */
  state: string
}

export type NodeTables = { nodes: NodeRow }

export const nodeMigrations: Readonly<Record<string, Migration>> = {
  '0001-nodes': {
    async up(tx) {
      await tx.schema
        .createTable('nodes')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('version', 'text', (column) => column.notNull())
        .addColumn('started_ms', 'bigint', (column) => column.notNull())
        .addColumn('reported_ms', 'bigint', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .execute()
    },
  },
}

/** The store's time; with SQLite that is this machine's. */
export function storeNowMs(sql: Sql, clock: Clock): RawBuilder<number> {
  return sql.dialect === 'postgres'
    ? raw<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`
    : raw<number>`${clock.nowMs()}`
}
