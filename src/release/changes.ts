// The kinds of change that releases are made of. Each changes one row by compare-and-set: of two that start from the same revision one
// is made and the other refused. Completion moves what the leaf's selector named, in the same transaction.
import type { Kysely, Transaction } from 'kysely'
import { z } from 'zod'
import type { Change, ChangeKind, Decision, Replaced } from '../decisions/index.js'
import { registryChangeKinds } from '../registry/index.js'
import { ReleaseErrors } from './errors.js'
import { stepText } from './plan.js'
import { findRow, fromRow, isActive, type ReleaseRow, type ReleaseTables } from './tables.js'
import type { ReleaseState, ReleaseTarget } from './types.js'

type Db = Kysely<ReleaseTables>

const whole = z.int().min(0)
const text = z.string().min(1)

const started = z.strictObject({
  release: text,
  model: text,
  from: whole,
  to: whole,
  selector: text,
  alias: text.nullable(),
  /** JSON of a ReleasePlan. */
  plan: text,
  minUnits: whole,
  timeScale: z.int().min(1),
  /** JSON of GuardSettings. */
  guards: text,
  startedMs: z.number(),
  startedByKind: z.enum(['person', 'rule', 'system']),
  startedByName: text,
})
const moved = z.strictObject({
  release: text,
  /** The revision that the change starts from; null: whatever it is. */
  revision: whole.nullable(),
  /** Of the controller that decided it; null: somebody else. */
  term: whole.nullable(),
  atMs: z.number(),
  reason: z.string().nullable(),
  /** Index of the step gone to, of a step or promotion. */
  step: whole.optional(),
})
type Moved = z.output<typeof moved>

/** Throws RELEASE_NOT_LEADER when a controller's term is over. */
export type CheckTerm = (tx: Transaction<unknown>, term: number) => Promise<void>

export function releaseChangeKinds(checkTerm: CheckTerm): readonly ChangeKind[] {
  return [
    releaseStart,
    goOn(checkTerm, 'release.step', (step) => `Went on to ${step}`),
    goOn(checkTerm, 'release.promote', (step) => `Promoted to ${step}`),
    pausing('release.pause', 'running', 'paused', 'Paused'),
    pausing('release.resume', 'paused', 'running', 'Resumed'),
    ending(checkTerm, 'release.abort', 'aborted', 'Aborted'),
    ending(checkTerm, 'release.rollback', 'rolled-back', 'Rolled back'),
    completion(checkTerm),
  ]
}

const releaseStart: ChangeKind = {
  kind: 'release.start',
  undoable: true,
  parse: (change) => void read(started, change),
  async apply(tx, change) {
    const db = tx.withTables<ReleaseTables>()
    const { subject: endpoint } = change
    const detail = read(started, change)
    await expectIdle(db, endpoint)
    await db
      .insertInto('releases')
      .values({
        id: detail.release,
        endpoint,
        active_endpoint: endpoint,
        model: detail.model,
        from_version: detail.from,
        to_version: detail.to,
        selector: detail.selector,
        alias: detail.alias,
        plan: detail.plan,
        state: 'running',
        step: 0,
        revision: 1,
        step_elapsed_ms: 0,
        min_units: detail.minUnits,
        time_scale: detail.timeScale,
        guards: detail.guards,
        thresholds: null,
        shadow: null,
        started_ms: detail.startedMs,
        ended_ms: null,
        started_by: JSON.stringify({ kind: detail.startedByKind, name: detail.startedByName }),
        reason: null,
        final: null,
      })
      .execute()
    return null
  },
  async undo(tx, { change, before }) {
    const db = tx.withTables<ReleaseTables>()
    const row = await rowOf(db, read(started, change).release)
    if (before === null && !isActive(row))
      throw ReleaseErrors.NOT_ACTIVE({ id: row.id, state: row.state, act: 'taken back' })
    return restore(db, row, before ?? { state: 'aborted', reason: 'its start was undone' })
  },
  summary({ change }) {
    const { model, from, to, plan } = read(started, change)
    const { name, text: steps } = JSON.parse(plan) as { name?: string; text: string }
    const written = name === undefined ? steps : `${name} (${steps})`
    return `Started to release version ${to} of ${model} on ${change.subject}, in place of ${from}, by the plan ${written}.`
  },
}

function goOn(checkTerm: CheckTerm, kind: string, say: (step: string) => string): ChangeKind {
  return {
    kind,
    undoable: false,
    parse: (change) => void read(moved, change),
    async apply(tx, change) {
      const detail = read(moved, change)
      const { db, row } = await claim(tx, detail, 'moved on', checkTerm)
      const { plan } = fromRow(row)
      const step = detail.step ?? row.step + 1
      if (step <= row.step || step >= plan.steps.length)
        throw ReleaseErrors.CHANGE_INVALID({ kind, problem: `there is no step ${step + 1} after step ${row.step + 1}` })
      await update(db, row, { step, step_elapsed_ms: 0 })
      return { step: row.step, from: stepText(plan.steps[row.step]!), to: stepText(plan.steps[step]!) }
    },
    undo: refuse,
    summary: ({ change, before }) => `${say(String(before?.['to'] ?? 'the next step'))}: release on ${change.subject}.`,
  }
}

