// The hash chain. Each decision's hash covers the one before, so that a row that was changed, removed, added or moved
// later shows. What it cannot show is a chain rewritten from some row to its end: note a head's hash elsewhere for that.
//
// A stored format; `test/fixtures/decisions/` holds chains that must verify for ever, and a Python script that does it.
// The hash is the SHA-256, in lower-case hex, of these bytes in UTF-8:
//
//     headrace decision 1 LF  previous hash (64 hex digits; zeros for the first)  LF  canonical JSON
//
// where LF is a line feed, the spaces around it are only for reading, and the JSON is RFC 8785 of an object with exactly
// the members before, by {kind, name}, change {detail, kind, subject}, evidence, id, number, timeMs, undoes.
import { createHash } from 'node:crypto'
import { canonicalJson, type Json } from './canonical-json.js'
import type { Decision } from './types.js'

export const GENESIS_HASH = '0'.repeat(64)

export type Unhashed = Omit<Decision, 'hash' | 'undoneBy'>

export function hashDecision(decision: Unhashed): string {
  const { before, by, change, evidence, id, number, timeMs, undoes, previousHash } = decision
  const body = canonicalJson({
    before: before as Json,
    by: { kind: by.kind, name: by.name },
    change: { detail: change.detail, kind: change.kind, subject: change.subject },
    evidence: evidence as Json,
    id,
    number,
    timeMs,
    undoes,
  })
  return createHash('sha256').update(`headrace decision 1\n${previousHash}\n${body}`).digest('hex')
}
