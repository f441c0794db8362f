// The decisions' two tables. Rows are only ever added; `undoneBy` is read from the row that undoes.
import type { Transaction } from 'kysely'
import type { DecisionId } from '../core/index.js'
import type { Migration } from '../store/index.js'
import { canonicalJson, type Json } from './canonical-json.js'
import { GENESIS_HASH } from './chain.js'
import type { Actor, Change, Decision, Replaced } from './types.js'

export interface DecisionRow {
  number: number
  id: string
  time_ms: number
  kind: string
  subject: string
  /** Canonical JSON, as `before` and `evidence`. */
  detail: string
  before: string | null
  evidence: string
  by_kind: string
  by_name: string
  undoes: string | null
  hash: string
  previous_hash: string
}

export type DecisionTables = {
  decisions: DecisionRow
  /** One row: the last number and hash. Updating it first is what puts decisions in a line, on any engine. */
  decision_head: { id: number; number: number; hash: string }
}

export const HEAD_ID = 1

export const migrations: Readonly<Record<string, Migration>> = {
  '0001-decisions': {
    async up(tx: Transaction<unknown>) {
      await tx.schema
        .createTable('decisions')
        .addColumn('number', 'bigint', (column) => column.primaryKey())
        .addColumn('id', 'text', (column) => column.notNull().unique())
        .addColumn('time_ms', 'bigint', (column) => column.notNull())
        .addColumn('kind', 'text', (column) => column.notNull())
        .addColumn('subject', 'text', (column) => column.notNull())
        .addColumn('detail', 'text', (column) => column.notNull())
        .addColumn('before', 'text')
        .addColumn('evidence', 'text', (column) => column.notNull())
        .addColumn('by_kind', 'text', (column) => column.notNull())
        .addColumn('by_name', 'text', (column) => column.notNull())
        .addColumn('undoes', 'text', (column) => column.unique().references('decisions.id'))
        .addColumn('hash', 'text', (column) => column.notNull())
        .addColumn('previous_hash', 'text', (column) => column.notNull().unique())
        .execute()
      await tx.schema
        .createIndex('decisions_by_subject')
        .on('decisions')
        .columns(['subject', 'kind', 'number'])
        .execute()
      await tx.schema
        .createTable('decision_head')
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('number', 'bigint', (column) => column.notNull())
        .addColumn('hash', 'text', (column) => column.notNull())
        .execute()
      await tx
        .withTables<DecisionTables>()
        .insertInto('decision_head')
        .values({ id: HEAD_ID, number: 0, hash: GENESIS_HASH })
        .execute()
    },
  },
}

export function toRow(decision: Decision): DecisionRow {
  const { change, before, by } = decision
  return {
    number: decision.number,
    id: decision.id,
    time_ms: decision.timeMs,
    kind: change.kind,
    subject: change.subject,
    detail: canonicalJson(change.detail),
    before: before === null ? null : canonicalJson(before as Json),
    evidence: canonicalJson(decision.evidence as Json),
    by_kind: by.kind,
    by_name: by.name,
    undoes: decision.undoes,
    hash: decision.hash,
    previous_hash: decision.previousHash,
  }
}

export function fromRow(row: DecisionRow, undoneBy: string | null): Decision {
  return {
    id: row.id as DecisionId,
    number: row.number,
    timeMs: row.time_ms,
    change: { kind: row.kind, subject: row.subject, detail: JSON.parse(row.detail) as Change['detail'] },
    before: row.before === null ? null : (JSON.parse(row.before) as Replaced),
    evidence: JSON.parse(row.evidence) as Decision['evidence'],
    by: { kind: row.by_kind as Actor['kind'], name: row.by_name },
    undoes: row.undoes as DecisionId | null,
    undoneBy: undoneBy as DecisionId | null,
    hash: row.hash,
    previousHash: row.previous_hash,
  }
}
