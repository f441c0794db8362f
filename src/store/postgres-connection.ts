// One connection to Postgres, and a way to end it at once whatever it waits for.
import { Socket } from 'node:net'
import { Client, type ClientConfig, type QueryResult } from 'pg'
import type { Clock } from '../core/index.js'
import { postgresTypes } from './postgres-values.js'

const CONNECT_MS = 1_500

/** An answer that the server owes for longer than this is not coming: a little more than it takes for a statement itself. */
export const STATEMENT_MS = 30_000
/** A transaction of a server that stands still in its middle is undone, so that others are not held up by it. */
const IDLE_TRANSACTION_MS = 5_000
export const LOCK_MS = 8_000

const SETTINGS = [
  `set statement_timeout = ${STATEMENT_MS}`,
  `set lock_timeout = ${LOCK_MS}`,
  `set idle_in_transaction_session_timeout = ${IDLE_TRANSACTION_MS}`,
  'set client_min_messages = warning',
].join('; ')

/** In pg, and missing in its types. */
interface Countable {
  ref(): void
  unref(): void
}

export class PostgresConnection {
  readonly #client: Client & Countable
  readonly #socket = new Socket()
  #owed = 0
  isDead = false

  private constructor(
    url: string,
    readonly onDeath: (connection: PostgresConnection) => void,
  ) {
    const config: ClientConfig = {
      connectionString: url,
      application_name: 'headrace',
      keepAlive: true,
      types: postgresTypes,
      stream: () => this.#socket,
    }
    this.#client = new Client(config) as Client & Countable
    // Without a listener the loss of an idle connection would end the process.
    this.#client.on('error', () => this.destroy())
    this.#client.on('end', () => this.destroy())
  }

  /** Rejects with the driver's own error when the server cannot be reached, or does not answer in time. */
  static async open(
    url: string,
    clock: Clock,
    onDeath: (connection: PostgresConnection) => void = () => undefined,
    limitMs = CONNECT_MS,
  ): Promise<PostgresConnection> {
    const connection = new PostgresConnection(url, onDeath)
    let isLate = false
    const timer = clock.after(limitMs, () =>
      afterReading(() => {
        isLate = true
        connection.destroy()
      }),
    )
    try {
      await connection.#client.connect()
      await connection.#client.query(SETTINGS)
      connection.#client.unref()
      return connection
    } catch (error) {
      connection.destroy()
      throw isLate ? new Error(`the server did not answer within ${limitMs} ms`) : error
    } finally {
      timer.cancel()
    }
  }

  /** Statements that are sent at once are answered in turn. Several in one text, without values, are one message. */
  async query(text: string, values?: readonly unknown[]): Promise<QueryResult<Record<string, unknown>>> {
    if (this.isDead) throw new Error('the connection was lost')
    // An idle connection lets the process end; one that owes an answer does not.
    if (this.#owed++ === 0) this.#client.ref()
    try {
      return await this.#client.query(text, values as unknown[])
    } finally {
      if (--this.#owed === 0 && !this.isDead) this.#client.unref()
    }
  }

  onNotification(heard: () => void): void {
    this.#client.on('notification', heard)
  }

  /** Says goodbye; what is asked for meanwhile is answered first. */
  async close(): Promise<void> {
    if (this.isDead) return
    this.#client.ref()
    await this.#client.end().catch(() => undefined)
    this.destroy()
  }

  /** Fails whatever waits for an answer. */
  destroy(): void {
    if (this.isDead) return
    this.isDead = true
    this.#socket.destroy()
    this.onDeath(this)
  }
}

/** After a long turn of the event loop a timer comes before the answer that has been there for long: that is read first. */
export function afterReading(action: () => void): void {
  setImmediate(() => setImmediate(action))
}
