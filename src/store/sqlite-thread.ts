// The thread that owns one SQLite database: every call to SQLite blocks, and a full sync blocks for milliseconds.
// Answers with many rows go back in pages that the other side asks for, so that unpacking one never holds its event loop.
import { statSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import Database from 'libsql'
import {
  type FromThread,
  OPENED,
  type Page,
  type SqliteThreadData,
  type SqlValue,
  type ToThread,
} from './sqlite-messages.js'

// A page weighs one per value and one per 64 characters or bytes; 4,000 take 0.12 ms to unpack (2026-11-22).
const PAGE_WEIGHT = 4_000
const WEIGHT_BYTES = 64
// Files up to this size are checked whole before anything is written to them: 8 MiB take about 20 ms.
const CHECKED_BYTES = 8 * 1024 * 1024

const port = parentPort!
const { file, busyMs } = workerData as SqliteThreadData
const unread = new Map<number, { columns: string[]; rows: unknown[][]; next: number }>()

let database: Database.Database | undefined
try {
  database = open()
  send({ id: OPENED, kind: 'page', page: emptyPage(0) })
  port.on('message', (message: ToThread) => {
    try {
      answer(database!, message)
    } catch (error) {
      fail(message.id, error)
    }
  })
} catch (error) {
  database?.close()
  fail(OPENED, error)
}

function open(): Database.Database {
  const opened = new Database(file)
  database = opened
  pragma(opened, `busy_timeout = ${busyMs}`)
  checkWhole(opened)
  const mode = pragma(opened, 'journal_mode = WAL')
  if (mode !== 'wal') throw new Error(`the file system does not support write-ahead logging (journal mode ${mode})`)
  pragma(opened, 'synchronous = FULL')
  // macOS only: without it a sync does not reach the disk.
  pragma(opened, 'fullfsync = ON')
  pragma(opened, 'checkpoint_fullfsync = ON')
  pragma(opened, 'foreign_keys = ON')
  return opened
}

/** Damage is found now, while the file is as it was, instead of after the first writes. Larger files are checked as they are read. */
function checkWhole(opened: Database.Database): void {
  const isSmall = statSync(file).size <= CHECKED_BYTES
  const result = pragma(opened, isSmall ? 'quick_check(1)' : 'schema_version')
  if (isSmall && result !== 'ok') throw Object.assign(new Error(String(result)), { code: 'SQLITE_CORRUPT' })
}

/** Its first value. Never by `exec` or `get`: libsql leaves a statement that answers running, and then nothing can be closed. */
function pragma(db: Database.Database, text: string): unknown {
  const [row = {}] = db.prepare(`PRAGMA ${text}`).all([]) as object[]
  return Object.values(row)[0]
}

function answer(db: Database.Database, message: ToThread): void {
  switch (message.kind) {
    case 'query':
      query(db, message.id, message.sql, message.parameters)
      break
    case 'more':
      sendPage(message.id)
      break
    case 'forget':
      unread.delete(message.id)
      break
    case 'rollback':
      if (db.inTransaction) db.exec('ROLLBACK')
      send({ id: message.id, kind: 'page', page: emptyPage(0) })
      break
    case 'close':
      close(db)
      send({ id: message.id, kind: 'page', page: emptyPage(0) })
      break
    default:
      message satisfies never
  }
}

/** libsql leaves the -wal and -shm files of a plain close behind; leaving WAL mode moves all into the one file. */
function close(db: Database.Database): void {
  try {
    pragma(db, 'busy_timeout = 0')
    pragma(db, 'journal_mode = DELETE')
  } catch (error) {
    // Another program is reading the file: the -wal stays for it, and holds everything.
    if ((error as { code?: unknown }).code !== 'SQLITE_BUSY') throw error
  } finally {
    db.close()
  }
}

function query(db: Database.Database, id: number, sql: string, parameters: readonly SqlValue[]): void {
  // Statements are not kept: preparing one costs 7 µs, and a kept one answers with its old columns after an ALTER TABLE.
  const statement = db.prepare(sql)
  const bound = parameters.map(toBound)
  if (!statement.reader) {
    send({ id, kind: 'page', page: emptyPage(statement.run(bound).changes) })
    return
  }
  statement.safeIntegers(true).raw()
  // All rows at once: a statement left open would hold its snapshot and stop checkpoints.
  const rows = statement.all(bound) as unknown[][]
  unread.set(id, { columns: statement.columns().map((column) => column.name), rows, next: 0 })
  sendPage(id)
}

function sendPage(id: number): void {
  const result = unread.get(id)!
  const { columns, rows } = result
  const values: SqlValue[] = []
  let weight = 0
  let i = result.next
  for (; i < rows.length && weight < PAGE_WEIGHT; i++) {
    for (const stored of rows[i]!) {
      const value = fromStored(stored)
      values.push(value)
      weight +=
        1 + (typeof value === 'string' ? value.length : value instanceof Uint8Array ? value.length : 0) / WEIGHT_BYTES
    }
  }
  const hasMore = i < rows.length
  if (hasMore) result.next = i
  else unread.delete(id)
  send({ id, kind: 'page', page: { columns, values, hasMore, affected: 0 } })
}

/** libsql binds every number as a REAL, which a TEXT or untyped column keeps as `5.0`: integers go as bigints. */
function toBound(value: SqlValue): SqlValue {
  return typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value
}

function fromStored(value: unknown): SqlValue {
  if (typeof value === 'bigint') {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
  }
  return value instanceof ArrayBuffer ? new Uint8Array(value) : (value as SqlValue)
}

function emptyPage(affected: number): Page {
  return { columns: [], values: [], hasMore: false, affected }
}

function fail(id: number, error: unknown): void {
  const { code, message } = error as { code?: unknown; message?: unknown }
  send({
    id,
    kind: 'failed',
    failure: { code: typeof code === 'string' ? code : undefined, message: String(message ?? error) },
  })
}

function send(message: FromThread): void {
  port.postMessage(message)
}
