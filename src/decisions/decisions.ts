// Applies changes and writes their rows in one transaction, so that there is never the one without the other.
import type { Kysely, Transaction } from 'kysely'
import { type DecisionId, HeadraceError, type Platform, type Stop } from '../core/index.js'
import type { Sql } from '../store/index.js'
import { type Json, toJson } from './canonical-json.js'
import { hashDecision } from './chain.js'
import { DecisionErrors } from './errors.js'
import { type Step, supersededBy } from './history.js'
import { type DecisionTables, fromRow, HEAD_ID, migrations, toRow } from './tables.js'
import type {
  Actor,
  Change,
  ChangeKind,
  Decision,
  DecisionQuery,
  Decisions,
  Evidence,
  Explanation,
  Replaced,
} from './types.js'
import { verifyChain } from './verify.js'

const DEFAULT_LIMIT = 50
const MAX_LIMIT = 1_000
/** Decisions on the same subject that explain shows, on either side. */
const RELATED = 10

export interface DecisionsOptions {
  readonly sql: Sql
  readonly platform: Platform
  /** Every kind of change this server can make. */
  readonly kinds: readonly ChangeKind[]
}

/**
 * Opens the decisions in the metadata database, making their tables if they are missing.
 *
 *     const decisions = await createDecisions({ sql, platform, kinds: [aliasSet, endpointPoint] })
 *     const decision = await decisions.apply(change, { reason: 'canary passed' }, { kind: 'rule', name: 'release' })
 *     await decisions.undo(decision.id, actor)
 */
export async function createDecisions(options: DecisionsOptions): Promise<Decisions> {
  await options.sql.migrate('decisions', migrations)
  return new StoredDecisions(options)
}

type Draft = Pick<Decision, 'change' | 'evidence' | 'by' | 'undoes'>

class StoredDecisions implements Decisions {
  readonly #sql: Sql
  readonly #platform: Platform
  readonly #kinds: ReadonlyMap<string, ChangeKind>
  readonly #watchers = new Set<(decision: Decision) => void>()
  readonly #made