function pausing(kind: string, from: ReleaseState, to: ReleaseState, said: string): ChangeKind {
  return {
    kind,
    undoable: true,
    parse: (change) => void read(moved, change),
    async apply(tx, change) {
      const detail = read(moved, change)
      const { db, row } = await claim(tx, detail, to === 'paused' ? 'paused' : 'resumed')
      if (row.state !== from)
        throw ReleaseErrors.NOT_ACTIVE({ id: row.id, state: row.state, act: to === 'paused' ? 'paused' : 'resumed' })
      await update(db, row, { state: to, reason: to === 'paused' ? detail.reason : null })
      return { state: row.state, reason: row.reason }
    },
    async undo(tx, { change, before }) {
      const db = tx.withTables<ReleaseTables>()
      const row = await rowOf(db, read(moved, change).release)
      if (!isActive(row)) throw ReleaseErrors.NOT_ACTIVE({ id: row.id, state: row.state, act: 'changed back' })
      return restore(db, row, before ?? {})
    },
    summary: ({ change }) => `${said} the release on ${change.subject}${because(change)}.`,
  }
}

function ending(checkTerm: CheckTerm, kind: string, state: ReleaseState, said: string): ChangeKind {
  return {
    kind,
    undoable: false,
    parse: (change) => void read(moved, change),
    async apply(tx, change) {
      const detail = read(moved, change)
      const { db, row } = await claim(tx, detail, state === 'aborted' ? 'aborted' : 'rolled back', checkTerm)
      await update(db, row, { state, active_endpoint: null, ended_ms: detail.atMs, reason: detail.reason })
      return { state: row.state, step: row.step }
    },
    undo: refuse,
    summary: ({ change }) => `${said} the release on ${change.subject}${because(change)}.`,
  }
}

/** Undoing it puts back what was served, and the release ends as rolled back. */
function completion(checkTerm: CheckTerm): ChangeKind {
  return {
    kind: 'release.complete',
    undoable: true,
    parse: (change) => void read(moved, change),
    async apply(tx, change) {
      const detail = read(moved, change)
      const { db, row } = await claim(tx, detail, 'completed', checkTerm)
      const before = await moveTarget(tx, row, row.to_version)
      const { plan } = fromRow(row)
      await update(db, row, {
        state: 'completed',
        active_endpoint: null,
        step: plan.steps.length - 1,
        ended_ms: detail.atMs,
        reason: detail.reason,
      })
      return {
        ...before,
        to: row.to_version,
        state: 'rolled-back',
        reason: 'its completion was undone',
        endedMs: detail.atMs,
      }
    },
    async undo(tx, decision) {
      const db = tx.withTables<ReleaseTables>()
      const row = await rowOf(db, read(moved, decision.change).release)
      await expectIdle(db, row.endpoint)
      const before = decision.before!
      const replaced = await moveTarget(tx, row, (before['version'] as number | null) ?? null)
      return { ...replaced, ...(await restore(db, row, before)) }
    },
    summary: ({ change, before }) =>
      `Completed the release on ${change.subject}: ${String(before?.['what'])} is version ${String(before?.['to'])} now${because(change)}.`,
  }
}

/** Points what the selector named at a version, null forgets it. Refuses when it is neither of the two that the release is about. */
async function moveTarget(
  tx: Transaction<unknown>,
  row: ReleaseRow,
  version: number | null,
): Promise<{ version: number | null; what: string }> {
  const { endpoint, model, selector, alias } = row
  if (alias !== null) {
    const kind = registryChangeKinds.find((candidate) => candidate.kind === 'alias.set')!
    const subject = `${model}@${alias}`
    const present = await tx
      .withTables<{ registry_aliases: { model: string; alias: string; version: number } }>()
      .selectFrom('registry_aliases')
      .select('version')
      .where('model', '=', model)
      .where('alias', '=', alias)
      .executeTakeFirst()
    const isOwn = present === undefined || present.version === row.from_version || present.version === row.to_version
    if (!isOwn)
      throw ReleaseErrors.TARGET_MOVED({
        endpoint,
        what: `alias "${alias}" of ${model}`,
        expected: `version ${row.from_version}`,
        actual: `version ${present.version}`,
      })
    await kind.apply(tx, { kind: 'alias.set', subject, detail: { model, alias, version } })
    return { version: present?.version ?? null, what: `alias "${alias}" of ${model}` }
  }
  const db = tx.withTables<ReleaseTables>()
  const target = db.selectFrom('release_targets').select('version')
  const present = await target
    .where('endpoint', '=', endpoint)
    .where('model', '=', model)
    .where('selector', '=', selector)
    .executeTakeFirst()
  if (version === null || String(version) === selector) {
    await db
      .deleteFrom('release_targets')
      .where('endpoint', '=', endpoint)
      .where('model', '=', model)
      .where('selector', '=', selector)
      .execute()
  } else {
    await db
      .insertInto('release_targets')
      .values({ endpoint, model, selector, version })
      .onConflict((conflict) => conflict.columns(['endpoint', 'model', 'selector']).doUpdateSet({ version }))
      .execute()
  }
  return { version: present?.version ?? null, what: `${model} of endpoint ${endpoint}` }
}

