// The tables of registered models and versions. A version's number, digest and files never change; what people say about it may. `facts`
// is JSON of what is only ever read as a whole; what is searched has columns of its own.
import type { Kysely, Transaction } from 'kysely'
import type { Migration } from '../store/index.js'
import type { RegistryTables } from './metadata.js'

export type RegisteredTables = {
  registry_models: {
    name: string
    servable_name: string
    description: string
    owner: string
    team: string
    created_ms: number
    updated_ms: number
    /** JSON. */
    created_by: string
    /** Null unless the whole model was deleted. */
    deleted_ms: number | null
  }
  registry_model_tags: { model: string; key: string; value: string }
  /** `model` is the servable name, here and below. */
  registry_artifacts: {
    model: string
    version: number
    digest: string
    /** SHA-256 of the list of all its files: what makes two pushes the same. Empty where there are none. */
    content: string
    is_servable: number
    reason: string | null
    /** Text of model.json. */
    manifest: string | null
    size_bytes: number
    source: string
    run_id: string | null
    stage: string
    description: string
    card: string
    owner: string
    team: string
    metrics: string
    facts: string
    created_ms: number
    updated_ms: number
    created_by: string
    deleted_ms: number | null
  }
  registry_files: {
    model: string
    version: number
    /** `artifact`: as registered; `served`: what a server loads. */
    role: 'artifact' | 'served'
    path: string
    digest: string
    size_bytes: number
  }
  registry_tags: { model: string; version: number; key: string; value: string }
  /** Finite ones, for searching. */
  registry_metrics: { model: string; version: number; name: string; value: number }
  /** Blobs that the registry put or was told of, and when last; `leaving` while one is being removed. */
  registry_blobs: { digest: string; size_bytes: number; claimed_ms: number; leaving: number }
  /** Versions that are gone for good; their numbers stay taken. */
  registry_collected: { model: string; version: number }
}

export type AllTables = RegistryTables & RegisteredTables
export type Db = Kysely<AllTables> | Transaction<AllTables>

export const registeredMigration: Migration = {
  async up(tx) {
    const { schema } = tx
    await schema
      .createTable('registry_models')
      .addColumn('name', 'text', (column) => column.primaryKey())
      .addColumn('servable_name', 'text', (column) => column.notNull().unique())
      .addColumn('description', 'text', (column) => column.notNull())
      .addColumn('owner', 'text', (column) => column.notNull())
      .addColumn('team', 'text', (column) => column.notNull())
      .addColumn('created_ms', 'bigint', (column) => column.notNull())
      .addColumn('updated_ms', 'bigint', (column) => column.notNull())
      .addColumn('created_by', 'text', (column) => column.notNull())
      .addColumn('deleted_ms', 'bigint')
      .execute()
    await schema
      .createTable('registry_model_tags')
      .addColumn('model', 'text', (column) => column.notNull())
      .addColumn('key', 'text', (column) => column.notNull())
      .addColumn('value', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('registry_model_tags_key', ['model', 'key'])
      .execute()
    await schema
      .createTable('registry_artifacts')
      .addColumn('model', 'text', (column) => column.notNull())
      .addColumn('version', 'bigint', (column) => column.notNull())
      .addColumn('digest', 'text', (column) => column.notNull())
      .addColumn('content', 'text', (column) => column.notNull())
      .addColumn('is_servable', 'integer', (column) => column.notNull())
      .addColumn('reason', 'text')
      .addColumn('manifest', 'text')
      .addColumn('size_bytes', 'bigint', (column) => column.notNull())
      .addColumn('source', 'text', (column) => column.notNull())
      .addColumn('run_id', 'text')
      .addColumn('stage', 'text', (column) => column.notNull())
      .addColumn('description', 'text', (column) => column.notNull())
      .addColumn('card', 'text', (column) => column.notNull())
      .addColumn('owner', 'text', (column) => column.notNull())
      .addColumn('team', 'text', (column) => column.notNull())
      .addColumn('metrics', 'text', (column) => column.notNull())
      .addColumn('facts', 'text', (column) => column.notNull())
      .addColumn('created_ms', 'bigint', (column) => column.notNull())
      .addColumn('updated_ms', 'bigint', (column) => column.notNull())
      .addColumn('created_by', 'text', (column) => column.notNull())
      .addColumn('deleted_ms', 'bigint')
      .addPrimaryKeyConstraint('registry_artifacts_key', ['model', 'version'])
      .execute()
    await schema.createIndex('registry_artifacts_by_run').on('registry_artifacts').column('run_id').execute()
    await schema.createIndex('registry_artifacts_by_time').on('registry_artifacts').column('created_ms').execute()
    await schema
      .createTable('registry_files')
      .addColumn('model', 'text', (column) => column.notNull())
      .addColumn('version', 'bigint', (column) => column.notNull())
      .addColumn('role', 'text', (column) => column.notNull())
      .addColumn('path', 'text', (column) => column.notNull())
      .addColumn('digest', 'text', (column) => column.notNull())
      .addColumn('size_bytes', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('registry_files_key', ['model', 'version', 'role', 'path'])
      .execute()
    await schema.createIndex('registry_files_by_digest').on('registry_files').column('digest').execute()
    await schema
      .createTable('registry_tags')
      .addColumn('model', 'text', (column) => column.notNull())
      .addColumn('version', 'bigint', (column) => column.notNull())
      .addColumn('key', 'text', (column) => column.notNull())
      .addColumn('value', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('registry_tags_key', ['model', 'version', 'key'])
      .execute()
    await schema
      .createTable('registry_metrics')
      .addColumn('model', 'text', (column) => column.notNull())
      .addColumn('version', 'bigint', (column) => column.notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('value', 'double precision', (column) => column.notNull())
      .addPrimaryKeyConstraint('registry_metrics_key', ['model', 'version', 'name'])
      .execute()
    await schema
      .createTable('registry_blobs')
      .addColumn('digest', 'text', (column) => column.primaryKey())
      .addColumn('size_bytes', 'bigint', (column) => column.notNull())
      .addColumn('claimed_ms', 'bigint', (column) => column.notNull())
      .addColumn('leaving', 'integer', (column) => column.notNull())
      .execute()
  },
}

export const collectedMigration: Migration = {
  async up(tx) {
    await tx.schema
      .createTable('registry_collected')
      .addColumn('model', 'text', (column) => column.notNull())
      .addColumn('version', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('registry_collected_key', ['model', 'version'])
      .execute()
  },
}
