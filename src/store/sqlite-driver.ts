// One connection, one user of it at a time, in the order they came. A transaction keeps its turn until it ends, which is
// what serialises transactions.
import type { DatabaseConnection, Driver } from 'kysely'
import type { Clock, Logger } from '../core/index.js'
import { StoreErrors } from './errors.js'
import { SqliteConnection } from './sqlite-connection.js'

/** How long a call waits for a transaction of this process, and SQLite for another one. */
const TURN_MS = 10_000
const BUSY_MS = 5_000

export class SqliteDriver implements Driver {
  readonly #queue: (() => void)[] = []
  #isTaken = false
  #closing: Promise<void> | undefined
  #connection: SqliteConnection | undefined

  constructor(
    private readonly file: string,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly busyMs = BUSY_MS,
  ) {}

  async init(): Promise<void> {}

  async acquireConnection(): Promise<SqliteConnection> {
    if (this.#closing) throw StoreErrors.CLOSED({ file: this.file })
    await this.#takeTurn(TURN_MS)
    try {
      if (!this.#connection || this.#connection.isDead) {
        if (this.#connection) this.logger.error({ file: this.file }, 'the SQLite thread died; starting a new one')
        this.#connection = await SqliteConnection.open(this.file, this.busyMs)
      }
      return this.#connection
    } catch (error) {
      this.#passTurn()
      throw error
    }
  }

  async releaseConnection(): Promise<void> {
    this.#passTurn()
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
    await this.#takeTurn(Number.POSITIVE_INFINITY)
    try {
      if (this.#connection && !this.#connection.isDead) await this.#connection.close()
    } finally {
      this.#passTurn()
    }
  }

  #takeTurn(waitMs: number): Promise<void> {
    if (!this.#isTaken) {
      this.#isTaken = true
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      const proceed = () => {
        timer?.cancel()
        resolve()
      }
      // Using the database instead of `tx` inside a transaction would otherwise wait for itself for ever.
      const timer =
        waitMs === Number.POSITIVE_INFINITY
          ? undefined
          : this.clock.after(waitMs, () => {
              this.#queue.splice(this.#queue.indexOf(proceed), 1)
              reject(StoreErrors.BUSY({ file: this.file, waitedMs: waitMs, holder: 'transaction' }))
            })
      this.#queue.push(proceed)
    })
  }

  #passTurn(): void {
    const next = this.#queue.shift()
    if (next) next()
    else this.#isTaken = false
  }
}
