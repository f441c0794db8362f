// The tables of experiments, runs and logged models. Runs have a number beside their id: what they log is keyed by it, and it grows with
// the time of their making. `head` is the start of a text, short enough for an index.
import { type CreateTableBuilder, type Transaction, sql as text } from 'kysely'
import type { Migration, Sql } from '../store/index.js'
import type { Int64 } from './types.js'

export type TrackingTables = {
  tracking_experiments: {
    id: number
    name: string
    artifact_location: string
    is_deleted: number
    created_ms: number
    updated_ms: number
  }
  tracking_experiment_tags: { experiment: number; key: string; value: string }
  tracking_runs: {
    number: number
    run_id: string
    experiment: number
    name: string
    user_id: string
    status: string
    start_ms: Int64
    end_ms: Int64 | null
    artifact_uri: string
    is_deleted: number
    /** When the run was deleted with its experiment; null when it was not. */
    deleted_with_ms: number | null
  }
  run_params: { run: number; key: string; experiment: number; value: string; head: string }
  run_tags: { run: number; key: string; experiment: number; value: string; head: string }
  metric_points: {
    run: number
    /** Of its key: `bucketOf`. */
    bucket: number
    key: string
    timestamp_ms: Int64
    step: Int64
    value: number
    is_nan: number
    is_infinite: number
  }
  latest_metrics: {
    run: number
    key: string
    experiment: number
    value: number
    is_nan: number
    is_infinite: number
    timestamp_ms: Int64
    step: Int64
  }
  tracking_datasets: {
    id: string
    experiment: number
    name: string
    digest: string
    source_type: string
    source: string
    schema: string | null
    profile: string | null
  }
  run_datasets: { run: number; dataset: string; position: number; context: string | null; tags: string }
  run_models: { run: number; kind: string; model_id: string; step: Int64; position: number }
  logged_models: {
    number: number
    model_id: string
    experiment: number
    name: string
    model_type: string
    source_run_id: string
    status: string
    artifact_uri: string
    is_deleted: number
    created_ms: number
    updated_ms: number
  }
  logged_model_pairs: { model_id: string; kind: string; key: string; value: string }
  logged_model_metrics: {
    model_id: string
    key: string
    timestamp_ms: Int64
    step: Int64
    value: number
    is_nan: number
    is_infinite: number
    dataset_name: string
    dataset_digest: string
    run_id: string
  }
  tracking_artifacts: { folder: string; name: string; digest: string; size_bytes: number; stored_ms: number }
  tracking_artifact_folders: { parent: string; name: string }
}

export const DEFAULT_EXPERIMENT = 0
/** Of a run's params and tags. Postgres indexes no more than 2,700 bytes. */
const HEAD_LENGTH = 100

export function headOf(value: string): string {
  return value.length <= HEAD_LENGTH ? value : value.slice(0, HEAD_LENGTH).replace(/[\ud800-\udbff]$/, '')
}

/** A head that is shorter is the whole value. One less than a head has, because half of a pair at its end is left out. */
export const WHOLE_LENGTH = HEAD_LENGTH - 1

/**
 * Points lie by bucket and time: a batch of a thousand keys touches a few places of the table instead of a thousand (17 ms less,
 * 2026-11-23), and the history of one key is found among a sixteenth of its run's points.
 */
const BUCKETS = 16

/** Stored: it must stay as it is. FNV-1a over UTF-16 code units. */
export function bucketOf(key: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % BUCKETS
}

