// Each domain's schema steps, recorded in one table. What is applied must be the first part of what the code knows.
import type { Kysely, Transaction } from 'kysely'
import { HeadraceError } from '../core/index.js'
import { StoreErrors } from './errors.js'
import type { Migration } from './types.js'

type MigrationTables = {
  headrace_migrations: { domain: string; name: string; applied_ms: number }
}

export async function applyMigrations(
  tx: Transaction<unknown>,
  domain: string,
  migrations: Readonly<Record<string, Migration>>,
  nowMs: number,
): Promise<void> {
  await tx.schema
    .createTable('headrace_migrations')
    .ifNotExists()
    .addColumn('domain', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('applied_ms', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('headrace_migrations_key', ['domain', 'name'])
    .execute()
  const table: Kysely<MigrationTables> = tx.withTables<MigrationTables>()
  const rows = await table.selectFrom('headrace_migrations').select('name').where('domain', '=', domain).execute()
  // Sorted here: the collations of two engines need not agree.
  const applied = rows.map((row) => row.name).sort()
  const known = Object.keys(migrations).sort()
  const newer = applied.find((name) => !migrations[name])
  if (newer !== undefined) throw StoreErrors.SCHEMA_NEWER({ domain, migration: newer })
  const last = applied.at(-1)
  for (const name of known) {
    if (applied.includes(name)) continue
    if (last !== undefined && name < last) throw StoreErrors.MIGRATION_ORDER({ domain, migration: name, after: last })
    try {
      await migrations[name]!.up(tx)
    } catch (error) {
      // A full disk or a dead thread is not the migration's fault.
      if (error instanceof HeadraceError && error.retry) throw error
      throw StoreErrors.MIGRATION_FAILED({ domain, migration: name }, error)
    }
    await table.insertInto('headrace_migrations').values({ domain, name, applied_ms: nowMs }).execute()
  }
}
