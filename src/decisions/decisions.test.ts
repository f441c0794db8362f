import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decisionsContract, openDecisions } from '../../test/contract/decisions.js'
import { tempFolder } from '../../test/support/temp-folder.js'
import { testPlatform } from '../core/index.js'
import { openSql } from '../store/index.js'
import type { DecisionRow, DecisionTables } from './tables.js'

const onSqlite = () => {
  const file = join(tempFolder(), 'metadata.db')
  return () => openSql({ file, platform: testPlatform() })
}

describe('decisions on SQLite', () => {
  decisionsContract(onSqlite)
})

describe('the audit chain', () => {
  const by = { kind: 'rule', name: 'release' } as const

  /** Three decisions, the last of which undoes the second, and direct access to their tables. */
  async function chain() {
    const { sql, decisions } = await openDecisions(onSqlite())
    const set = (value: number) => ({ kind: 'register.set', subject: 'a', detail: { value } })
    const first = await decisions.apply(set(1), { reason: 'x' }, by)
    const second = await decisions.apply(set(2), { reason: 'y' }, by)
    const third = await decisions.undo(second.id, by)
    return { sql, decisions, db: sql.db<DecisionTables>(), made: [first, second, third] as const }
  }

  /** Changes of each column that a database would let through. */
  const changes: [keyof DecisionRow, (row: DecisionRow, first: string) => string | number | null][] = [
    ['number', (row) => row.number + 0.5],
    ['id', () => '00000000-0000-7000-8000-000000000000'],
    ['time_ms', (row) => row.time_ms + 1],
    ['kind', (row) => `${row.kind}.x`],
    ['subject', () => 'b'],
    ['detail', () => '{"value":3}'],
    ['detail', (row) => row.detail.replace(':', ': ')],
    ['detail', () => '{"value":'],
    ['detail', () => '{"toString":{}}'],
    ['before', (row) => (row.before ? null : '{}')],
    ['before', () => '{"value":7}'],
    ['evidence', () => '{"reason":"z"}'],
    ['by_kind', () => 'person'],
    ['by_name', () => ''],
    ['undoes', (row, first) => (row.undoes ? null : first)],
    ['hash', () => 'f'.repeat(64)],
    ['hash', (row) => row.hash.toUpperCase()],
    ['previous_hash', () => 'e'.repeat(64)],
  ]
  it.each([1, 2, 3])('finds a change of any column of row %i, and names the row', async (number) => {
    const { decisions, db, made } = await chain()
    const rowOf = db.selectFrom('decisions').selectAll()
    const row = await rowOf.where('number', '=', number).executeTakeFirstOrThrow()
    for (const [column, change] of changes) {
      // The database itself refuses to change an id that an undo points at.
      if (column === 'id' && number === 2) continue
      const where = column === 'hash' ? 'id' : 'hash'
      await db
        .updateTable('decisions')
        .set({ [column]: change(row, made[0].id) })
        .where(where, '=', row[where])
        .execute()
      expect(await decisions.verify(), column).toMatchObject({ ok: false, number })
      await db.updateTable('decisions').set(row).where(where, '=', row[where]).execute()
      expect(await decisions.verify()).toMatchObject({ ok: true })
    }
  })

  it('finds a removed row, a removed end, an added row and a changed head', async () => {
    const damages: [number, (db: Awaited<ReturnType<typeof chain>>['db']) => Promise<unknown>][] = [
      [3, (db) => db.deleteFrom('decisions').where('number', '=', 3).execute()],
      [1, (db) => db.deleteFrom('decisions').where('number', '=', 1).execute()],
      [4, (db) => db.updateTable('decision_head').set({ number: 4 }).execute()],
      [3, (db) => db.updateTable('decision_head').set({ number: 2 }).execute()],
      [
        3,
        (db) =>
          db
            .updateTable('decision_head')
            .set({ hash: 'f'.repeat(64) })
            .execute(),
      ],
      [4, (db) => db.deleteFrom('decision_head').execute()],
      [
        4,
        async (db) => {
          const row = await db.selectFrom('decisions').selectAll().where('number', '=', 3).executeTakeFirstOrThrow()
          const copy = { ...row, number: 4, id: 'copy', undoes: null, previous_hash: row.hash }
          return db.insertInto('decisions').values(copy).execute()
        },
      ],
    ]
    for (const [number, damage] of damages) {
      const { decisions, db } = await chain()
      expect(await decisions.verify()).toMatchObject({ ok: true, count: 3 })
      await damage(db)
      expect(await decisions.verify()).toMatchObject({ ok: false, number })
    }
  })

  it('verifies while decisions are being made', async () => {
    const { decisions } = await chain()
    const making = Promise.all(
      Array.from({ length: 150 }, (_, i) =>
        decisions.apply({ kind: 'register.set', subject: 'b', detail: { value: i } }, {}, by),
      ),
    )
    for (let i = 0; i < 10; i++) expect(await decisions.verify()).toMatchObject({ ok: true })
    await making
    expect(await decisions.verify()).toMatchObject({ ok: true, count: 153 })
  })
})
