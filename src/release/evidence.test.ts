import { join } from 'node:path'
import fc from 'fast-check'
import type { Kysely } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { postgresMissing, startPostgres, type TestPostgres } from '../../test/support/postgres.js'
import { tempFolder } from '../../test/support/temp-folder.js'
import { createPlatform, ManualClock } from '../core/index.js'
import { openPostgres, openSql, type Sql } from '../store/index.js'
import { readCounts, readUnits, type SeenUnit, writeEvidence } from './evidence.js'
import type { GuardArm, GuardEvent } from './guards/types.js'
import { type ReleaseTables, releaseMigrations } from './tables.js'

const platform = createPlatform({ clock: new ManualClock() })
const missing = postgresMissing()
let postgres: TestPostgres | undefined
beforeAll(async () => {
  if (!missing) postgres = await startPostgres()
}, 60_000)
afterAll(() => postgres?.stop())

const openers = {
  sqlite: () => openSql({ file: join(tempFolder(), 'metadata.db'), platform }),
  postgres: async () => openPostgres({ url: await postgres!.schema(), platform }),
}

const { '0003-counts': counted, ...before } = releaseMigrations
const ARMS = ['candidate', 'control'] as const

interface Write {
  readonly node: 'one' | 'two'
  readonly units: readonly number[]
  readonly step: number
  /** What becomes of it: written; undone, then written again; written, but the answer is lost, so it is written again. */
  readonly fate: 'written' | 'undone' | 'unheard'
}

const write = fc.record<Write>({
  node: fc.constantFrom('one', 'two'),
  units: fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 30 }),
  step: fc.integer({ min: 0, max: 2 }),
  fate: fc.constantFrom('written', 'undone', 'unheard'),
})

describe.each(Object.entries(openers))('counts of evidence on %s', (dialect, open) => {
  const isMissing = dialect === 'postgres' && missing !== undefined
  const withStore = async (work: (sql: Sql) => Promise<void>) => {
    const sql = await open()
    try {
      await work(sql)
    } finally {
      await sql.close()
    }
  }

  it.skipIf(isMissing)(
    'are those of the rows, whatever nodes write twice, fail to write or never hear of',
    async () => {
      await withStore(async (sql) => {
        await sql.migrate('releases', releaseMigrations)
        let release = 0
        await fc.assert(
          fc.asyncProperty(fc.array(write, { maxLength: 8 }), async (writes) => {
            const id = `r${++release}`
            for (const [position, one] of writes.entries()) await doWrite(sql, id, position, one)
            await expectCounts(sql, id)
          }),
          { numRuns: 25, seed: 5 },
        )
      })
    },
  )

  it.skipIf(isMissing)('are exact when two nodes write the same units at the same time', async () => {
    await withStore(async (sql) => {
      await sql.migrate('releases', releaseMigrations)
      const units = Array.from({ length: 450 }, (_, i) => i)
      const nodes = [
        { node: 'one', units, step: 0, fate: 'written' },
        { node: 'two', units: units.toReversed(), step: 0, fate: 'written' },
      ] as const
      await Promise.all(nodes.map((one) => doWrite(sql, 'r', 1, one)))
      expect(await readUnits(sql.db(), 'r')).toContainEqual({ step: 0, arm: 'candidate', units: 225 })
      await expectCounts(sql, 'r')
    })
  })

  it.skipIf(isMissing)(
    'are made from the rows that an earlier version left, and need none of them to be read',
    async () => {
      await withStore(async (sql) => {
        await sql.migrate('releases', before)
        const db = sql.db<ReleaseTables>()
        const rows = Array.from({ length: 30 }, (_, i) => ({
          release: 'r',
          step: i % 3,
          arm: ARMS[i % 2]!,
          unit: `u${i}`,
        }))
        await db.insertInto('release_units').values(rows).execute()
        const events = rows.slice(7).map((row) => ({ ...row, guard: 'errors' }))
        await db.insertInto('release_events').values(events).execute()
        await sql.migrate('releases', { ...before, '0003-counts': counted! })
        await expectCounts(sql, 'r')
        await doWrite(sql, 'r', 1, { node: 'one', units: [1, 2, 3], step: 1, fate: 'written' })
        await expectCounts(sql, 'r')
        const known = [await readUnits(db, 'r'), await readCounts(db, 'r')]
        await db.deleteFrom('release_units').execute()
        await db.deleteFrom('release_events').execute()
        expect([await readUnits(db, 'r'), await readCounts(db, 'r')]).toEqual(known)
      })
    },
  )
})

async function doWrite(sql: Sql, release: string, position: number, { node, units, step, fate }: Write): Promise<void> {
  const seen = units.map((unit): SeenUnit => ({ step, arm: ARMS[unit % 2]!, unit: `u${unit}` }))
  const events = seen.flatMap(({ arm, unit }): GuardEvent[] =>
    ['errors', 'latency'].map((guard) => ({ guard, unit, arm, step })),
  )
  const store = () => writeEvidence(sql, { release, node, position }, events, seen)
  if (fate === 'unheard') await store()
  if (fate === 'undone') {
    const failing: Sql = {
      ...sql,
      transaction: (work) =>
        sql.transaction(async (tx) => {
          await work(tx as never)
          throw new Error('undone')
        }),
    }
    await expect(writeEvidence(failing, { release, node, position }, events, seen)).rejects.toThrow('undone')
  }
  await store()
}

/** The slow obvious version: every row is counted. */
async function expectCounts(sql: Sql, release: string): Promise<void> {
  const db: Kysely<ReleaseTables> = sql.db()
  const units = await db.selectFrom('release_units').selectAll().where('release', '=', release).execute()
  const events = await db.selectFrom('release_events').selectAll().where('release', '=', release).execute()
  const tally = (keys: readonly string[]) => {
    const counts = new Map<string, number>()
    for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
    return Object.fromEntries(counts)
  }
  const told = <T extends { step: number; arm: string; units: number }>(
    counts: readonly T[],
    name: (count: T) => string,
  ) => Object.fromEntries(counts.map((count) => [`${name(count)} ${count.step} ${count.arm as GuardArm}`, count.units]))
  expect(told(await readUnits(db, release), () => 'unit')).toEqual(
    tally(units.map((row) => `unit ${row.step} ${row.arm}`)),
  )
  expect(told(await readCounts(db, release), ({ guard }) => guard)).toEqual(
    tally(events.map((row) => `${row.guard} ${row.step} ${row.arm}`)),
  )
}
