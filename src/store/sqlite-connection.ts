// The main thread's end of the SQLite thread: sends statements, puts answers together, and fails what waits when it dies.
import { Worker } from 'node:worker_threads'
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely'
import { workerFile } from '../core/index.js'
import { StoreErrors } from './errors.js'
import { toSqlValues } from './sql-values.js'
import { toStoreError } from './sqlite-failures.js'
import { type FromThread, OPENED, type Page, type SqliteThreadData, type ToThread } from './sqlite-messages.js'

interface Waiting {
  readonly sql: string | undefined
  readonly resolve: (page: Page) => void
  readonly reject: (error: unknown) => void
}

export class SqliteConnection implements DatabaseConnection {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #nextId = OPENED
  #deathCause: unknown
  #isDead = false
  #isEnding = false
  /** Of the first statement that failed since a transaction began. SQLite would undo that statement alone, Postgres all of them. */
  #failure: unknown

  private constructor(
    private readonly file: string,
    private readonly busyMs: number,
  ) {
    this.#worker = new Worker(workerFile(import.meta.url, './sqlite-thread.js'), {
      name: 'headrace-sqlite',
      workerData: { file, busyMs } satisfies SqliteThreadData,
      execArgv: [],
    })
    this.#worker.on('message', (message: FromThread) => this.#receive(message))
    this.#worker.on('error', (error) => {
      this.#deathCause = error
    })
    this.#worker.on('exit', () => this.#die())
  }

  /** Starts a thread and waits until it has opened the file. */
  static async open(file: string, busyMs: number): Promise<SqliteConnection> {
    const connection = new SqliteConnection(file, busyMs)
    await connection.#expect(connection.#nextId++, undefined)
    return connection
  }

  get isDead(): boolean {
    return this.#isDead
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { id, answer } = this.#start(query)
    let page = await answer
    const rows: R[] = []
    for (;;) {
      addRows(rows, page)
      if (!page.hasMore) break
      page = await this.#ask({ id, kind: 'more' }, query.sql)
    }
    return { rows, numAffectedRows: BigInt(page.affected) }
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncGenerator<QueryResult<R>> {
    const { id, answer } = this.#start(query)
    let page = await answer
    try {
      for (;;) {
        const rows: R[] = []
        addRows(rows, page)
        yield { rows }
        if (!page.hasMore) return
        page = await this.#ask({ id, kind: 'more' }, query.sql)
      }
    } finally {
      if (page.hasMore && !this.#isDead) this.#worker.postMessage({ id, kind: 'forget' } satisfies ToThread)
    }
  }

  async begin(): Promise<void> {
    this.#failure = undefined
    // IMMEDIATE, because a transaction that reads first and then writes could otherwise fail in the middle.
    await this.#ask({ id: this.#nextId++, kind: 'query', sql: 'BEGIN IMMEDIATE', parameters: [] }, 'BEGIN IMMEDIATE')
  }

  async commit(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    await this.#end({ id: this.#nextId++, kind: 'query', sql: 'COMMIT', parameters: [] })
  }

  async rollback(): Promise<void> {
    await this.#end({ id: this.#nextId++, kind: 'rollback' })
  }

  /** Moves everything into the one file and ends the thread. */
  async close(): Promise<void> {
    try {
      await this.#ask({ id: this.#nextId++, kind: 'close' }, undefined)
    } finally {
      await this.terminate()
    }
  }

  /** Ends an idle thread; SQLite undoes its open transaction. In mid-statement it would abort the process (libsql 0.5). */
  async terminate(): Promise<void> {
    await this.#worker.terminate()
  }

  /** What is sent while a transaction ends would run after it, on its own, and stay: work that was not awaited. */
  async #end(message: ToThread): Promise<void> {
    this.#isEnding = true
    try {
      await this.#ask(message, message.kind === 'query' ? message.sql : undefined)
    } finally {
      this.#isEnding = false
    }
  }

  #start(query: CompiledQuery): { id: number; answer: Promise<Page> } {
    if (this.#isEnding) throw StoreErrors.QUERY_FAILED({ reason: 'it was sent while its transaction was ending' })
    const id = this.#nextId++
    const parameters = toSqlValues(query.parameters)
    return { id, answer: this.#ask({ id, kind: 'query', sql: query.sql, parameters }, query.sql) }
  }

  #ask(message: ToThread, sql: string | undefined): Promise<Page> {
    if (this.#isDead) return Promise.reject(this.#death())
    const answer = this.#expect(message.id, sql)
    this.#worker.postMessage(message)
    return answer
  }

  #expect(id: number, sql: string | undefined): Promise<Page> {
    // An idle store lets the process end; one that owes an answer does not.
    if (this.#waiting.size === 0) this.#worker.ref()
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { sql, resolve, reject })
    })
  }

  #receive(message: FromThread): void {
    const waiting = this.#waiting.get(message.id)
    if (!waiting) return
    this.#waiting.delete(message.id)
    if (this.#waiting.size === 0) this.#worker.unref()
    if (message.kind === 'page') waiting.resolve(message.page)
    else {
      const error = toStoreError(this.file, this.busyMs, message.failure, waiting.sql)
      this.#failure ??= error
      waiting.reject(error)
    }
  }

  #die(): void {
    this.#isDead = true
    for (const { reject } of this.#waiting.values()) reject(this.#death())
    this.#waiting.clear()
  }

  #death() {
    return StoreErrors.THREAD_DIED({ file: this.file }, this.#deathCause)
  }
}

function addRows<R>(rows: R[], page: Page): void {
  const { columns, values } = page
  for (let i = 0; i < values.length; ) {
    const row: Record<string, unknown> = {}
    for (let c = 0; c < columns.length; c++) row[columns[c]!] = values[i++]
    rows.push(row as R)
  }
}
