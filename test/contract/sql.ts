// What every Sql engine promises, SQLite and Postgres alike. Tables are made with portable column types only.
import fc from 'fast-check'
import { sql as raw, type Transaction } from 'kysely'
import { expect, it, onTestFinished } from 'vitest'
import { createLogger } from '../../src/core/index.js'
import type { Migration, Sql } from '../../src/store/index.js'

/** Opens an empty database of the test's own; opening again opens the same one. */
export type OpenSql = () => Promise<Sql>

type Tables = {
  value: { id: number; i: number | bigint | null; d: number | null; t: string | null; b: Uint8Array | null }
  parent: { id: number; name: string }
  child: { id: number; parent: number; size: number | null }
}

const migrations: Readonly<Record<string, Migration>> = {
  '0001-tables': {
    async up(tx) {
      await tx.schema
        .createTable('value')
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('i', 'bigint')
        .addColumn('d', 'double precision')
        .addColumn('t', 'text')
        .addColumn('b', 'bytea')
        .execute()
      await tx.schema
        .createTable('parent')
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('name', 'text', (column) => column.notNull().unique())
        .execute()
      await tx.schema
        .createTable('child')
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('parent', 'integer', (column) => column.notNull().references('parent.id'))
        .addColumn('size', 'integer')
        .addCheckConstraint('child_size', raw`size > 0`)
        .execute()
    },
  },
}