  constructor({ sql, platform, kinds }: DecisionsOptions) {
    this.#sql = sql
    this.#platform = platform
    this.#kinds = new Map(kinds.map((kind) => [kind.kind, kind]))
    this.#made = platform.metrics.counter({
      name: 'headrace_decisions_total',
      help: 'Decisions made by this process, by kind of change and whether they undo another.',
      labels: ['kind', 'undo'],
    })
  }

  async apply(change: Change, evidence: Evidence, by: Actor): Promise<Decision> {
    const [decision] = await this.applyAll([{ change, evidence }], by)
    return decision!
  }

  async applyAll(
    changes: readonly { readonly change: Change; readonly evidence: Evidence }[],
    by: Actor,
  ): Promise<Decision[]> {
    const drafts = changes.map(({ change, evidence }) => this.#draft(change, evidence, by))
    return this.#commit(async (tx) => {
      const made: Decision[] = []
      for (const draft of drafts)
        made.push(await this.#append(tx, draft, () => this.#kind(draft.change.kind).apply(tx, draft.change)))
      return made
    })
  }

  #draft(change: Change, evidence: Evidence, by: Actor): Draft {
    const kind = this.#kind(change.kind)
    checkText('subject', change.subject)
    kind.parse(change)
    return {
      change: { kind: change.kind, subject: change.subject, detail: record('detail', change.detail) },
      evidence: record('evidence', evidence),
      by: checkActor(by),
      undoes: null,
    }
  }

  async undo(id: DecisionId, by: Actor): Promise<Decision> {
    const actor = checkActor(by)
    const [decision] = await this.#commit(async (tx) => {
      // The head is locked first, here as in apply, so that nothing changes between the question and the act.
      const head = await lockHead(tx)
      const target = await find(tx.withTables<DecisionTables>(), id)
      const refusal = await this.#whyNotUndo(tx.withTables<DecisionTables>(), target)
      if (refusal) throw refusal
      const draft: Draft = { change: target.change, evidence: {}, by: actor, undoes: id }
      return [await this.#append(tx, draft, () => this.#kind(target.change.kind).undo(tx, target), head)]
    })
    return decision!
  }

  async get(id: DecisionId): Promise<Decision> {
    return find(this.#db(), id)
  }

  async list(query: DecisionQuery = {}): Promise<Decision[]> {
    const { before, subject, kind } = query
    const limit = Math.min(Math.max(query.limit ?? DEFAULT_LIMIT, 1), MAX_LIMIT)
    let rows = selectDecisions(this.#db()).orderBy('decisions.number', 'desc').limit(limit)
    if (before !== undefined) rows = rows.where('decisions.number', '<', before)
    if (subject !== undefined) rows = rows.where('decisions.subject', '=', subject)
    if (kind !== undefined) rows = rows.where('decisions.kind', '=', kind)
    return (await rows.execute()).map((row) => fromRow(row, row.undone_by))
  }

  async explain(id: DecisionId): Promise<Explanation> {
    const db = this.#db()
    const decision = await find(db, id)
    const refusal = await this.#whyNotUndo(db, decision)
    const onSubject = selectDecisions(db).where('decisions.subject', '=', decision.change.subject).limit(RELATED)
    const later = await onSubject.where('decisions.number', '>', decision.number).orderBy('decisions.number').execute()
    const earlier = await onSubject
      .where('decisions.number', '<', decision.number)
      .orderBy('decisions.number', 'desc')
      .execute()
    return {
      decision,
      summary: await this.#summary(db, decision),
      canUndo: refusal === undefined,
      reason: refusal?.message,
      related: [...later.reverse(), ...earlier].map((row) => fromRow(row, row.undone_by)),
    }
  }

  verify() {
    return verifyChain(this.#db())
  }

  watch(change: (decision: Decision) => void): Stop {
    // A function of its own, so that one watcher added twice is told twice and each stop ends one.
    const watcher = (decision: Decision) => change(decision)
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  #db(): Kysely<DecisionTables> {
    return this.#sql.db<DecisionTables>()
  }

  #kind(name: string): ChangeKind {
    const kind = this.#kinds.get(name)
    if (!kind) throw DecisionErrors.KIND_UNKNOWN({ kind: name, known: [...this.#kinds.keys()].join(', ') })
    return kind
  }

  async #commit(work: (tx: Transaction<unknown>) => Promise<Decision[]>): Promise<Decision[]> {
    const decisions = await this.#transaction(work)
    for (const decision of decisions) {
      this.#made.with(decision.change.kind, String(decision.undoes !== null)).inc()
      for (const watcher of [...this.#watchers]) void this.#tell(watcher, decision)
    }
    return decisions
  }

  /**
   * When the answer to the commit was lost, the rows say what became of it: once another transaction runs, the one before has ended.
   * Throws STORE_OUTCOME_UNKNOWN when they cannot be asked.
   */
  async #transaction(work: (tx: Transaction<unknown>) => Promise<Decision[]>): Promise<Decision[]> {
    let made: Decision[] = []
    try {
      return await this.#sql.transaction(async (tx: Transaction<unknown>) => {
        made = await work(tx)
        await this.#sql.announce(tx)
        return made
      })
    } catch (error) {
      if (!(error instanceof HeadraceError) || error.code !== 'STORE_OUTCOME_UNKNOWN') throw error
      const [first] = made
      if (first === undefined) return made
      const found = await this.#sql
        .transaction((tx: Transaction<DecisionTables>) =>
          tx.selectFrom('decisions').select('id').where('id', '=', first.id).executeTakeFirst(),
        )
        .catch(() => {
          throw error
        })
      if (found === undefined) throw DecisionErrors.NOT_MADE({}, error)
      return made
    }
  }

  async #tell(watcher: (decision: Decision) => unknown, decision: Decision): Promise<void> {
    try {
      await watcher(decision)
    } catch (error) {
      // The decision is made; a watcher that fails must not make it look otherwise.
      this.#platform.logger.error({ err: error, decision: decision.id }, 'a watcher of decisions failed')
    }
  }

  async #append(
    tx: Transaction<unknown>,
    draft: Draft,
    act: () => Promise<Replaced>,
    locked?: Head,
  ): Promise<Decision> {
    const head = locked ?? (await lockHead(tx))
    const replaced = await act()
    const unhashed = {
      ...draft,
      id: this.#platform.ids.next() as DecisionId,
      number: head.number,
      timeMs: this.#platform.clock.nowMs(),
      before: replaced && record('before', replaced),
      previousHash: head.hash,
    }
    const row = toRow({ ...unhashed, undoneBy: null, hash: hashDecision(unhashed) })
    const table = tx.withTables<DecisionTables>()
    await table.insertInto('decisions').values(row).execute()
    await table.updateTable('decision_head').set({ hash: row.hash }).where('id', '=', HEAD_ID).execute()
    // Read back from the row, so that what is returned is what list and explain will show.
    return fromRow(row, null)
  }

  async #whyNotUndo(db: Kysely<DecisionTables>, target: Decision): Promise<HeadraceError | undefined> {
    const { number, change, undoneBy } = target
    if (!this.#kinds.get(change.kind)?.undoable) return DecisionErrors.NOT_UNDOABLE({ number, kind: change.kind })
    if (undoneBy) {
      const undoer = await find(db, undoneBy)
      return DecisionErrors.ALREADY_UNDONE({ number, by: undoer.number, id: undoer.id })
    }
    const later = supersededBy(await stepsOf(db, change), target.id)
    if (!later) return undefined
    return DecisionErrors.SUPERSEDED({ number, subject: change.subject, by: later.number, id: later.id })
  }

  /** An undo reads as what became of the decision that it, or the undo it undoes, goes back to. */
  async #summary(db: Kysely<DecisionTables>, decision: Decision): Promise<string> {
    let origin = decision
    let isUndone = false
    while (origin.undoes !== null) {
      origin = await find(db, origin.undoes)
      isUndone = !isUndone
    }
    const kind = this.#kinds.get(origin.change.kind)
    const summary = kind ? kind.summary(origin) : `${origin.change.kind} of ${origin.change.subject}.`
    if (origin === decision) return summary
    return `${isUndone ? 'Undid' : 'Did again'} decision ${origin.number}: ${summary}`
  }
}

