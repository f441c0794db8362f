import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Transaction } from 'kysely'
import Database from 'libsql'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { sqlContract } from '../../test/contract/sql.js'
import { tempFolder } from '../../test/support/temp-folder.js'
import { ManualClock, silentLogger, systemClock, testPlatform } from '../core/index.js'
import { type Migration, openSql, type Sql } from './index.js'
import { SqliteDriver } from './sqlite-driver.js'
import { createSqliteKysely } from './sqlite-kysely.js'

type Tables = { item: { id: number; text: string } }

const migrations: Readonly<Record<string, Migration>> = {
  '0001-item': {
    up: (tx) =>
      tx.schema
        .createTable('item')
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('text', 'text', (column) => column.notNull())
        .execute(),
  },
}

async function openItems(file: string, platform = testPlatform()): Promise<Sql> {
  const sql = await openSql({ file, platform })
  onTestFinished(() => sql.close())
  await sql.migrate('items', migrations)
  return sql
}

const ids = async (sql: Sql) => {
  const rows = await sql.db<Tables>().selectFrom('item').select('id').orderBy('id').execute()
  return rows.map((row) => row.id)
}

describe('SQLite', () => {
  sqlContract(() => {
    const file = join(tempFolder(), 'metadata.db')
    return () => openSql({ file, platform: testPlatform() })
  })

  it('leaves one file when it is closed', async () => {
    const folder = tempFolder()
    const sql = await openItems(join(folder, 'metadata.db'))
    await sql.db<Tables>().insertInto('item').values({ id: 1, text: 'a' }).execute()
    expect(readdirSync(folder)).toContain('metadata.db-wal')
    await sql.close()
    expect(readdirSync(folder)).toEqual(['metadata.db'])
    const again = await openItems(join(folder, 'metadata.db'))
    await again.close()
    expect(readdirSync(folder)).toEqual(['metadata.db'])
  })

  it('lets another program read while it runs, and closes all the same', async () => {
    const file = join(tempFolder(), 'metadata.db')
    const sql = await openItems(file)
    await sql.db<Tables>().insertInto('item').values({ id: 1, text: 'a' }).execute()
    const reader = new Database(file)
    reader.exec('BEGIN')
    expect(reader.prepare('select id from item').all([])).toEqual([{ id: 1 }])
    await sql.close()
    reader.exec('COMMIT')
    reader.close()
    expect(await ids(await openItems(file))).toEqual([1])
  })

  it('says that another process is writing when it waited in vain', async () => {
    const file = join(tempFolder(), 'metadata.db')
    await (await openItems(file)).close()
    const driver = new SqliteDriver(file, systemClock, silentLogger, 50)
    onTestFinished(() => driver.destroy())
    const insert = createSqliteKysely(driver).withTables<Tables>().insertInto('item').values({ id: 1, text: 'a' })
    const writer = new Database(file)
    writer.exec('BEGIN IMMEDIATE')
    await expect(insert.execute()).rejects.toMatchObject({
      code: 'STORE_BUSY',
      params: { file, waitedMs: 50, holder: 'process' },
    })
    writer.exec('ROLLBACK')
    writer.close()
    await insert.execute()
  })

  it('fails a statement that waits for its own transaction after ten seconds, and the transaction can go on', async () => {
    const clock = new ManualClock()
    const sql = await openItems(join(tempFolder(), 'metadata.db'), testPlatform({ clock }))
    await sql.transaction(async (tx: Transaction<Tables>) => {
      await tx.insertInto('item').values({ id: 1, text: 'a' }).execute()
      const mistake = sql.db<Tables>().selectFrom('item').selectAll().execute()
      // It has to be in the queue before time passes.
      await new Promise(setImmediate)
      clock.advance(10_000)
      await expect(mistake).rejects.toMatchObject({
        code: 'STORE_BUSY',
        message: expect.stringContaining('use only the tx'),
      })
    })
    expect(await ids(sql)).toEqual([1])
  })

  it('refuses a file that is no database, and leaves it as it is', async () => {
    const file = join(tempFolder(), 'metadata.db')
    writeFileSync(file, 'this is a letter to grandmother\n'.repeat(200))
    const before = readFileSync(file)
    await expect(openSql({ file, platform: testPlatform() })).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringContaining(file),
    })
    expect(readFileSync(file)).toEqual(before)
  })

  it('refuses a database that is cut short or overwritten in the middle, and leaves it as it is', async () => {
    const folder = tempFolder()
    const good = join(folder, 'good.db')
    const sql = await openItems(good)
    const rows = Array.from({ length: 2_000 }, (_, id) => ({ id, text: `item ${id} `.repeat(5) }))
    await sql.db<Tables>().insertInto('item').values(rows).execute()
    await sql.close()

    const short = join(folder, 'short.db')
    copyFileSync(good, short)
    truncateSync(short, 20_000)
    const scribbled = join(folder, 'scribbled.db')
    const bytes = readFileSync(good)
    bytes.fill(0x5a, 40_000, 60_000)
    writeFileSync(scribbled, bytes)
    for (const file of [short, scribbled]) {
      const before = readFileSync(file)
      await expect(openSql({ file, platform: testPlatform() })).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
      expect(readFileSync(file)).toEqual(before)
    }
  })

  it('says when its folder is not there', async () => {
    const file = join(tempFolder(), 'none', 'metadata.db')
    await expect(openSql({ file, platform: testPlatform() })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  })

  it('fails what waits when its thread dies, undoes the open transaction, and starts a new thread', async () => {
    const error = vi.fn()
    const logger = { debug() {}, info() {}, warn() {}, error, child: () => logger }
    const file = join(tempFolder(), 'metadata.db')
    await (await openItems(file)).close()
    const driver = new SqliteDriver(file, systemClock, logger)
    onTestFinished(() => driver.destroy())
    const db = createSqliteKysely(driver).withTables<Tables>()

    const connection = await driver.acquireConnection()
    const queued = db.selectFrom('item').select('id').execute()
    await driver.beginTransaction(connection)
    await connection.executeQuery(db.insertInto('item').values({ id: 1, text: 'undone' }).compile())
    const dying = connection.terminate()
    const waiting = connection.executeQuery(db.selectFrom('item').selectAll().compile())
    await expect(waiting).rejects.toMatchObject({ code: 'STORE_THREAD_DIED', retry: true })
    await dying
    await expect(driver.commitTransaction(connection)).rejects.toMatchObject({ code: 'STORE_THREAD_DIED' })
    await driver.rollbackTransaction(connection)
    await driver.releaseConnection()

    expect(await queued).toEqual([])
    expect(error).toHaveBeenCalledOnce()
    await db.insertInto('item').values({ id: 2, text: 'after' }).execute()
    expect(await db.selectFrom('item').select('id').execute()).toEqual([{ id: 2 }])
  })

  it.each([1, 2, 3, 4, 5])(
    'keeps every acknowledged transaction whole when the process is killed in the middle of one (%i)',
    async (round) => {
      const file = join(tempFolder(), 'metadata.db')
      await (await openItems(file)).close()
      // Each transaction writes a pair; a line on standard output acknowledges it.
      const script = `
        import { openSql } from ${JSON.stringify(new URL('../../dist/store/index.js', import.meta.url).href)}
        import { createPlatform } from ${JSON.stringify(new URL('../../dist/core/index.js', import.meta.url).href)}
        const sql = await openSql({ file: process.argv[1], platform: createPlatform() })
        for (let id = 0; ; id += 2) {
          await sql.transaction(async (tx) => {
            await tx.insertInto('item').values({ id, text: 'a'.repeat(3000) }).execute()
            await tx.insertInto('item').values({ id: id + 1, text: 'b' }).execute()
          })
          console.log(id)
        }`
      const child = spawn(process.execPath, ['--input-type=module', '-e', script, file], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      onTestFinished(() => void child.kill('SIGKILL'))
      const exited = once(child, 'exit')
      let acknowledged = -2
      for await (const line of createInterface(child.stdout)) {
        acknowledged = Number(line)
        if (acknowledged >= round * 14) child.kill('SIGKILL')
      }
      await exited
      const found = await ids(await openItems(file))
      expect(found.length).toBeGreaterThanOrEqual(acknowledged + 2)
      expect(found.length % 2).toBe(0)
      expect(found).toEqual(Array.from({ length: found.length }, (_, id) => id))
    },
  )

  it('lets a process end that has nothing else to do, but not before its statements are answered', async () => {
    const file = join(tempFolder(), 'metadata.db')
    const script = `
      import { openSql, lockFolder } from ${JSON.stringify(new URL('../../dist/store/index.js', import.meta.url).href)}
      import { createPlatform } from ${JSON.stringify(new URL('../../dist/core/index.js', import.meta.url).href)}
      await lockFolder(process.argv[1] + '.folder')
      const sql = await openSql({ file: process.argv[1], platform: createPlatform() })
      await sql.db().schema.createTable('done').addColumn('id', 'integer').execute()
      console.log('answered')`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const exited = once(child, 'exit')
    const lines: string[] = []
    for await (const line of createInterface(child.stdout)) lines.push(line)
    expect(await exited).toEqual([0, null])
    expect(lines).toEqual(['answered'])
  })

  it('does not hold the event loop while it reads many rows', async () => {
    const sql = await openItems(join(tempFolder(), 'metadata.db'))
    for (let from = 0; from < 30_000; from += 1_000) {
      const rows = Array.from({ length: 1_000 }, (_, k) => ({ id: from + k, text: 'a text of a common length' }))
      await sql.db<Tables>().insertInto('item').values(rows).execute()
    }
    let turns = 0
    let isReading = true
    const turn = () => {
      turns++
      if (isReading) setImmediate(turn)
    }
    setImmediate(turn)
    expect(await sql.db<Tables>().selectFrom('item').selectAll().execute()).toHaveLength(30_000)
    isReading = false
    // 60,000 values in pages of 4,000: had they come as one message, there would be a turn or two.
    expect(turns).toBeGreaterThan(10)
  })
})