/** `make` is called once a test. */
export function sqlContract(make: () => OpenSql): void {
  const openTables = async (open = make()) => {
    const sql = await open()
    onTestFinished(() => sql.close())
    await sql.migrate('test', migrations)
    return { sql, open, db: sql.db<Tables>() }
  }
  const empty = { i: null, d: null, t: null, b: null }

  it('keeps 64-bit integers, numbers, text, bytes and nulls exactly', async () => {
    const { db } = await openTables()
    const text = fc.string({ unit: 'binary' }).filter((t) => !t.includes('\0'))
    let id = 0
    await fc.assert(
      fc.asyncProperty(
        fc.option(fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.maxSafeInteger())),
        fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })),
        fc.option(text),
        fc.option(fc.uint8Array({ maxLength: 300 })),
        async (i, d, t, b) => {
          id++
          await db.insertInto('value').values({ id, i, d, t, b }).execute()
          const row = await db.selectFrom('value').selectAll().where('id', '=', id).executeTakeFirstOrThrow()
          expect(BigInt(row.i ?? 0)).toBe(BigInt(i ?? 0))
          expect(typeof row.i).toBe(i === null ? 'object' : Number.isSafeInteger(Number(i)) ? 'number' : 'bigint')
          // The sign of a zero is the one thing an engine may lose.
          expect(row.d).toBe(d === null ? null : d + 0)
          expect(row.t).toBe(t)
          expect(row.b === null ? null : [...row.b]).toEqual(b === null ? null : [...b])
        },
      ),
      { numRuns: 100 },
    )
  })

  it('keeps only the bytes of a view that is part of a larger buffer', async () => {
    const { db } = await openTables()
    const b = Buffer.from('[inside]').subarray(1, 7)
    await db
      .insertInto('value')
      .values({ ...empty, id: 1, b })
      .execute()
    const row = await db.selectFrom('value').select('b').executeTakeFirstOrThrow()
    expect(Buffer.from(row.b!).toString()).toBe('inside')
  })

  it.each([
    ['a boolean', true],
    ['undefined', undefined],
    ['NaN', Number.NaN],
    ['an infinity', Number.POSITIVE_INFINITY],
    ['an integer of more than 64 bits', 2n ** 63n],
    ['text with a NUL', 'a\0b'],
    ['half of a surrogate pair', '\ud800'],
    ['a Date', new Date(0)],
    ['an object', { a: 1 }],
  ])('refuses %s as a parameter, and works on', async (_, value) => {
    const { db } = await openTables()
    const query = db
      .selectFrom('value')
      .selectAll()
      .where('t', '=', value as never)
    await expect(query.execute()).rejects.toMatchObject({ code: 'STORE_VALUE_INVALID', params: { parameter: 1 } })
    expect(await db.selectFrom('value').selectAll().execute()).toEqual([])
  })

  it('treats a parameter as a value, whatever it says', async () => {
    const { db } = await openTables()
    const t = `'); drop table value; --`
    await db
      .insertInto('value')
      .values({ ...empty, id: 1, t })
      .execute()
    expect(await db.selectFrom('value').select('t').where('t', '=', t).execute()).toEqual([{ t }])
  })

  it('finds and stores an integer in a text comparison and a limit as written', async () => {
    const { db } = await openTables()
    await db
      .insertInto('value')
      .values([1, 2, 3].map((id) => ({ ...empty, id, i: id * 10 })))
      .execute()
    const rows = await db.selectFrom('value').select('i').where('i', '>', 10).orderBy('i').limit(1).offset(1).execute()
    expect(rows).toEqual([{ i: 30 }])
  })

  it('says how many rows were changed, and returns what returning names', async () => {
    const { db } = await openTables()
    await db
      .insertInto('value')
      .values([1, 2, 3].map((id) => ({ ...empty, id })))
      .execute()
    const updated = await db.updateTable('value').set({ i: 5 }).where('id', '<', 3).executeTakeFirstOrThrow()
    expect(updated.numUpdatedRows).toBe(2n)
    expect(await db.deleteFrom('value').where('id', '=', 3).returning('id').execute()).toEqual([{ id: 3 }])
    expect((await db.deleteFrom('value').where('id', '=', 3).executeTakeFirstOrThrow()).numDeletedRows).toBe(0n)
  })

  it('gives counts, sums and comparisons as numbers', async () => {
    const { db } = await openTables()
    await db
      .insertInto('value')
      .values([1, 2, 3].map((id) => ({ ...empty, id, i: id * 2, d: id / 2 })))
      .execute()
    const row = await db
      .selectFrom('value')
      .select(({ fn }) => [
        fn.countAll<number>().as('rows'),
        fn.sum<number>('i').as('sum'),
        fn.max('i').as('max'),
        fn.avg<number>('d').as('mean'),
      ])
      .executeTakeFirstOrThrow()
    expect(row).toEqual({ rows: 3, sum: 12, max: 6, mean: 1 })
    const rows = await db
      .selectFrom('value')
      .select((eb) => eb('i', '>', 3).as('large'))
      .orderBy('id')
      .execute()
    expect(rows).toEqual([{ large: 0 }, { large: 1 }, { large: 1 }])
  })

  it('adds or replaces a row by its key, and says what became of it', async () => {
    const { db } = await openTables()
    const put = (name: string) =>
      db
        .insertInto('parent')
        .values({ id: 1, name })
        .onConflict((on) => on.column('id').doUpdateSet((eb) => ({ name: eb.ref('excluded.name') })))
    await put('a').execute()
    await put('b').execute()
    const ignored = await db
      .insertInto('parent')
      .values({ id: 1, name: 'c' })
      .onConflict((on) => on.doNothing())
      .executeTakeFirstOrThrow()
    expect(ignored.numInsertedOrUpdatedRows).toBe(0n)
    expect(await db.selectFrom('parent').select('name').execute()).toEqual([{ name: 'b' }])
  })

  it('claims work by compare-and-set: of many at once, one wins', async () => {
    const { db } = await openTables()
    await db
      .insertInto('value')
      .values({ ...empty, id: 1, i: 0 })
      .execute()
    const claims = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const claim = await db.updateTable('value').set({ i: 1 }).where('id', '=', 1).where('i', '=', 0).execute()
        return claim[0]!.numUpdatedRows
      }),
    )
    expect(claims.filter((n) => n === 1n)).toHaveLength(1)
  })

  it.each([
    ['unique', (db: Transaction<Tables>) => db.insertInto('parent').values({ id: 2, name: 'a' })],
    ['unique', (db: Transaction<Tables>) => db.insertInto('parent').values({ id: 1, name: 'b' })],
    ['not-null', (db: Transaction<Tables>) => db.insertInto('parent').values({ id: 3, name: null as never })],
    ['foreign-key', (db: Transaction<Tables>) => db.insertInto('child').values({ id: 1, parent: 9, size: 1 })],
    ['check', (db: Transaction<Tables>) => db.insertInto('child').values({ id: 1, parent: 1, size: 0 })],
  ])('reports a broken %s constraint as STORE_CONFLICT and undoes the transaction', async (constraint, insert) => {
    const { sql, db } = await openTables()
    await db.insertInto('parent').values({ id: 1, name: 'a' }).execute()
    const broken = sql.transaction(async (tx: Transaction<Tables>) => {
      await tx.insertInto('parent').values({ id: 7, name: 'gone' }).execute()
      await insert(tx).execute()
    })
    await expect(broken).rejects.toMatchObject({ code: 'STORE_CONFLICT', status: 409, params: { constraint } })
    expect(await db.selectFrom('parent').select('id').execute()).toEqual([{ id: 1 }])
  })

  it('reports a statement that makes no sense as STORE_QUERY_FAILED, with the statement as cause', async () => {
    const { sql } = await openTables()
    const query = sql.db<{ nowhere: { a: number } }>().selectFrom('nowhere').selectAll()
    await expect(query.execute()).rejects.toMatchObject({
      code: 'STORE_QUERY_FAILED',
      cause: { message: expect.stringContaining('select * from "nowhere"') },
    })
  })

  it('says of a statement that failed neither its values nor all of its text', async () => {
    const { db } = await openTables()
    const secret = 'hr_not_to_be_seen'
    const rows = Array.from({ length: 2_000 }, (_, id) => ({ id, name: secret }))
    const failures: unknown[] = []
    const tryTo = (work: Promise<unknown>) => work.catch((error: unknown) => failures.push(error))
    await tryTo(db.insertInto('parent').values(rows).execute())
    const noNumber = { ...empty, id: 1, i: secret as unknown as number }
    await tryTo(db.insertInto('value').values(noNumber).execute())
    await tryTo(
      db
        .selectFrom('parent')
        .where('nothing' as 'name', '=', secret)
        .selectAll()
        .execute(),
    )
    expect(failures.length).toBeGreaterThanOrEqual(2)
    const lines: string[] = []
    const logger = createLogger({ destination: { write: (line: string) => void lines.push(line) } })
    for (const err of failures) logger.error({ err }, 'it failed')
    for (const line of lines) {
      expect(line).not.toContain(secret)
      expect(JSON.parse(line)).toMatchObject({ err: { code: expect.stringMatching(/^STORE_/) } })
      expect(line.length).toBeLessThan(6_000)
    }
  })

  it('undoes a transaction whose work throws, and passes on what it threw', async () => {
    const { sql, db } = await openTables()
    const failure = new Error('changed my mind')
    const failed = sql.transaction(async (tx: Transaction<Tables>) => {
      await tx.insertInto('parent').values({ id: 1, name: 'a' }).execute()
      throw failure
    })
    await expect(failed).rejects.toBe(failure)
    expect(await db.selectFrom('parent').selectAll().execute()).toEqual([])
  })

  it('gives back what the work of a transaction returns, once it is committed', async () => {
    const { sql, db } = await openTables()
    const name = await sql.transaction(async (tx: Transaction<Tables>) => {
      await tx.insertInto('parent').values({ id: 1, name: 'a' }).execute()
      return (await tx.selectFrom('parent').select('name').executeTakeFirstOrThrow()).name
    })
    expect(name).toBe('a')
    expect(await db.selectFrom('parent').selectAll().execute()).toEqual([{ id: 1, name: 'a' }])
  })

  it('refuses to commit a transaction in which a statement failed, though its work went on', async () => {
    const { sql, db } = await openTables()
    const failed = sql.transaction(async (tx: Transaction<Tables>) => {
      await tx.insertInto('parent').values({ id: 1, name: 'a' }).execute()
      const twice = tx.insertInto('parent').values({ id: 1, name: 'b' }).execute()
      await expect(twice).rejects.toMatchObject({ code: 'STORE_CONFLICT' })
    })
    await expect(failed).rejects.toMatchObject({ code: 'STORE_CONFLICT' })
    expect(await db.selectFrom('parent').selectAll().execute()).toEqual([])
    await sql.transaction((tx: Transaction<Tables>) => tx.insertInto('parent').values({ id: 1, name: 'c' }).execute())
    expect(await db.selectFrom('parent').select('name').execute()).toEqual([{ name: 'c' }])
  })

  it('serialises transactions, so that reading and then writing loses nothing', async () => {
    const { sql, db } = await openTables()
    await db
      .insertInto('value')
      .values({ ...empty, id: 1, i: 0 })
      .execute()
    await Promise.all(
      Array.from({ length: 20 }, () =>
        sql.transaction(async (tx: Transaction<Tables>) => {
          const { i } = await tx.selectFrom('value').select('i').where('id', '=', 1).executeTakeFirstOrThrow()
          await tx
            .updateTable('value')
            .set({ i: Number(i) + 1 })
            .where('id', '=', 1)
            .execute()
        }),
      ),
    )
    expect(await db.selectFrom('value').select('i').execute()).toEqual([{ i: 20 }])
  })

  it('answers statements of one transaction that are sent at once', async () => {
    const { sql } = await openTables()
    const rows = await sql.transaction(async (tx: Transaction<Tables>) => {
      await Promise.all(
        Array.from({ length: 20 }, (_, id) =>
          tx
            .insertInto('value')
            .values({ ...empty, id })
            .execute(),
        ),
      )
      return tx.selectFrom('value').select('id').orderBy('id').execute()
    })
    expect(rows.map((row) => row.id)).toEqual(Array.from({ length: 20 }, (_, id) => id))
  })

  it('keeps nothing of work that goes on after its transaction failed', async () => {
    const { sql, db } = await openTables()
    const stragglers: Promise<unknown>[] = []
    const failed = sql.transaction(async (tx: Transaction<Tables>) => {
      const goOn = async (id: number): Promise<void> => {
        await tx
          .insertInto('value')
          .values({ ...empty, id })
          .execute()
        await goOn(id + 1)
      }
      for (let i = 0; i < 5; i++) stragglers.push(goOn(i * 1_000).catch((error: unknown) => error))
      await tx
        .insertInto('parent')
        .values({ id: 1, name: null as never })
        .execute()
    })
    await expect(failed).rejects.toMatchObject({ code: 'STORE_CONFLICT' })
    await Promise.all(stragglers)
    expect(await db.selectFrom('value').select('id').execute()).toEqual([])
  })

  it('returns answers of any length, whole and in order', async () => {
    const { sql, db } = await openTables()
    await sql.transaction(async (tx: Transaction<Tables>) => {
      for (let from = 0; from < 12_000; from += 1_000) {
        const rows = Array.from({ length: 1_000 }, (_, k) => ({ ...empty, id: from + k, t: `row ${from + k}` }))
        await tx.insertInto('value').values(rows).execute()
      }
    })
    const rows = await db.selectFrom('value').select(['id', 't']).orderBy('id').execute()
    expect(rows).toHaveLength(12_000)
    expect(rows.every((row, id) => row.id === id && row.t === `row ${id}`)).toBe(true)

    const streamed: number[] = []
    for await (const row of db.selectFrom('value').select('id').orderBy('id').stream(100)) {
      streamed.push(row.id)
      if (streamed.length === 5_000) break
    }
    expect(streamed).toEqual(Array.from({ length: 5_000 }, (_, id) => id))
    expect(await db.selectFrom('value').select('id').where('id', '=', 3).execute()).toEqual([{ id: 3 }])
  })

  it('finds everything again after it was closed and opened', async () => {
    const { sql, db, open } = await openTables()
    await db.insertInto('parent').values({ id: 1, name: 'a' }).execute()
    await sql.close()
    const again = await openTables(open)
    expect(await again.db.selectFrom('parent').selectAll().execute()).toEqual([{ id: 1, name: 'a' }])
  })

  it('finishes what is running before it closes, and refuses what comes after', async () => {
    const { sql, db, open } = await openTables()
    const running = sql.transaction(async (tx: Transaction<Tables>) => {
      await tx.insertInto('parent').values({ id: 1, name: 'a' }).execute()
      await tx.insertInto('parent').values({ id: 2, name: 'b' }).execute()
    })
    const closing = sql.close()
    await expect(db.selectFrom('parent').selectAll().execute()).rejects.toMatchObject({ code: 'STORE_CLOSED' })
    await Promise.all([running, closing, sql.close()])
    const again = await openTables(open)
    expect(await again.db.selectFrom('parent').select('id').orderBy('id').execute()).toEqual([{ id: 1 }, { id: 2 }])
  })

  it('applies migrations once each, in the order of their names, for each domain apart', async () => {
    const { sql } = await openTables()
    const done: string[] = []
    const step = (name: string): Migration => ({ up: async () => void done.push(name) })
    await sql.migrate('one', { '0002-b': step('one b'), '0001-a': step('one a') })
    await sql.migrate('two', { '0001-a': step('two a') })
    await sql.migrate('one', { '0001-a': step('one a'), '0002-b': step('one b'), '0003-c': step('one c') })
    expect(done).toEqual(['one a', 'one b', 'two a', 'one c'])
  })

  it('applies migrations all or nothing, and tries again the next time', async () => {
    const { sql } = await openTables()
    const first: Migration = {
      up: (tx) => tx.schema.createTable('half').addColumn('id', 'integer').execute(),
    }
    const cause = new Error('no')
    const failing = { '0001-first': first, '0002-second': { up: () => Promise.reject(cause) } }
    await expect(sql.migrate('half', failing)).rejects.toMatchObject({
      code: 'STORE_MIGRATION_FAILED',
      params: { domain: 'half', migration: '0002-second' },
      cause,
    })
    await sql.migrate('half', { '0001-first': first })
    expect(await sql.db<{ half: { id: number } }>().selectFrom('half').selectAll().execute()).toEqual([])
  })

  it('refuses a database that is newer than the code, without a change to it', async () => {
    const { sql } = await openTables()
    const done: string[] = []
    const step = (name: string): Migration => ({ up: async () => void done.push(name) })
    await sql.migrate('future', { '0001-a': step('a'), '0002-b': step('b') })
    const old = sql.migrate('future', { '0001-a': step('a'), '0003-other': step('other') })
    await expect(old).rejects.toMatchObject({
      code: 'STORE_SCHEMA_NEWER',
      params: { domain: 'future', migration: '0002-b' },
    })
    expect(done).toEqual(['a', 'b'])
  })

  it('refuses a migration whose name sorts before one that is applied', async () => {
    const { sql } = await openTables()
    const step: Migration = { up: async () => {} }
    await sql.migrate('order', { '0001-a': step, '0003-c': step })
    const late = sql.migrate('order', { '0001-a': step, '0002-b': step, '0003-c': step })
    await expect(late).rejects.toMatchObject({
      code: 'STORE_MIGRATION_ORDER',
      params: { domain: 'order', migration: '0002-b', after: '0003-c' },
    })
  })
}