interface Head {
  /** The number of the decision being made. */
  readonly number: number
  /** The hash of the one before. */
  readonly hash: string
}

/** Claims the next number. The row stays locked until the transaction ends, which keeps the chain from forking. */
async function lockHead(tx: Transaction<unknown>): Promise<Head> {
  return tx
    .withTables<DecisionTables>()
    .updateTable('decision_head')
    .set((eb) => ({ number: eb('number', '+', 1) }))
    .where('id', '=', HEAD_ID)
    .returning(['number', 'hash'])
    .executeTakeFirstOrThrow()
}

function selectDecisions(db: Kysely<DecisionTables>) {
  return db
    .selectFrom('decisions')
    .leftJoin('decisions as undoer', 'undoer.undoes', 'decisions.id')
    .selectAll('decisions')
    .select('undoer.id as undone_by')
}

async function find(db: Kysely<DecisionTables>, id: DecisionId): Promise<Decision> {
  const row = await selectDecisions(db).where('decisions.id', '=', id).executeTakeFirst()
  if (!row) throw DecisionErrors.NOT_FOUND({ id })
  return fromRow(row, row.undone_by)
}

async function stepsOf(db: Kysely<DecisionTables>, change: Change): Promise<Step[]> {
  return db
    .selectFrom('decisions')
    .select(['number', 'id', 'undoes'])
    .where('subject', '=', change.subject)
    .where('kind', '=', change.kind)
    .orderBy('number')
    .execute()
}

function record<T extends object>(field: string, value: T): T {
  try {
    return toJson(value) as Json & T
  } catch (error) {
    throw DecisionErrors.INVALID({ field, reason: (error as Error).message })
  }
}

function checkActor({ kind, name }: Actor): Actor {
  checkText('actor', name)
  return { kind, name }
}

function checkText(field: string, text: string): void {
  if (!/^[^\p{Control}\p{Surrogate}]{1,512}$/u.test(text)) {
    throw DecisionErrors.INVALID({ field, reason: 'it is no text of 1 to 512 printable characters' })
  }
}