/**
 * A change that points an endpoint, made to end what completed releases left there: whoever names a version means that one. In the same
 * transaction, and put back by its undoing.
 */
export function endingTargets(kind: ChangeKind): ChangeKind {
  return {
    ...kind,
    async apply(tx, change) {
      const pointing = await kind.apply(tx, change)
      const releaseTargets = await swapTargets(tx, change.subject, [])
      return releaseTargets.length === 0 ? pointing : { pointing, releaseTargets }
    },
    async undo(tx, decision) {
      const { before, change } = decision
      if (before === null || !('releaseTargets' in before)) return kind.undo(tx, decision)
      const pointing = await kind.undo(tx, { ...decision, before: before['pointing'] as Replaced })
      const targets = before['releaseTargets'] as readonly ReleaseTarget[]
      return { pointing, releaseTargets: await swapTargets(tx, change.subject, targets) }
    },
  }
}

async function swapTargets(
  tx: Transaction<unknown>,
  endpoint: string,
  targets: readonly ReleaseTarget[],
): Promise<ReleaseTarget[]> {
  const db = tx.withTables<ReleaseTables>()
  const present = await db.selectFrom('release_targets').selectAll().where('endpoint', '=', endpoint).execute()
  await db.deleteFrom('release_targets').where('endpoint', '=', endpoint).execute()
  if (targets.length > 0)
    await db
      .insertInto('release_targets')
      .values([...targets])
      .execute()
  return present
}

/** The row of an active release at the revision that the change starts from. */
async function claim(
  tx: Transaction<unknown>,
  { release, revision, term }: Moved,
  act: string,
  checkTerm?: CheckTerm,
): Promise<{ db: Db; row: ReleaseRow }> {
  const db = tx.withTables<ReleaseTables>()
  if (term !== null) await checkTerm?.(tx, term)
  const row = await rowOf(db, release)
  if (!isActive(row)) throw ReleaseErrors.NOT_ACTIVE({ id: row.id, state: row.state, act })
  if (revision !== null && revision !== row.revision)
    throw ReleaseErrors.CHANGED_MEANWHILE({ id: row.id, expected: revision, actual: row.revision })
  return { db, row }
}

/** The state a decision replaced, put back. */
async function restore(
  db: Db,
  row: ReleaseRow,
  before: Readonly<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  const state = before['state'] as ReleaseState
  if (isActive({ state }) && !isActive(row)) await expectIdle(db, row.endpoint)
  const reason = (before['reason'] as string | null | undefined) ?? null
  await update(db, row, {
    state,
    reason,
    active_endpoint: isActive({ state }) ? row.endpoint : null,
    ended_ms: isActive({ state })
      ? null
      : (row.ended_ms ?? (before['endedMs'] as number | undefined) ?? row.started_ms),
  })
  return { state: row.state, reason: row.reason }
}

async function update(db: Db, row: ReleaseRow, values: Partial<ReleaseRow>): Promise<void> {
  const { numUpdatedRows } = await db
    .updateTable('releases')
    .set({ ...values, revision: row.revision + 1 })
    .where('id', '=', row.id)
    .where('revision', '=', row.revision)
    .executeTakeFirst()
  if (numUpdatedRows !== 1n)
    throw ReleaseErrors.CHANGED_MEANWHILE({ id: row.id, expected: row.revision, actual: row.revision + 1 })
}

async function expectIdle(db: Db, endpoint: string): Promise<void> {
  const active = await db.selectFrom('releases').selectAll().where('active_endpoint', '=', endpoint).executeTakeFirst()
  if (active) throw ReleaseErrors.ALREADY_ACTIVE({ endpoint, id: active.id, to: active.to_version })
}

async function rowOf(db: Db, id: string): Promise<ReleaseRow> {
  const row = await findRow(db, id)
  if (row) return row
  throw ReleaseErrors.NOT_FOUND({ id })
}

async function refuse(_: Transaction<unknown>, { change }: Decision): Promise<Replaced> {
  throw ReleaseErrors.CHANGE_INVALID({ kind: change.kind, problem: 'it cannot be undone' })
}

function because(change: Change): string {
  const { reason } = read(moved, change)
  return reason === null ? '' : `, because ${reason.replace(/\.$/, '')}`
}

function read<T>(schema: z.ZodType<T>, change: Change): T {
  const parsed = schema.safeParse(change.detail)
  if (parsed.success) return parsed.data
  const problem = parsed.error.issues.map(({ path, message }) => `"${path.join('.')}": ${message}`).join('; ')
  throw ReleaseErrors.CHANGE_INVALID({ kind: change.kind, problem: `its detail is not right (${problem})` })
}
