// Floor 2. What runs is changed only here: a decision is a change, its evidence and who made it, written in the transaction
// that makes the change, chained by hashes, explained and undone. The audit is its reading.
// Use it for every change to what runs. What a kind of change does belongs to the domain that owns the state.
export { canonicalJson, type Json } from './canonical-json.js'
export { GENESIS_HASH, hashDecision, type Unhashed } from './chain.js'
export { createDecisions, type DecisionsOptions } from './decisions.js'
export { DecisionErrors } from './errors.js'
export { createLeaderLease, type LeaderLease, type LeaderLeaseOptions } from './leader-lease.js'
export { requireTerm } from './leader-table.js'
export { type DecisionPosition, readDecisionsAfter, readPosition } from './position.js'
export type {
  Actor,
  Change,
  ChangeKind,
  Decision,
  DecisionQuery,
  Decisions,
  Evidence,
  Explanation,
  Replaced,
  Verification,
} from './types.js'
