// Metadata in PostgreSQL, shared by any number of servers, behind the same interface as SQLite.
import { type Kysely, sql as raw, type Transaction } from 'kysely'
import { HeadraceError, type Platform } from '../core/index.js'
import { StoreErrors } from './errors.js'
import { applyMigrations } from './migrate.js'
import { PostgresDriver } from './postgres-driver.js'
import { CHANNEL, PostgresListener } from './postgres-listener.js'
import { PostgresPool } from './postgres-pool.js'
import { Turns } from './turns.js'
import type { Sql } from './types.js'

export interface PostgresOptions {
  /** `postgres://user:password@host:5432/database`, with what libpq's URLs take (`sslmode`, `options`). */
  readonly url: string
  readonly platform: Platform
  /** Default 5: transactions come one after the other anyway. One more is kept for listening. */
  readonly maxConnections?: number
}

/** How long a migration waits for that of another server. */
const MIGRATE_MS = 300_000

/**
 * Opens the database without asking whether it is there: a server must be able to start without it.
 *
 *     const sql = await openPostgres({ url: 'postgres://headrace:secret@db:5432/headrace', platform })
 */
export async function openPostgres({ url, platform, maxConnections = 5 }: PostgresOptions): Promise<Sql> {
  const label = labelOf(url)
  const pool = new PostgresPool({ url, label, maxConnections, platform })
  const listener = new PostgresListener(url, platform)
  const { createPostgresKysely } = await import('./postgres-kysely.js')
  let closing: Promise<void> | undefined
  const refuseClosed = () => {
    if (closing) throw StoreErrors.CLOSED({ file: label })
  }
  const single = createPostgresKysely(new PostgresDriver(pool, label, refuseClosed))
  // What waits in line when the database is closed is finished.
  const inLine = createPostgresKysely(new PostgresDriver(pool, label))
  const turns = new Turns(label, platform.clock)
  // In line here, so that transactions that wait for each other do not take up every connection.
  const transaction = async <Tables, T>(work: (tx: Transaction<Tables>) => Promise<T>): Promise<T> => {
    refuseClosed()
    await turns.take()
    try {
      return await (inLine as unknown as Kysely<Tables>).transaction().execute(work)
    } finally {
      turns.pass()
    }
  }
  return {
    dialect: 'postgres',
    db: <Tables>() => single as unknown as Kysely<Tables>,
    transaction,
    async migrate(domain, migrations) {
      const { clock } = platform
      const startedMs = clock.monotonicMs()
      for (;;) {
        try {
          return await transaction(async (tx: Transaction<unknown>) => {
            await raw`set local statement_timeout = 0`.execute(tx)
            await applyMigrations(tx, domain, migrations, clock.nowMs())
          })
        } catch (error) {
          // Another server is at it.
          if (!isBusy(error) || clock.monotonicMs() - startedMs > MIGRATE_MS) throw error
        }
      }
    },
    async announce(tx) {
      await raw`select pg_notify(${CHANNEL}, '')`.execute(tx)
    },
    listen: (heard) => listener.listen(heard),
    close() {
      closing ??= close()
      return closing
    },
  }

  async function close(): Promise<void> {
    const closed = [listener.close()]
    await turns.take(Number.POSITIVE_INFINITY)
    closed.push(pool.close())
    turns.pass()
    await Promise.all(closed)
  }
}

/** Without the user and the password. */
function labelOf(url: string): string {
  try {
    const { protocol, host, pathname } = new URL(url)
    return `${protocol}//${host}${pathname}`
  } catch {
    return 'the database'
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof HeadraceError && error.code === 'STORE_BUSY'
}
