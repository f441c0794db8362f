// The query builder on our driver, in a file of its own for the same reason as SQLite's.
import { Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'
import type { PostgresDriver } from './postgres-driver.js'

export function createPostgresKysely(driver: PostgresDriver): Kysely<unknown> {
  return new Kysely<unknown>({
    dialect: {
      createDriver: () => driver,
      createQueryCompiler: () => new PostgresQueryCompiler(),
      createAdapter: () => new PostgresAdapter(),
      createIntrospector: (db: Kysely<unknown>) => new PostgresIntrospector(db),
    },
  })
}
