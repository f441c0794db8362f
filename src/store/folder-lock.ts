// One process per data folder. The lock is the operating system's: SQLite holds an exclusive lock on an empty database file,
// which ends with the process however it ends (kill -9, power loss) and which a container on the same kernel sees too.
// A pid file could not do that: a pid is reused, means nothing in another container, and stays behind after a kill.
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type Database from 'libsql'
import { makeFolder } from './durable-folder.js'
import { StoreErrors } from './errors.js'
import type { FolderLock } from './types.js'

// Never open this file by other means in the same process: POSIX drops all of a process's locks on a file when it closes any
// one handle to it. That is also why the owner's pid, which only explains, is in a file of its own.
const LOCK_FILE = 'lock.db'
const OWNER_FILE = 'lock.pid'

/**
 * Makes the data folder if it is not there (readable by its owner only) and takes it for this process.
 * Throws STORE_FOLDER_LOCKED with the pid of the owner, STORE_FOLDER_UNUSABLE.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const path = resolve(folder)
  const database = await takeLock(path)
  let isHeld = true
  const lock: FolderLock = {
    folder: path,
    async release() {
      if (!isHeld) return
      isHeld = false
      // Left behind it confuses nobody, and must not hide why the process ends.
      await rm(join(path, OWNER_FILE), { force: true }).catch(() => undefined)
      database.exec('ROLLBACK')
      database.close()
    },
  }
  try {
    await writeFile(join(path, OWNER_FILE), `${process.pid}\n`)
  } catch (error) {
    // It only serves the message that others get: on a full disk a lock without it is as good. SQLite locks a folder that cannot be
    // written, too, and this is the first that is.
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') {
      await lock.release()
      throw StoreErrors.FOLDER_UNUSABLE({ folder: path, reason: (error as Error).message }, error)
    }
  }
  return lock
}

async function takeLock(folder: string): Promise<Database.Database> {
  let database: Database.Database | undefined
  try {
    await makeFolder(folder)
    // Loaded here because it takes 15 ms, and not in a thread: the lock must outlive a thread that dies.
    const { default: SqliteDatabase } = await import('libsql')
    database = new SqliteDatabase(join(folder, LOCK_FILE))
    // Held open and never written to; in memory, because SQLite would make an empty journal file all the same.
    database.prepare('PRAGMA journal_mode = MEMORY').all([])
    database.exec('BEGIN EXCLUSIVE')
    return database
  } catch (error) {
    database?.close()
    if ((error as { code?: unknown }).code === 'SQLITE_BUSY') {
      throw StoreErrors.FOLDER_LOCKED({ folder, pid: await readOwner(folder) }, error)
    }
    throw StoreErrors.FOLDER_UNUSABLE({ folder, reason: (error as Error).message }, error)
  }
}

async function readOwner(folder: string): Promise<number | undefined> {
  const text = await readFile(join(folder, OWNER_FILE), 'utf8').catch(() => '')
  return /^[0-9]+\n$/.test(text) ? Number(text) : undefined
}
