// Walks the chain from its first row and recomputes every hash.
import type { Kysely } from 'kysely'
import { canonicalJson } from './canonical-json.js'
import { GENESIS_HASH, hashDecision } from './chain.js'
import { type DecisionRow, type DecisionTables, fromRow, HEAD_ID } from './tables.js'
import type { Verification } from './types.js'

/** Rows read at a time: 100 take about 1 ms to hash, so the event loop is not held. */
const PAGE_ROWS = 100

export async function verifyChain(db: Kysely<DecisionTables>): Promise<Verification> {
  let number = 0
  let hash = GENESIS_HASH
  for (;;) {
    // Read before each page, so that decisions made during the walk do not look like damage.
    const head = await db.selectFrom('decision_head').selectAll().where('id', '=', HEAD_ID).executeTakeFirst()
    const rows = await db
      .selectFrom('decisions')
      .selectAll()
      .where('number', '>', number)
      .orderBy('number')
      .limit(PAGE_ROWS)
      .execute()
    for (const row of rows) {
      const reason = whyBroken(row, number + 1, hash)
      if (reason) return broken(number + 1, reason)
      number++
      hash = row.hash
    }
    if (rows.length > 0) continue
    if (!head) return broken(number + 1, 'the head of the chain is missing')
    if (number < head.number) return broken(number + 1, 'the row is missing')
    if (number > head.number) return broken(head.number + 1, 'the row is behind the head of the chain')
    if (hash !== head.hash) return broken(number, 'the head of the chain has another hash')
    return { ok: true, count: number, head: hash }
  }
}

function whyBroken(row: DecisionRow, number: number, previousHash: string): string | undefined {
  if (row.number !== number) return 'the row is missing'
  if (row.previous_hash !== previousHash) return 'the hash of the row before is not the one it names'
  try {
    for (const text of [row.detail, row.before, row.evidence]) {
      if (text !== null && canonicalJson(JSON.parse(text)) !== text) return 'its JSON is not as it was written'
    }
    if (hashDecision(fromRow(row, null)) !== row.hash) return 'its hash is not that of its content'
  } catch (error) {
    return `it cannot be read: ${(error as Error).message}`
  }
  return undefined
}

function broken(number: number, reason: string): Verification {
  return { ok: false, number, reason }
}
