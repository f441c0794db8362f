// Which models were loaded with a config or unloaded by hand: the rows, and the decisions that change them.
import type { Transaction } from 'kysely'
import { z } from 'zod'
import { isName, type ModelName } from '../../core/index.js'
import type { Change, ChangeKind, Replaced } from '../../decisions/index.js'
import type { Migration, Sql } from '../../store/index.js'
import { RepositoryErrors } from './errors.js'
import { readOverride } from './override.js'

type RepositoryTables = { repository_models: { model: string; state: string; override: string | null } }

export const repositoryMigrations: Readonly<Record<string, Migration>> = {
  '0001-models': {
    async up(tx) {
      await tx.schema
        .createTable('repository_models')
        .addColumn('model', 'text', (column) => column.primaryKey())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('override', 'text')
        .execute()
    },
  },
}

/** What somebody decided about a model; one that nobody did is loaded as it is. */
export interface ModelSetting {
  readonly isUnloaded: boolean
  /** JSON of a ModelOverride. */
  readonly override: string | undefined
}

export async function readRepository(sql: Sql): Promise<ReadonlyMap<ModelName, ModelSetting>> {
  const rows = await sql.db<RepositoryTables>().selectFrom('repository_models').selectAll().execute()
  return new Map(
    rows.map(({ model, state, override }) => [
      model as ModelName,
      { isUnloaded: state === 'unloaded', override: override ?? undefined },
    ]),
  )
}

const LOAD = 'repository.load'
const UNLOAD = 'repository.unload'

const model = z.string().refine(isName, 'must be the name of a model')
const override = z.string().refine((text) => {
  try {
    readOverride(text)
    return true
  } catch {
    return false
  }
}, 'must be the JSON of an override')
const loaded = z.strictObject({
  model,
  override: override.nullable(),
  /** Versions that were written for it, separated by commas: every process waits until it has found them. */
  pushed: z
    .string()
    .regex(/^\d+(,\d+)*$/)
    .nullable(),
})
const unloaded = z.strictObject({ model })

export function loading(name: string, text: string | undefined, pushed: readonly number[]): Change {
  const detail = { model: name, override: text ?? null, pushed: pushed.length === 0 ? null : pushed.join(',') }
  return { kind: LOAD, subject: name, detail }
}

export function unloading(name: string): Change {
  return { kind: UNLOAD, subject: name, detail: { model: name } }
}

/** The model that a decision, or an undo of one, loads or unloads; undefined for decisions of other kinds. */
export function modelOfDecision({ kind, subject }: Change): ModelName | undefined {
  return kind === LOAD || kind === UNLOAD ? (subject as ModelName) : undefined
}

/** Versions that a load wrote. */
export function pushedVersions({ kind, detail }: Change): number[] {
  const pushed = kind === LOAD ? detail['pushed'] : null
  return typeof pushed === 'string' ? pushed.split(',').map(Number) : []
}

export const repositoryChangeKinds: readonly ChangeKind[] = [
  {
    kind: LOAD,
    undoable: true,
    parse: (change) => void read(loaded, change),
    apply: (tx, change) => replace(tx, change.subject, after(change)),
    undo,
    summary({ change }) {
      const { model: name, override: text } = read(loaded, change)
      return `Loaded ${name}${text === null ? '' : ` with ${text}`}.`
    },
  },
  {
    kind: UNLOAD,
    undoable: true,
    parse: (change) => void read(unloaded, change),
    apply: (tx, change) => replace(tx, change.subject, after(change)),
    undo,
    summary: ({ change }) => `Unloaded ${read(unloaded, change).model}.`,
  },
]

/** The row that a decision leaves. */
function after(change: Change): Row {
  if (change.kind === UNLOAD) return { state: 'unloaded', override: null }
  return { state: 'loaded', override: read(loaded, change).override }
}

type Row = { readonly state: string; readonly override: string | null }

/** Loads and unloads change the same row, so the last decision of its kind may not be the last about the model. */
async function undo(
  tx: Transaction<unknown>,
  { change, before, undoes }: Parameters<ChangeKind['undo']>[1],
): Promise<Replaced> {
  const name = change.subject
  const now = await rowOf(tx, name)
  const left = after(change)
  if (undoes === null && (now?.state !== left.state || now.override !== left.override))
    throw RepositoryErrors.STATE_CHANGED({ model: name })
  return replace(tx, name, before as Row | null)
}

async function rowOf(tx: Transaction<unknown>, name: string): Promise<Row | undefined> {
  return tx
    .withTables<RepositoryTables>()
    .selectFrom('repository_models')
    .select(['state', 'override'])
    .where('model', '=', name)
    .executeTakeFirst()
}

async function replace(tx: Transaction<unknown>, name: string, next: Row | null): Promise<Replaced> {
  const db = tx.withTables<RepositoryTables>()
  const before = await rowOf(tx, name)
  if (next === null) await db.deleteFrom('repository_models').where('model', '=', name).execute()
  else
    await db
      .insertInto('repository_models')
      .values({ model: name, state: next.state, override: next.override })
      .onConflict((conflict) => conflict.column('model').doUpdateSet({ state: next.state, override: next.override }))
      .execute()
  return before === undefined ? null : { state: before.state, override: before.override }
}

function read<T extends { readonly model: string }>(schema: z.ZodType<T>, change: Change): T {
  const parsed = schema.safeParse(change.detail)
  if (!parsed.success)
    throw RepositoryErrors.CHANGE_INVALID({ kind: change.kind, problem: z.prettifyError(parsed.error) })
  if (parsed.data.model !== change.subject)
    throw RepositoryErrors.CHANGE_INVALID({ kind: change.kind, problem: 'its subject is not its model' })
  return parsed.data
}
