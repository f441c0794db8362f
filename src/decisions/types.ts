// What runs is changed only by decisions: each is a record that carries its evidence, can be explained and undone.
import type { Transaction } from 'kysely'
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

/**
 * How one kind of change is made and unmade; the domain that owns the state supplies it, `app` registers it.
 * `apply` and `undo` write through `tx` only (`tx.withTables<Tables>()`), so that the change and its row are one.
 */
export interface ChangeKind {
  readonly kind: string
  /** Whether `undo` may be asked for; what cannot be taken back says false. */
  readonly undoable: boolean
  /** Throws the domain's own error when the detail is not one of this kind. */
  parse(change: Change): void
  /** Makes the change and returns what it replaced: null when there was nothing. */
  apply(tx: Transaction<unknown>, change: Change): Promise<Replaced>
  /** Puts back `decision.before` and returns what that replaced, so that an undo can be undone too. */
  undo(tx: Transaction<unknown>, decision: Decision): Promise<Replaced>
  /** One sentence for a person, as it reads in a list: `Pointed alias "champion" of fraud at version 2.` */
  summary(decision: Decision): string
}

/** The state a change replaced, as JSON. */
export type Replaced = Readonly<Record<string, unknown>> | null

export interface DecisionQuery {
  /** Default 50, at most 1,000. */
  readonly limit?: number
  /** Only decisions with a smaller number: the last one of the page before. */
  readonly before?: number
  readonly subject?: string
  readonly kind?: string
}

export type Verification =
  | { readonly ok: true; readonly count: number; readonly head: string }
  /** `number` is the first row that is not as it was written. */
  | { readonly ok: false; readonly number: number; readonly reason: string }

export interface Decisions {
  /**
   * Makes the change and its row in one transaction of its own: do not call it inside another one.
   * Throws DECISION_INVALID, DECISION_KIND_UNKNOWN and what the kind throws.
   */
  apply(change: Change, evidence: Evidence, by: Actor): Promise<Decision>
  /** Several changes of the same actor in one transaction: all are made, or none. Throws as `apply` does. */
  applyAll(changes: readonly { readonly change: Change; readonly evidence: Evidence }[], by: Actor): Promise<Decision[]>
  /**
   * A new decision that puts back what this one replaced; undoing an undo does the change again.
   * Throws DECISION_NOT_FOUND, DECISION_ALREADY_UNDONE, DECISION_NOT_UNDOABLE, DECISION_SUPERSEDED.
   */
  undo(id: DecisionId, by: Actor): Promise<Decision>
  /** Throws DECISION_NOT_FOUND. */
  get(id: DecisionId): Promise<Decision>
  /** Newest first. */
  list(query?: DecisionQuery): Promise<Decision[]>
  /** Throws DECISION_NOT_FOUND. */
  explain(id: DecisionId): Promise<Explanation>
  /** Recomputes the whole chain. */
  verify(): Promise<Verification>
  /** Each decision of this process after its commit, in order; what a watcher throws is logged and goes no further. */
  watch(change: (decision: Decision) => void): Stop
}
