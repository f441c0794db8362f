// A few connections, made when they are needed. A server that is gone is found out in less than two seconds, and from then on
// calls are refused at once; tries to reach it again come at growing intervals, so that many nodes do not storm a server that starts.
import type { Platform } from '../core/index.js'
import { StoreErrors } from './errors.js'
import { afterReading, PostgresConnection, STATEMENT_MS } from './postgres-connection.js'
import { isServerAnswer, reasonOf, toPostgresError, unavailable } from './postgres-failures.js'

/** How long a call waits for a connection of this process. */
const TURN_MS = 10_000
/** An answer that takes longer is looked into: is the server there at all? */
const SLOW_MS = 600
const PROBE_MS = 1_200
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 2_000

export interface PostgresPoolOptions {
  readonly url: string
  /** The server and database as messages name them: without user and password. */
  readonly label: string
  readonly maxConnections: number
  readonly platform: Pick<Platform, 'clock' | 'random' | 'logger'>
}

interface Waiter {
  take(connection: PostgresConnection): void
  /** A connection was lost: one may be made in its place. */
  retry(): void
  fail(error: unknown): void
}

export class PostgresPool {
  readonly #idle: PostgresConnection[] = []
  readonly #all = new Set<PostgresConnection>()
  readonly #waiters: Waiter[] = []
  #opening = 0
  #failures = 0
  #pausedUntilMs = 0
  #reason = ''
  #probing: Promise<void> | undefined
  #slow = 0
  #probe: PostgresConnection | undefined
  #closing: Promise<void> | undefined

  constructor(private readonly options: PostgresPoolOptions) {}

  /** Rejects with STORE_UNAVAILABLE, STORE_BUSY or STORE_CLOSED. */
  async take(): Promise<PostgresConnection> {
    const { label, maxConnections } = this.options
    if (this.#closing) throw StoreErrors.CLOSED({ file: label })
    for (;;) {
      const idle = this.#idle.pop()
      if (idle !== undefined) return idle
      if (this.#all.size + this.#opening < maxConnections) return this.#open()
      const given = await this.#wait()
      if (given !== undefined) return given
    }
  }

  give(connection: PostgresConnection): void {
    if (connection.isDead) return
    const waiter = this.#waiters.shift()
    if (waiter) waiter.take(connection)
    else if (this.#closing) void connection.close()
    else this.#idle.push(connection)
  }

  /** Watches over an answer that is waited for: when the server is gone, every connection is ended and the answer fails. */
  async guarded<T>(connection: PostgresConnection, answer: Promise<T>, limitMs = STATEMENT_MS + 5_000): Promise<T> {
    const { clock } = this.options.platform
    const sinceMs = clock.monotonicMs()
    let isSlow = false
    let timer = clock.after(SLOW_MS, look)
    const pool = this
    function look(): void {
      if (!isSlow) {
        isSlow = true
        pool.#slow++
      }
      if (clock.monotonicMs() - sinceMs > limitMs) connection.destroy()
      else {
        void pool.#look()
        timer = clock.after(SLOW_MS, look)
      }
    }
    try {
      return await answer
    } finally {
      timer.cancel()
      if (isSlow && --this.#slow === 0) {
        void this.#probe?.close()
        this.#probe = undefined
      }
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.resolve()
    const isBusy = () => this.#all.size > this.#idle.length || this.#opening > 0
    while (isBusy()) {
      const given = await this.#wait(Number.POSITIVE_INFINITY)
      if (given !== undefined) this.#idle.push(given)
    }
    await Promise.all(this.#idle.splice(0).map((connection) => connection.close()))
  }

  async #open(): Promise<PostgresConnection> {
    const { url, label, platform } = this.options
    const { clock, random, logger } = platform
    // One at a time tries a server that did not answer; the others are told at once.
    if (this.#failures > 0 && (this.#opening > 0 || clock.monotonicMs() < this.#pausedUntilMs))
      throw unavailable(label, this.#reason)
    this.#opening++
    try {
      const connection = await PostgresConnection.open(url, clock, (dead) => this.#forget(dead))
      this.#all.add(connection)
      if (this.#failures > 0) logger.info({ database: label }, 'the metadata store answers again')
      this.#failures = 0
      return connection
    } catch (error) {
      if (this.#failures === 0)
        logger.warn({ database: label, reason: reasonOf(error) }, 'the metadata store cannot be reached')
      this.#reason = reasonOf(error)
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(this.#failures++, 10), LONGEST_PAUSE_MS)
      this.#pausedUntilMs = clock.monotonicMs() + pauseMs * (0.5 + random.next() / 2)
      throw toPostgresError(label, error, 0)
    } finally {
      this.#opening--
      this.#wake()
    }
  }

  #forget(connection: PostgresConnection): void {
    this.#all.delete(connection)
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
    this.#wake()
  }

  /** Those that wait look again: for a connection, or for the right to make one. */
  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter.retry()
  }

  #wait(waitMs = TURN_MS): Promise<PostgresConnection | undefined> {
    const { clock } = this.options.platform
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        take(connection) {
          timer?.cancel()
          resolve(connection)
        },
        retry() {
          timer?.cancel()
          resolve(undefined)
        },
        fail(error) {
          timer?.cancel()
          reject(error)
        },
      }
      const timer =
        waitMs === Number.POSITIVE_INFINITY
          ? undefined
          : clock.after(waitMs, () => {
              this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
              waiter.fail(StoreErrors.BUSY({ file: this.options.label, waitedMs: waitMs, holder: 'transaction' }))
            })
      this.#waiters.push(waiter)
    })
  }

  #look(): Promise<void> {
    this.#probing ??= this.#ask().finally(() => {
      this.#probing = undefined
    })
    return this.#probing
  }

  async #ask(): Promise<void> {
    const { url, platform } = this.options
    const { clock } = platform
    let isLate = false
    let isAnswered = false
    const timer = clock.after(PROBE_MS, () =>
      afterReading(() => {
        isLate = !isAnswered
        if (isLate) this.#down(`it did not answer within ${SLOW_MS + PROBE_MS} ms`)
      }),
    )
    try {
      if (this.#probe === undefined || this.#probe.isDead) {
        const opened = await PostgresConnection.open(url, clock, undefined, PROBE_MS + SLOW_MS)
        if (this.#slow === 0 || isLate) {
          void opened.close()
          return
        }
        this.#probe = opened
      }
      await this.#probe.query('select 1')
    } catch (error) {
      // That it has too many connections is an answer.
      if (!isLate && !isServerAnswer(error)) this.#down(reasonOf(error))
    } finally {
      isAnswered = true
      timer.cancel()
    }
  }

  #down(reason: string): void {
    const { clock, logger } = this.options.platform
    logger.warn({ database: this.options.label, reason }, 'the metadata store does not answer')
    this.#failures ||= 1
    this.#reason = reason
    this.#pausedUntilMs = clock.monotonicMs() + FIRST_PAUSE_MS
    this.#probe?.destroy()
    this.#probe = undefined
    for (const connection of [...this.#all]) connection.destroy()
  }
}
