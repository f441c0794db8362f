// The query builder on our driver. A file of its own because kysely takes 130 ms to load (330 small files, 2026-11-22):
// `openSql` loads it while the SQLite thread starts, and a command that needs no database never does.
import { Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import type { SqliteDriver } from './sqlite-driver.js'

export function createSqliteKysely(driver: SqliteDriver): Kysely<unknown> {
  return new Kysely<unknown>({
    dialect: {
      createDriver: () => driver,
      createQueryCompiler: () => new SqliteQueryCompiler(),
      createAdapter: () => new SqliteAdapter(),
      createIntrospector: (db: Kysely<unknown>) => new SqliteIntrospector(db),
    },
  })
}
