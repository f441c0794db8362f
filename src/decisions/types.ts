// What runs is changed only by decisions: each is a record that carries its evidence, can be explained and undone.
import type { DecisionId, Stop } from '../core/index.js'

/** A change by kind, with ids and numbers but no personal data. Kinds are registered in `app`. */
export interface Change {
  /** `version.seen`, `alias.set`, `endpoint.point`. */
  readonly kind: string
  /** What it is about: a model, alias or endpoint name. */
  readonly subject: string
  readonly detail: Readonly<Record<string, string | number | boolean | null>>
}

/** Why: free facts, shown by explain. */
export type Evidence = Readonly<Record<string, unknown>>

/** Who: a person, a rule, or the server itself. */
export interface Actor {
  readonly kind: 'person' | 'rule' | 'system'
  readonly name: string
}

export interface Decision {
  readonly id: DecisionId
  /** Position in the chain; the first is 1. */
  readonly number: number
  readonly timeMs: number
  readonly change: Change
  /** What the change replaced, as its undo needs it. */
  readonly before: Readonly<Record<string, unknown>> | null
  readonly evidence: Evidence
  readonly by: Actor
  /** The decision this one undoes. */
  readonly undoes: DecisionId | null
  readonly undoneBy: DecisionId | null
  /** SHA-256 over the previous hash and this row in canonical JSON. */
  readonly hash: string
  readonly previousHash: string
}

export interface Explanation {
  readonly decision: Decision
  /** One sentence for a person. */
  readonly summary: string
  readonly canUndo: boolean
  /** Why not, when it cannot be undone. */
  readonly reason: string | undefined
  /** Later and earlier decisions on the same subject. */
  readonly related: readonly Decision[]
}

export interface Decisions {
  /** Makes the change and its row in one transaction. */
  apply(change: Change, evidence: Evidence, by: Actor): Promise<Decision>
  /** Throws DECISION_NOT_FOUND, DECISION_ALREADY_UNDONE, DECISION_NOT_UNDOABLE, DECISION_SUPERSEDED. */
  undo(id: DecisionId, by: Actor): Promise<Decision>
  explain(id: DecisionId): Promise<Explanation>
  watch(change: (decision: Decision) => void): Stop
}
