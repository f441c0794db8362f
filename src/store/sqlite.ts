// The embedded metadata database: SQLite in a thread of its own, behind the same interface as Postgres.
import type { Kysely, Transaction } from 'kysely'
import type { Platform } from '../core/index.js'
import { applyMigrations } from './migrate.js'
import { SqliteDriver } from './sqlite-driver.js'
import type { Sql } from './types.js'

export interface SqlOptions {
  /** The database file; it is made when it is not there, in a folder that is. */
  readonly file: string
  readonly platform: Platform
}

/**
 * Opens the metadata database and waits until it is ready. Take the data folder's lock first (`lockFolder`): SQLite lets
 * two processes in, Headrace does not expect it.
 *
 *     const sql = await openSql({ file: join(dataDir, 'metadata.db'), platform })
 *
 * Throws STORE_CORRUPT (the file is left as it is), STORE_UNAVAILABLE, STORE_BUSY.
 */
export async function openSql({ file, platform }: SqlOptions): Promise<Sql> {
  const driver = new SqliteDriver(file, platform.clock, platform.logger)
  const [{ createSqliteKysely }] = await Promise.all([import('./sqlite-kysely.js'), openFile(driver)])
  const kysely = createSqliteKysely(driver)
  const transaction = <Tables, T>(work: (tx: Transaction<Tables>) => Promise<T>): Promise<T> =>
    (kysely as unknown as Kysely<Tables>).transaction().execute(work)
  return {
    dialect: 'sqlite',
    db: <Tables>() => kysely as unknown as Kysely<Tables>,
    transaction,
    migrate: (domain, migrations) =>
      transaction((tx: Transaction<unknown>) => applyMigrations(tx, domain, migrations, platform.clock.nowMs())),
    announce: async () => undefined,
    listen: () => () => undefined,
    close: () => driver.destroy(),
  }
}

async function openFile(driver: SqliteDriver): Promise<void> {
  await driver.acquireConnection()
  await driver.releaseConnection()
}