export function trackingMigrations(dialect: Sql['dialect'], nowMs: number): Readonly<Record<string, Migration>> {
  /** A number that is the row itself in SQLite is found at once; Postgres's `integer` is too short. */
  const number = dialect === 'sqlite' ? 'integer' : 'bigint'
  /** A table that is its own index takes half the space and writes. */
  const keyed = <B extends CreateTableBuilder<string, string>>(table: B) =>
    dialect === 'sqlite' ? table.modifyEnd(text`without rowid`) : table
  return {
    '0001-tracking': {
      async up(tx: Transaction<unknown>) {
        const { schema } = tx
        await schema
          .createTable('tracking_experiments')
          .addColumn('id', number, (column) => column.primaryKey())
          .addColumn('name', 'text', (column) => column.notNull().unique())
          .addColumn('artifact_location', 'text', (column) => column.notNull())
          .addColumn('is_deleted', 'integer', (column) => column.notNull())
          .addColumn('created_ms', 'bigint', (column) => column.notNull())
          .addColumn('updated_ms', 'bigint', (column) => column.notNull())
          .execute()
        await schema
          .createTable('tracking_experiment_tags')
          .addColumn('experiment', 'bigint', (column) => column.notNull())
          .addColumn('key', 'text', (column) => column.notNull())
          .addColumn('value', 'text', (column) => column.notNull())
          .addPrimaryKeyConstraint('tracking_experiment_tags_key', ['experiment', 'key'])
          .execute()
        await schema
          .createTable('tracking_runs')
          .addColumn('number', number, (column) => column.primaryKey())
          .addColumn('run_id', 'text', (column) => column.notNull().unique())
          .addColumn('experiment', 'bigint', (column) => column.notNull())
          .addColumn('name', 'text', (column) => column.notNull())
          .addColumn('user_id', 'text', (column) => column.notNull())
          .addColumn('status', 'text', (column) => column.notNull())
          .addColumn('start_ms', 'bigint', (column) => column.notNull())
          .addColumn('end_ms', 'bigint')
          .addColumn('artifact_uri', 'text', (column) => column.notNull())
          .addColumn('is_deleted', 'integer', (column) => column.notNull())
          .addColumn('deleted_with_ms', 'bigint')
          .execute()
        await schema
          .createIndex('tracking_runs_by_experiment')
          .on('tracking_runs')
          .columns(['experiment', 'start_ms desc', 'run_id'])
          .execute()
        await schema
          .createIndex('tracking_runs_by_start')
          .on('tracking_runs')
          .columns(['start_ms desc', 'run_id'])
          .execute()
        await schema.createIndex('tracking_runs_by_name').on('tracking_runs').columns(['experiment', 'name']).execute()
        await schema
          .createIndex('tracking_runs_by_status')
          .on('tracking_runs')
          .columns(['experiment', 'status'])
          .execute()
        for (const name of ['run_params', 'run_tags']) {
          await keyed(
            schema
              .createTable(name)
              .addColumn('run', 'bigint', (column) => column.notNull())
              .addColumn('key', 'text', (column) => column.notNull())
              .addColumn('experiment', 'bigint', (column) => column.notNull())
              .addColumn('value', 'text', (column) => column.notNull())
              .addColumn('head', 'text', (column) => column.notNull())
              .addPrimaryKeyConstraint(`${name}_key`, ['run', 'key']),
          ).execute()
          await schema.createIndex(`${name}_by_head`).on(name).columns(['experiment', 'key', 'head', 'run']).execute()
        }
        await keyed(
          schema
            .createTable('metric_points')
            .addColumn('run', 'bigint', (column) => column.notNull())
            .addColumn('bucket', 'integer', (column) => column.notNull())
            .addColumn('key', 'text', (column) => column.notNull())
            .addColumn('timestamp_ms', 'bigint', (column) => column.notNull())
            .addColumn('step', 'bigint', (column) => column.notNull())
            .addColumn('value', 'double precision', (column) => column.notNull())
            .addColumn('is_nan', 'integer', (column) => column.notNull())
            .addColumn('is_infinite', 'integer', (column) => column.notNull())
            .addPrimaryKeyConstraint('metric_points_key', [
              'run',
              'bucket',
              'timestamp_ms',
              'step',
              'key',
              'value',
              'is_nan',
              'is_infinite',
            ]),
        ).execute()
        await keyed(
          schema
            .createTable('latest_metrics')
            .addColumn('run', 'bigint', (column) => column.notNull())
            .addColumn('key', 'text', (column) => column.notNull())
            .addColumn('experiment', 'bigint', (column) => column.notNull())
            .addColumn('value', 'double precision', (column) => column.notNull())
            .addColumn('is_nan', 'integer', (column) => column.notNull())
            .addColumn('is_infinite', 'integer', (column) => column.notNull())
            .addColumn('timestamp_ms', 'bigint', (column) => column.notNull())
            .addColumn('step', 'bigint', (column) => column.notNull())
            .addPrimaryKeyConstraint('latest_metrics_key', ['run', 'key']),
        ).execute()
        await schema
          .createIndex('latest_metrics_by_value')
          .on('latest_metrics')
          .columns(['experiment', 'key', 'is_nan', 'value', 'run'])
          .execute()
        await schema
          .createTable('tracking_datasets')
          .addColumn('id', 'text', (column) => column.primaryKey())
          .addColumn('experiment', 'bigint', (column) => column.notNull())
          .addColumn('name', 'text', (column) => column.notNull())
          .addColumn('digest', 'text', (column) => column.notNull())
          .addColumn('source_type', 'text', (column) => column.notNull())
          .addColumn('source', 'text', (column) => column.notNull())
          .addColumn('schema', 'text')
          .addColumn('profile', 'text')
          .addUniqueConstraint('tracking_datasets_once', ['experiment', 'name', 'digest'])
          .execute()
        await schema
          .createTable('run_datasets')
          .addColumn('run', 'bigint', (column) => column.notNull())
          .addColumn('dataset', 'text', (column) => column.notNull())
          .addColumn('position', 'integer', (column) => column.notNull())
          .addColumn('context', 'text')
          .addColumn('tags', 'text', (column) => column.notNull())
          .addPrimaryKeyConstraint('run_datasets_key', ['run', 'dataset'])
          .execute()
        await schema.createIndex('run_datasets_by_dataset').on('run_datasets').columns(['dataset', 'run']).execute()
        await schema
          .createTable('run_models')
          .addColumn('run', 'bigint', (column) => column.notNull())
          .addColumn('kind', 'text', (column) => column.notNull())
          .addColumn('model_id', 'text', (column) => column.notNull())
          .addColumn('step', 'bigint', (column) => column.notNull())
          .addColumn('position', 'integer', (column) => column.notNull())
          .addPrimaryKeyConstraint('run_models_key', ['run', 'kind', 'model_id', 'step'])
          .execute()
        await schema
          .createTable('logged_models')
          .addColumn('number', number, (column) => column.primaryKey())
          .addColumn('model_id', 'text', (column) => column.notNull().unique())
          .addColumn('experiment', 'bigint', (column) => column.notNull())
          .addColumn('name', 'text', (column) => column.notNull())
          .addColumn('model_type', 'text', (column) => column.notNull())
          .addColumn('source_run_id', 'text', (column) => column.notNull())
          .addColumn('status', 'text', (column) => column.notNull())
          .addColumn('artifact_uri', 'text', (column) => column.notNull())
          .addColumn('is_deleted', 'integer', (column) => column.notNull())
          .addColumn('created_ms', 'bigint', (column) => column.notNull())
          .addColumn('updated_ms', 'bigint', (column) => column.notNull())
          .execute()
        await schema
          .createIndex('logged_models_by_experiment')
          .on('logged_models')
          .columns(['experiment', 'created_ms'])
          .execute()
        await schema
          .createTable('logged_model_pairs')
          .addColumn('model_id', 'text', (column) => column.notNull())
          .addColumn('kind', 'text', (column) => column.notNull())
          .addColumn('key', 'text', (column) => column.notNull())
          .addColumn('value', 'text', (column) => column.notNull())
          .addPrimaryKeyConstraint('logged_model_pairs_key', ['model_id', 'kind', 'key'])
          .execute()
        await schema
          .createTable('logged_model_metrics')
          .addColumn('model_id', 'text', (column) => column.notNull())
          .addColumn('key', 'text', (column) => column.notNull())
          .addColumn('timestamp_ms', 'bigint', (column) => column.notNull())
          .addColumn('step', 'bigint', (column) => column.notNull())
          .addColumn('value', 'double precision', (column) => column.notNull())
          .addColumn('is_nan', 'integer', (column) => column.notNull())
          .addColumn('is_infinite', 'integer', (column) => column.notNull())
          .addColumn('dataset_name', 'text', (column) => column.notNull())
          .addColumn('dataset_digest', 'text', (column) => column.notNull())
          .addColumn('run_id', 'text', (column) => column.notNull())
          .addPrimaryKeyConstraint('logged_model_metrics_key', [
            'model_id',
            'key',
            'timestamp_ms',
            'step',
            'dataset_name',
            'dataset_digest',
            'run_id',
          ])
          .execute()
        await schema
          .createTable('tracking_artifacts')
          .addColumn('folder', 'text', (column) => column.notNull())
          .addColumn('name', 'text', (column) => column.notNull())
          .addColumn('digest', 'text', (column) => column.notNull())
          .addColumn('size_bytes', 'bigint', (column) => column.notNull())
          .addColumn('stored_ms', 'bigint', (column) => column.notNull())
          .addPrimaryKeyConstraint('tracking_artifacts_key', ['folder', 'name'])
          .execute()
        await schema.createIndex('tracking_artifacts_by_digest').on('tracking_artifacts').column('digest').execute()
        await schema
          .createTable('tracking_artifact_folders')
          .addColumn('parent', 'text', (column) => column.notNull())
          .addColumn('name', 'text', (column) => column.notNull())
          .addPrimaryKeyConstraint('tracking_artifact_folders_key', ['parent', 'name'])
          .execute()
        await tx
          .withTables<TrackingTables>()
          .insertInto('tracking_experiments')
          .values({
            id: DEFAULT_EXPERIMENT,
            name: 'Default',
            artifact_location: `mlflow-artifacts:/${DEFAULT_EXPERIMENT}`,
            is_deleted: 0,
            created_ms: nowMs,
            updated_ms: nowMs,
          })
          .execute()
      },
    },
  }
}
