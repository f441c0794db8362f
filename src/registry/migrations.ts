// The registry's schema, step by step; a released step is never edited.
import type { Migration } from '../store/index.js'
import { collectedMigration, registeredMigration } from './registered-tables.js'

export const registryMigrations: Readonly<Record<string, Migration>> = {
  '0001-versions-aliases-endpoints': {
    async up(tx) {
      await tx.schema
        .createTable('registry_versions')
        .addColumn('model', 'text', (column) => column.notNull())
        .addColumn('version', 'bigint', (column) => column.notNull())
        .addColumn('digest', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('registry_versions_key', ['model', 'version'])
        .execute()
      await tx.schema
        .createTable('registry_aliases')
        .addColumn('model', 'text', (column) => column.notNull())
        .addColumn('alias', 'text', (column) => column.notNull())
        .addColumn('version', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('registry_aliases_key', ['model', 'alias'])
        .execute()
      await tx.schema
        .createTable('registry_endpoints')
        .addColumn('endpoint', 'text', (column) => column.primaryKey())
        .addColumn('model', 'text', (column) => column.notNull())
        .addColumn('selector', 'text', (column) => column.notNull())
        .execute()
    },
  },
  '0002-registered': registeredMigration,
  '0003-collected': collectedMigration,
}
