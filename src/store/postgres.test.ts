// Against a real PostgreSQL, which is stopped, frozen and cut off on the way.
import { execFile } from 'node:child_process'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { promisify } from 'node:util'
import type { Transaction } from 'kysely'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type OpenSql, sqlContract } from '../../test/contract/sql.js'
import { postgresMissing, startPostgres, type TestPostgres } from '../../test/support/postgres.js'
import { type HeadraceError, systemClock, testPlatform } from '../core/index.js'
import { type Migration, openPostgres, type Sql } from './index.js'

type Tables = { item: { id: number } }

const itemTable: Migration = {
  up: (tx) =>
    tx.schema
      .createTable('item')
      .addColumn('id', 'integer', (column) => column.primaryKey())
      .execute(),
}

const missing = postgresMissing()

describe.skipIf(missing)(`Postgres${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let postgres: TestPostgres
  beforeAll(async () => {
    postgres = await startPostgres()
  }, 60_000)
  afterAll(() => postgres?.stop())

  const inSchema = (): OpenSql => {
    const url = postgres.schema()
    return async () => openPostgres({ url: await url, platform: testPlatform({ clock: systemClock }) })
  }

  sqlContract(inSchema)

  /** With a server of the test's own, which can be taken away. */
  async function own(): Promise<{ server: TestPostgres; sql: Sql; url: string }> {
    const server = await startPostgres()
    const platform = testPlatform({ clock: systemClock })
    const sql = await openPostgres({ url: server.url, platform })
    onTestFinished(async () => {
      await sql.close()
      await server.stop()
    })
    await sql.migrate('items', { '0001-item': itemTable })
    return { server, sql, url: server.url }
  }
  const add = (sql: Sql, id: number) => sql.db<Tables>().insertInto('item').values({ id }).execute()
  const inTransaction = (sql: Sql, id: number) =>
    sql.transaction((tx: Transaction<Tables>) => tx.insertInto('item').values({ id }).execute())
  const ids = async (sql: Sql) =>
    (await sql.db<Tables>().selectFrom('item').select('id').orderBy('id').execute()).map(({ id }) => id)

  it('refuses calls within two seconds when the server stands still, then at once, and goes on when it moves again', async () => {
    const { server, sql } = await own()
    await add(sql, 1)
    server.freeze()
    const startedMs = performance.now()
    await expect(ids(sql)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retry: true })
    // What is promised is two seconds; machines that run tests are given longer. Without a limit it would be forever.
    expect(performance.now() - startedMs).toBeLessThan(15_000)
    const againMs = performance.now()
    await expect(inTransaction(sql, 2)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(performance.now() - againMs).toBeLessThan(15_000)
    server.thaw()
    await expect
      .poll(
        () =>
          inTransaction(sql, 3)
            .then(() => true)
            .catch(() => false),
        { timeout: 30_000 },
      )
      .toBe(true)
    expect(await ids(sql)).toEqual([1, 3])
  }, 60_000)

  it('refuses calls while the server is down, and goes on when it is back', async () => {
    const { server, sql } = await own()
    let heard = 0
    sql.listen(() => heard++)
    await expect.poll(() => heard, { timeout: 30_000 }).toBe(1)
    await server.kill()
    await expect(add(sql, 1)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(/^postgres:\/\/127\.0\.0\.1:\d+\/postgres cannot be read or written: /),
    })
    await server.start()
    await expect
      .poll(
        () =>
          add(sql, 2)
            .then(() => true)
            .catch(() => false),
        { timeout: 30_000 },
      )
      .toBe(true)
    // It listens again, and looks for what it may have missed.
    await expect.poll(() => heard, { timeout: 30_000 }).toBe(2)
    await sql.transaction((tx) => sql.announce(tx))
    await expect.poll(() => heard, { timeout: 30_000 }).toBe(3)
    expect(await ids(sql)).toEqual([2])
  }, 60_000)

  it('says that the outcome is unknown when the connection breaks during a commit, and knows it after the next transaction', async () => {
    const url = await postgres.schema()
    const proxy = await startProxy(new URL(url))
    const sql = await openPostgres({ url: proxy.url, platform: testPlatform({ clock: systemClock }) })
    onTestFinished(async () => {
      await sql.close()
      proxy.close()
    })
    await sql.migrate('items', { '0001-item': itemTable })
    proxy.cutAfter('commit\0')
    await expect(inTransaction(sql, 1)).rejects.toMatchObject({ code: 'STORE_OUTCOME_UNKNOWN', retry: false })
    await inTransaction(sql, 2)
    expect(await ids(sql)).toEqual([1, 2])
    proxy.cutBefore('commit\0')
    await expect(inTransaction(sql, 3)).rejects.toMatchObject({ code: 'STORE_OUTCOME_UNKNOWN' })
    await inTransaction(sql, 4)
    expect(await ids(sql)).toEqual([1, 2, 4])
  }, 30_000)

  it('migrates once when several servers start at the same moment', async () => {
    const open = inSchema()
    const servers = await Promise.all(Array.from({ length: 4 }, () => open()))
    onTestFinished(async () => {
      await Promise.all(servers.map((sql) => sql.close()))
    })
    let made = 0
    const migration: Migration = {
      async up(tx) {
        made++
        await itemTable.up(tx)
      },
    }
    await Promise.all(servers.map((sql) => sql.migrate('items', { '0001-item': migration })))
    expect(made).toBe(1)
  })

  it('is not held up for long by a server that stands still in the middle of a transaction', async () => {
    const open = inSchema()
    const [paused, other] = [await open(), await open()]
    onTestFinished(async () => {
      await Promise.all([paused.close(), other.close()])
    })
    await paused.migrate('items', { '0001-item': itemTable })
    const held = paused.transaction(async (tx: Transaction<Tables>) => {
      await tx.insertInto('item').values({ id: 1 }).execute()
      await inTransaction(other, 2)
    })
    await expect(held).rejects.toMatchObject({
      code: expect.stringMatching(/^STORE_(BUSY|UNAVAILABLE|OUTCOME_UNKNOWN)$/),
    })
    expect(await ids(other)).toEqual([2])
  }, 30_000)

  it('tells other servers that listen, when the transaction has committed and not when it has failed', async () => {
    const open = inSchema()
    const [teller, listener] = [await open(), await open()]
    onTestFinished(async () => {
      await Promise.all([teller.close(), listener.close()])
    })
    let heard = 0
    listener.listen(() => heard++)
    await expect.poll(() => heard, { timeout: 30_000 }).toBe(1)
    await expect(
      teller.transaction(async (tx) => {
        await teller.announce(tx)
        throw new Error('changed my mind')
      }),
    ).rejects.toThrow('changed my mind')
    await teller.transaction((tx) => teller.announce(tx))
    await expect.poll(() => heard, { timeout: 30_000 }).toBe(2)
  })

  it('keeps user, password and stored values out of what it says', async () => {
    const { port } = new URL(postgres.url)
    const url = `postgres://somebody:hunter2@127.0.0.1:${port}/nowhere`
    const sql = await openPostgres({ url, platform: testPlatform({ clock: systemClock }) })
    onTestFinished(() => sql.close())
    const failure = await ids(sql).catch((error: HeadraceError) => error)
    expect(failure).toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(`${JSON.stringify(failure)} ${(failure as Error).cause}`).not.toContain('hunter2')

    const other = await inSchema()()
    onTestFinished(() => other.close())
    await other.migrate('items', { '0001-item': itemTable })
    await add(other, 123_456_789)
    const conflict = (await add(other, 123_456_789).catch((error: unknown) => error)) as HeadraceError
    expect(conflict.code).toBe('STORE_CONFLICT')
    expect(`${conflict.message} ${conflict.cause}`).not.toContain('123456789')
  })

  it('lets a process end that has nothing else to do', async () => {
    const script = `
      import { openPostgres } from ${JSON.stringify(new URL('../../dist/store/index.js', import.meta.url).href)}
      import { createPlatform } from ${JSON.stringify(new URL('../../dist/core/index.js', import.meta.url).href)}
      const sql = await openPostgres({ url: process.argv[1], platform: createPlatform() })
      sql.listen(() => {})
      await sql.transaction((tx) => sql.announce(tx))
      console.log('answered')`
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', script, await postgres.schema()],
      { timeout: 60_000 },
    )
    expect(stdout).toBe('answered\n')
  }, 60_000)
})

/** Passes everything on, and cuts the connection that says `word`: before the server hears it, or before its answer. */
async function startProxy(target: URL) {
  let cut: { word: string; isBefore: boolean } | undefined
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname)
    let isCut = false
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) sockets.add(socket.on('error', end).on('close', end))
    client.on('data', (bytes) => {
      if (cut !== undefined && bytes.includes(cut.word)) {
        isCut = true
        if (cut.isBefore) end()
        cut = undefined
      }
      if (!upstream.destroyed) upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      if (isCut) end()
      else client.write(bytes)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = new URL(target.href)
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    cutAfter: (word: string) => {
      cut = { word, isBefore: false }
    },
    cutBefore: (word: string) => {
      cut = { word, isBefore: true }
    },
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
