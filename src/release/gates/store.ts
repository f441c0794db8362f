// What is remembered of gates: the last report of each version and endpoint, and who approved or rejected which content for which endpoint.
import type { Kysely } from 'kysely'
import { z } from 'zod'
import type { Actor, Change, ChangeKind, Decision, Replaced } from '../../decisions/index.js'
import type { Migration, Sql } from '../../store/index.js'
import { GateErrors } from './errors.js'
import type { Approval, GateReport } from './types.js'

type GateTables = {
  gate_reports: { endpoint: string; model: string; version: number; checked_ms: number; report: string }
  gate_approvals: ApprovalRow
}

interface ApprovalRow {
  endpoint: string
  model: string
  digest: string
  /** `person:anna` */
  by: string
  verdict: string
  role: string | null
  comment: string | null
  time_ms: number
}

export const gateMigrations: Readonly<Record<string, Migration>> = {
  '0001-reports-approvals': {
    async up(tx) {
      await tx.schema
        .createTable('gate_reports')
        .addColumn('endpoint', 'text', (column) => column.notNull())
        .addColumn('model', 'text', (column) => column.notNull())
        .addColumn('version', 'bigint', (column) => column.notNull())
        .addColumn('checked_ms', 'bigint', (column) => column.notNull())
        .addColumn('report', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('gate_reports_key', ['endpoint', 'model', 'version'])
        .execute()
      await tx.schema
        .createTable('gate_approvals')
        .addColumn('endpoint', 'text', (column) => column.notNull())
        .addColumn('model', 'text', (column) => column.notNull())
        .addColumn('digest', 'text', (column) => column.notNull())
        .addColumn('by', 'text', (column) => column.notNull())
        .addColumn('verdict', 'text', (column) => column.notNull())
        .addColumn('role', 'text')
        .addColumn('comment', 'text')
        .addColumn('time_ms', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('gate_approvals_key', ['endpoint', 'model', 'digest', 'by'])
        .execute()
    },
  },
}

const approval = z.strictObject({
  endpoint: z.string().min(1),
  model: z.string().min(1),
  version: z.int().positive(),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  by: z.string().min(1),
  role: z.string().nullable(),
  comment: z.string().max(1000).nullable(),
  timeMs: z.number(),
})

type ApprovalDetail = z.output<typeof approval>

/** The change that records a person's word on a version. A later word of the same person takes the place of an earlier one. */
export function approving(verdict: Approval['verdict'], detail: ApprovalDetail): Change {
  return { kind: verdict === 'approved' ? APPROVE : REJECT, subject: subjectOf(detail), detail }
}

const APPROVE = 'version.approve'
const REJECT = 'version.reject'

/** One person's words on one version for one endpoint are one subject, so that each can be undone by itself. */
function subjectOf({ endpoint, model, version, by }: Pick<ApprovalDetail, 'endpoint' | 'model' | 'version' | 'by'>) {
  return `${model}/${version}@${endpoint}:${by}`
}

function kindOf(kind: string, verdict: Approval['verdict']): ChangeKind {
  return {
    kind,
    undoable: true,
    parse(change) {
      const detail = read(change)
      const subject = subjectOf(detail)
      if (change.subject !== subject)
        throw GateErrors.APPROVAL_INVALID({
          problem: `it is about "${change.subject}", and its detail about "${subject}".`,
        })
    },
    async apply(tx, change) {
      const { version: _, timeMs: time_ms, ...detail } = read(change)
      return put(tx.withTables<GateTables>(), { ...detail, verdict, time_ms })
    },
    async undo(tx, { change, before }) {
      const db = tx.withTables<GateTables>()
      const { endpoint, model, digest, by, timeMs } = read(change)
      const replaced = await find(db, { endpoint, model, digest, by })
      // A later word of the other kind stands, whatever becomes of this one.
      if (replaced !== undefined && replaced.time_ms > timeMs) return replaced
      if (before !== null) return put(db, before as unknown as ApprovalRow)
      await db
        .deleteFrom('gate_approvals')
        .where('endpoint', '=', endpoint)
        .where('model', '=', model)
        .where('digest', '=', digest)
        .where('by', '=', by)
        .execute()
      return replaced ?? null
    },
    summary({ change }) {
      const { model, version, endpoint } = read(change)
      return `${verdict === 'approved' ? 'Approved' : 'Rejected'} version ${version} of ${model} for endpoint ${endpoint}.`
    },
  }
}

export const gateChangeKinds: readonly ChangeKind[] = [kindOf(APPROVE, 'approved'), kindOf(REJECT, 'rejected')]

function read(change: Change): ApprovalDetail {
  const parsed = approval.safeParse(change.detail)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map(({ path, message }) => `"${path.join('.') || 'detail'}": ${message}`)
  throw GateErrors.APPROVAL_INVALID({ problem: `${problems.join('; ')}.` })
}

async function find(
  db: Kysely<GateTables>,
  { endpoint, model, digest, by }: Pick<ApprovalRow, 'endpoint' | 'model' | 'digest' | 'by'>,
): Promise<(Replaced & ApprovalRow) | undefined> {
  const row = await db
    .selectFrom('gate_approvals')
    .selectAll()
    .where('endpoint', '=', endpoint)
    .where('model', '=', model)
    .where('digest', '=', digest)
    .where('by', '=', by)
    .executeTakeFirst()
  return row as (Replaced & ApprovalRow) | undefined
}

async function put(db: Kysely<GateTables>, row: ApprovalRow): Promise<Replaced> {
  const replaced = await find(db, row)
  const { verdict, role, comment, time_ms } = row
  await db
    .insertInto('gate_approvals')
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(['endpoint', 'model', 'digest', 'by']).doUpdateSet({ verdict, role, comment, time_ms }),
    )
    .execute()
  return replaced ?? null
}

/** Every standing word on a content for an endpoint, oldest first. */
export async function readApprovals(
  sql: Sql,
  endpoint: string,
  model: string,
  digest: string,
): Promise<Omit<Approval, 'decision'>[]> {
  const rows = await sql
    .db<GateTables>()
    .selectFrom('gate_approvals')
    .selectAll()
    .where('endpoint', '=', endpoint)
    .where('model', '=', model)
    .where('digest', '=', digest)
    .orderBy('time_ms')
    .orderBy('by')
    .execute()
  return rows.map(({ by, verdict, role, comment, time_ms }) => ({
    endpoint,
    model,
    digest,
    verdict: verdict as Approval['verdict'],
    comment,
    by: actor(by),
    role,
    timeMs: time_ms,
  }))
}

export function actorText({ kind, name }: Actor): string {
  return `${kind}:${name}`
}

function actor(text: string): Actor {
  const at = text.indexOf(':')
  return { kind: text.slice(0, at) as Actor['kind'], name: text.slice(at + 1) }
}

export async function saveReport(sql: Sql, report: GateReport): Promise<void> {
  const { endpoint, model, version, checkedMs: checked_ms } = report
  const values = { checked_ms, report: JSON.stringify(report) }
  await sql
    .db<GateTables>()
    .insertInto('gate_reports')
    .values({ endpoint, model, version, ...values })
    .onConflict((conflict) => conflict.columns(['endpoint', 'model', 'version']).doUpdateSet(values))
    .execute()
}

/** The last report; undefined when the version was never checked for the endpoint. */
export async function readReport(
  sql: Sql,
  endpoint: string,
  model: string,
  version: number,
): Promise<GateReport | undefined> {
  const row = await sql
    .db<GateTables>()
    .selectFrom('gate_reports')
    .select('report')
    .where('endpoint', '=', endpoint)
    .where('model', '=', model)
    .where('version', '=', version)
    .executeTakeFirst()
  return row && (JSON.parse(row.report) as GateReport)
}

/** The last reports, newest first. */
export async function listReports(
  sql: Sql,
  query: { readonly endpoint?: string; readonly model?: string },
): Promise<GateReport[]> {
  let select = sql.db<GateTables>().selectFrom('gate_reports').select('report')
  if (query.endpoint !== undefined) select = select.where('endpoint', '=', query.endpoint)
  if (query.model !== undefined) select = select.where('model', '=', query.model)
  const rows = await select.orderBy('checked_ms', 'desc').limit(100).execute()
  return rows.map(({ report }) => JSON.parse(report) as GateReport)
}

/** Of decisions about one person's word, the one that stands. */
export function standing(decisions: readonly Decision[]): Decision | undefined {
  return (
    decisions.find(
      ({ change, undoes, undoneBy }) =>
        (change.kind === APPROVE || change.kind === REJECT) && undoneBy === null && undoes === null,
    ) ?? decisions[0]
  )
}
