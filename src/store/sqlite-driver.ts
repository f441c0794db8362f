// One connection, one user of it at a time, in the order they came. A transaction keeps its turn until it ends, which is
// what serialises transactions.
import type { DatabaseConnection, Driver } from 'kysely'
import type { Clock, Logger } from '../core/index.js'
import { StoreErrors } from './errors.js'
import { SqliteConnection } from './sqlite-connection.js'
import { Turns } from './turns.js'

/** How long SQLite waits for another process. */
const BUSY_MS = 5_000

export class SqliteDriver implements Driver {
  readonly #turns: Turns
  #closing: Promise<void> | undefined
  #connection: SqliteConnection | undefined

  constructor(
    private readonly file: string,
    clock: Clock,
    private readonly logger: Logger,
    private readonly busyMs = BUSY_MS,
  ) {
    this.#turns = new Turns(file, clock)
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<SqliteConnection> {
    if (this.#closing) throw StoreErrors.CLOSED({ file: this.file })
    await this.#turns.take()
    try {
      if (!this.#connection || this.#connection.isDead) {
        if (this.#connection) this.logger.error({ file: this.file }, 'the SQLite thread died; starting a new one')
        this.#connection = await SqliteConnection.open(this.file, this.busyMs)
      }
      return this.#connection
    } catch (error) {
      this.#turns.pass()
      throw error
    }
  }

  async releaseConnection(): Promise<void> {
    this.#turns.pass()
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await (connection as SqliteConnection).begin()
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await (connection as SqliteConnection).commit()
  }

  /** Never rejects: the caller must see why the transaction failed, not that undoing it failed too. */
  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    const sqlite = connection as SqliteConnection
    if (sqlite.isDead) return
    try {
      await sqlite.rollback()
    } catch (error) {
      this.logger.error(
        { err: error, file: this.file },
        'a transaction could not be rolled back; restarting its thread',
      )
      await sqlite.terminate()
    }
  }

  destroy(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#turns.take(Number.POSITIVE_INFINITY)
    try {
      if (this.#connection && !this.#connection.isDead) await this.#connection.close()
    } finally {
      this.#turns.pass()
    }
  }
}
