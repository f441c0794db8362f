// What nodes tell each other of their live windows while somebody looks: who asked for what, and what each node answered. Times are the
// metadata store's own.
import type { Migration } from '../../store/index.js'

/** What is looked at: all endpoints (`''`) or one, with the records of all tenants (`''`) or of one. */
export interface Subject {
  readonly tenant: string
  readonly endpoint: string
}

export interface LiveTables {
  live_asked: { node: string; tenant: string; endpoint: string; asked_ms: number }
  /** `state`: JSON of a Report. */
  live_reports: { node: string; tenant: string; endpoint: string; reported_ms: number; state: string }
}

export const liveMigrations: Readonly<Record<string, Migration>> = {
  '0001-live': {
    async up(tx) {
      await tx.schema
        .createTable('live_asked')
        .addColumn('node', 'text', (column) => column.notNull())
        .addColumn('tenant', 'text', (column) => column.notNull())
        .addColumn('endpoint', 'text', (column) => column.notNull())
        .addColumn('asked_ms', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('live_asked_key', ['node', 'tenant', 'endpoint'])
        .execute()
      await tx.schema
        .createTable('live_reports')
        .addColumn('node', 'text', (column) => column.notNull())
        .addColumn('tenant', 'text', (column) => column.notNull())
        .addColumn('endpoint', 'text', (column) => column.notNull())
        .addColumn('reported_ms', 'bigint', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('live_reports_key', ['node', 'tenant', 'endpoint'])
        .execute()
    },
  },
}
