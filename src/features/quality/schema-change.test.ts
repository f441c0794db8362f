import { describe, expect, it } from 'vitest'
import { type SourceColumn, schemaChanges, widens } from './schema-change.js'

const columns = (of: Readonly<Record<string, string>>): SourceColumn[] =>
  Object.entries(of).map(([name, type]) => ({ name, type }))
const BEFORE = columns({ user_id: 'VARCHAR', at: 'TIMESTAMP', amount: 'INTEGER', note: 'VARCHAR' })
const READ = new Set(['user_id', 'at', 'amount'])

describe('the columns of a source', () => {
  it('may grow, and lose what no view reads', () => {
    const now = columns({ user_id: 'VARCHAR', at: 'TIMESTAMP', amount: 'INTEGER', country: 'VARCHAR' })
    expect(schemaChanges(BEFORE, now, READ)).toEqual({
      breaking: [],
      harmless: ['column "note" is gone, which the view does not read', 'column "country" (VARCHAR) is new'],
    })
  })

  it('may not lose what a view reads; a column that could be it is named', () => {
    const now = columns({ user_id: 'VARCHAR', at: 'TIMESTAMP', amount_eur: 'BIGINT', note: 'VARCHAR' })
    expect(schemaChanges(BEFORE, now, READ).breaking).toEqual([
      'column "amount" (INTEGER) is gone; was it renamed to "amount_eur"?',
    ])
  })

  it('may be renamed where the source says so, before the view or after it', () => {
    const now = columns({ user_id: 'VARCHAR', at: 'TIMESTAMP', amount_eur: 'BIGINT', note: 'VARCHAR' })
    for (const read of [READ, new Set(['user_id', 'at', 'amount_eur'])]) {
      expect(schemaChanges(BEFORE, now, read, { amount: 'amount_eur' })).toEqual({
        breaking: [],
        harmless: [
          'column "amount" is "amount_eur" now, as "renames" says',
          'column "amount_eur" was INTEGER and is BIGINT',
        ],
      })
    }
  })

  it('may become wider, and nothing else', () => {
    const now = (type: string) => columns({ user_id: 'VARCHAR', at: 'TIMESTAMP', amount: type, note: 'VARCHAR' })
    expect(schemaChanges(BEFORE, now('BIGINT'), READ).breaking).toEqual([])
    expect(schemaChanges(BEFORE, now('VARCHAR'), READ).breaking).toEqual(['column "amount" was INTEGER and is VARCHAR'])
    expect(schemaChanges(BEFORE, now('SMALLINT'), READ).breaking).toHaveLength(1)
  })

  it.each([
    ['INTEGER', 'DOUBLE', true],
    ['BIGINT', 'DOUBLE', false],
    ['UINTEGER', 'BIGINT', true],
    ['UINTEGER', 'INTEGER', false],
    ['TIMESTAMP', 'TIMESTAMP_NS', true],
    ['TIMESTAMP', 'TIMESTAMP WITH TIME ZONE', false],
    ["ENUM('a', 'b')", 'VARCHAR', true],
    ['integer', 'bigint', true],
    ['real', 'double precision', true],
    ['character varying', 'text', true],
    ['text', 'integer', false],
  ])('of %s to %s widen: %s', (from, to, expected) => {
    expect(widens(from, to)).toBe(expected)
  })
})
