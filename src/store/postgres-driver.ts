// kysely's view of the pool. A transaction holds one lock for the whole database while it runs, so that transactions are serialised
// as they are in SQLite: code that reads and then writes needs no thought of what others do meanwhile. Writes outside of
// transactions hold it shared. It has a second use: whoever has it knows that every transaction before has ended, one way or the other.
import type { CompiledQuery, DatabaseConnection, Driver, QueryResult } from 'kysely'
import type { HeadraceError } from '../core/index.js'
import { StoreErrors } from './errors.js'
import { LOCK_MS, type PostgresConnection } from './postgres-connection.js'
import { endsConnection, isServerAnswer, reasonOf, toPostgresError } from './postgres-failures.js'
import type { PostgresPool } from './postgres-pool.js'
import { toSqlValues } from './sql-values.js'

const LOCK = `hashtext('headrace ' || coalesce(current_schema(), ''))`
const BEGIN = `begin isolation level read committed; select pg_advisory_xact_lock(${LOCK})`
const BEGIN_WRITE = `begin isolation level read committed; select pg_advisory_xact_lock_shared(${LOCK})`

export class PostgresDriver implements Driver {
  constructor(
    private readonly pool: PostgresPool,
    private readonly label: string,
    /** Throws when no more connections are given. */
    private readonly check: () => void = () => undefined,
  ) {}

  async init(): Promise<void> {}

  async acquireConnection(): Promise<Session> {
    this.check()
    return new Session(await this.pool.take(), this.pool, this.label)
  }

  async releaseConnection(connection: DatabaseConnection): Promise<void> {
    const session = connection as Session
    session.end()
    this.pool.give(session.connection)
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await (connection as Session).begin()
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await (connection as Session).commit()
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await (connection as Session).rollback()
  }

  async destroy(): Promise<void> {
    await this.pool.close()
  }
}

/** A connection for as long as one query or one transaction has it. */
class Session implements DatabaseConnection {
  #isInTransaction = false
  #isEnded = false
  /** Of the first statement that failed: the server undoes the whole transaction, even when the work goes on. */
  #failure: HeadraceError | undefined

  constructor(
    readonly connection: PostgresConnection,
    private readonly pool: PostgresPool,
    private readonly label: string,
  ) {}

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    this.#checkOpen()
    const values = toSqlValues(query.parameters)
    if (this.#isInTransaction || isRead(query)) return this.#execute<R>(query.sql, values)
    try {
      // It begins and then waits for a lock: one that is not had in time leaves a transaction to be ended.
      await this.#ask(BEGIN_WRITE)
      const result = await this.#execute<R>(query.sql, values)
      await this.#commit()
      return result
    } catch (error) {
      await this.#undo()
      throw error
    }
  }

  async *streamQuery<R>(query: CompiledQuery, chunkSize = 1_000): AsyncGenerator<QueryResult<R>> {
    this.#checkOpen()
    const values = toSqlValues(query.parameters)
    const isOwn = !this.#isInTransaction
    if (isOwn) await this.#ask('begin')
    try {
      await this.#execute(`declare headrace_rows no scroll cursor for ${query.sql}`, values)
      for (;;) {
        const { rows } = await this.#execute<R>(`fetch ${Math.trunc(chunkSize)} from headrace_rows`, [])
        if (rows.length === 0) break
        yield { rows }
      }
    } finally {
      if (isOwn) await this.#undo()
      else if (this.#failure === undefined) await this.#execute('close headrace_rows', [])
    }
  }

  async begin(): Promise<void> {
    try {
      await this.#ask(BEGIN)
    } catch (error) {
      await this.#undo()
      throw error
    }
    this.#isInTransaction = true
  }

  async commit(): Promise<void> {
    // What comes while a transaction ends would run after it, on its own, and stay: work that was not awaited.
    this.#isEnded = true
    if (this.#failure) throw this.#failure
    await this.#commit()
  }

  /** Never rejects: the caller must see why the transaction failed, not that undoing it failed too. */
  async rollback(): Promise<void> {
    this.#isEnded = true
    await this.#undo()
  }

  end(): void {
    this.#isEnded = true
  }

  #checkOpen(): void {
    if (this.#isEnded) throw StoreErrors.QUERY_FAILED({ reason: 'it was sent while its transaction was ending' })
  }

  async #execute<R>(sql: string, values: readonly unknown[]): Promise<QueryResult<R>> {
    const { rows, rowCount, command } = await this.#ask(sql, values)
    return { rows: rows as R[], numAffectedRows: BigInt(command === 'SELECT' ? 0 : (rowCount ?? 0)) }
  }

  async #commit(): Promise<void> {
    try {
      await this.pool.guarded(this.connection, this.connection.query('commit'))
    } catch (error) {
      if (isServerAnswer(error)) throw this.#fail(error, 'commit')
      this.connection.destroy()
      throw StoreErrors.OUTCOME_UNKNOWN({ file: this.label, reason: reasonOf(error) }, error)
    }
  }

  async #undo(): Promise<void> {
    if (this.connection.isDead) return
    try {
      await this.pool.guarded(this.connection, this.connection.query('rollback'))
    } catch {
      // The server undoes what its connection does not end.
      this.connection.destroy()
    }
  }

  async #ask(sql: string, values?: readonly unknown[]) {
    try {
      return await this.pool.guarded(this.connection, this.connection.query(sql, values))
    } catch (error) {
      throw this.#fail(error, sql)
    }
  }

  #fail(error: unknown, sql: string): HeadraceError {
    if (endsConnection(error)) this.connection.destroy()
    const failure = toPostgresError(this.label, error, LOCK_MS, sql)
    this.#failure ??= failure
    return failure
  }
}

/** Needs no lock. A query that was written by hand has no kind. */
function isRead({ query, sql }: CompiledQuery): boolean {
  return query.kind === 'SelectQueryNode' || (query.kind === 'RawNode' && /^\s*select\b/i.test(sql))
}
