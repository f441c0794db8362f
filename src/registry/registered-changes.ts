// The decisions that add, delete and restore registered versions, and move them to stages. A registration is far more than a decision's detail may hold: it
// waits here under an id until its decision is made, in the process that makes it.
import type { Transaction } from 'kysely'
import { z } from 'zod'
import { RegistryErrors } from './errors.js'
import { pointerOf } from './metadata.js'
import type { AllTables, Db, RegisteredTables } from './registered-tables.js'
import { STAGES, type Stage } from './service.js'

/** As in decisions/types.ts. */
interface Change {
  readonly kind: string
  readonly subject: string
  readonly detail: Readonly<Record<string, string | number | boolean | null>>
}
type Replaced = Readonly<Record<string, unknown>> | null
interface ChangeKind {
  readonly kind: string
  readonly undoable: boolean
  parse(change: Change): void
  apply(tx: Transaction<unknown>, change: Change): Promise<Replaced>
  undo(tx: Transaction<unknown>, decision: { readonly change: Change; readonly before: Replaced }): Promise<Replaced>
  summary(decision: { readonly change: Change }): string
}

/** The rows of a version that is about to be registered. */
export interface Draft {
  readonly name: string
  readonly artifact: RegisteredTables['registry_artifacts']
  readonly files: readonly RegisteredTables['registry_files'][]
  readonly tags: readonly RegisteredTables['registry_tags'][]
  readonly metrics: readonly RegisteredTables['registry_metrics'][]
  readonly allowSame: boolean
}

export interface RegisteredChanges {
  readonly kinds: readonly ChangeKind[]
  /** By registration id. */
  readonly drafts: Map<string, Draft>
}

const detail = z.looseObject({ model: z.string(), version: z.int().positive() })
const registering = z.strictObject({
  model: z.string(),
  version: z.int().positive(),
  digest: z.string(),
  isServable: z.boolean(),
  registration: z.string(),
})

const staging = z.strictObject({
  model: z.string(),
  version: z.int().positive(),
  stage: z.enum(STAGES),
  archiveOthers: z.boolean(),
})

export function createRegisteredChanges(nowMs: () => number): RegisteredChanges {
  const drafts = new Map<string, Draft>()

  /** Subject: `model/version`. */
  const register: ChangeKind = {
    kind: 'version.register',
    undoable: false,
    parse(change) {
      const parsed = registering.safeParse(change.detail)
      if (!parsed.success || !drafts.has(parsed.data.registration))
        throw RegistryErrors.CHANGE_INVALID({ kind: change.kind, problem: 'is made by a push or a registration' })
    },
    async apply(tx, change) {
      const { registration } = registering.parse(change.detail)
      await insertDraft(tx.withTables<AllTables>(), drafts.get(registration)!)
      return null
    },
    async undo(_, { change }) {
      throw RegistryErrors.CHANGE_INVALID({ kind: change.kind, problem: 'cannot be undone: delete the version' })
    },
    summary({ change: { detail } }) {
      const { model, version, digest, isServable } = registering.parse(detail)
      return `Registered version ${version} of ${model}, ${digest}${isServable ? '' : ', which cannot be served'}.`
    },
  }

  /** Hides a version until it is restored or collected. */
  const remove: ChangeKind = {
    kind: 'version.delete',
    undoable: true,
    parse: (change) => void read(change),
    async apply(tx, change) {
      const db = tx.withTables<AllTables>()
      const { model, version } = read(change)
      const uses = await storedUses(db, model, version)
      if (uses.length > 0) throw RegistryErrors.VERSION_IN_USE({ model, version, uses })
      return mark(db, model, version, nowMs())
    },
    async undo(tx, { change, before }) {
      const { model, version } = read(change)
      return mark(
        tx.withTables<AllTables>(),
        model,
        version,
        (before?.['deletedMs'] as number | null | undefined) ?? null,
      )
    },
    summary({ change }) {
      const { model, version } = read(change)
      return `Deleted version ${version} of ${model}.`
    },
  }

  const restore: ChangeKind = {
    kind: 'version.restore',
    undoable: false,
    parse: (change) => void read(change),
    async apply(tx, change) {
      const db = tx.withTables<AllTables>()
      const { model, version } = read(change)
      const before = await mark(db, model, version, null)
      if (before.deletedMs === null) throw RegistryErrors.NOT_DELETED({ model, version })
      return before
    },
    async undo(_, { change }) {
      throw RegistryErrors.CHANGE_INVALID({ kind: change.kind, problem: 'cannot be undone: delete the version' })
    },
    summary({ change }) {
      const { model, version } = read(change)
      return `Restored version ${version} of ${model}.`
    },
  }

  /** With `archiveOthers` those that were in the stage are archived by the same decision. Subject: `model/version`. */
  const stage: ChangeKind = {
    kind: 'version.stage',
    undoable: true,
    parse: (change) => void read(change, staging),
    async apply(tx, change) {
      const db = tx.withTables<AllTables>()
      const { model, version, stage, archiveOthers } = read(change, staging)
      const before = await stagesOf(db, model)
      const old = before.get(version)
      if (old === undefined) throw RegistryErrors.VERSION_NOT_FOUND({ model, version })
      const others = archiveOthers ? [...before].filter(([other, its]) => other !== version && its === stage) : []
      for (const [other] of others) await setStage(db, model, other, 'Archived', nowMs())
      await setStage(db, model, version, stage, nowMs())
      return { stages: Object.fromEntries([[version, old], ...others]) }
    },
    async undo(tx, { change, before }) {
      const db = tx.withTables<AllTables>()
      const { model } = read(change, staging)
      const now = await stagesOf(db, model)
      const replaced: Record<string, string> = {}
      for (const [text, stage] of Object.entries(before!['stages'] as Readonly<Record<string, Stage>>)) {
        const version = Number(text)
        const its = now.get(version)
        // It was collected since.
        if (its === undefined) continue
        replaced[text] = its
        await setStage(db, model, version, stage, nowMs())
      }
      return { stages: replaced }
    },
    summary({ change }) {
      const { model, version, stage, archiveOthers } = read(change, staging)
      return `Moved version ${version} of ${model} to stage ${stage}${archiveOthers ? ', and archived what was in it' : ''}.`
    },
  }

  return { kinds: [register, remove, restore, stage], drafts }
}

function read(change: Change): z.infer<typeof detail>
function read<T extends z.infer<typeof detail>>(change: Change, schema: z.ZodType<T>): T
function read(change: Change, schema: z.ZodType<z.infer<typeof detail>> = detail): z.infer<typeof detail> {
  const parsed = schema.safeParse(change.detail)
  if (!parsed.success) {
    const problem =
      schema === detail ? 'needs "model" and "version"' : 'needs "model", "version", "stage" and "archiveOthers"'
    throw RegistryErrors.CHANGE_INVALID({ kind: change.kind, problem })
  }
  const { model, version } = parsed.data
  if (change.subject !== `${model}/${version}`)
    throw RegistryErrors.CHANGE_INVALID({ kind: change.kind, problem: 'is about another version than its detail' })
  return parsed.data
}

/** Everything of a version at once. Throws REGISTRY_SAME_CONTENT and REGISTRY_VERSION_EXISTS. */
async function insertDraft(db: Db, { name, artifact, files, tags, metrics, allowSame }: Draft): Promise<void> {
  const { model, version, digest, content, created_ms, created_by } = artifact
  if (!allowSame && content !== '') {
    const same = await db
      .selectFrom('registry_artifacts')
      .select('version')
      .where('model', '=', model)
      .where('content', '=', content)
      .where('deleted_ms', 'is', null)
      .orderBy('version', 'desc')
      .executeTakeFirst()
    if (same !== undefined) throw RegistryErrors.SAME_CONTENT({ model, version: same.version, digest })
  }
  const taken = await db
    .selectFrom('registry_versions')
    .select('version')
    .where('model', '=', model)
    .where('version', '=', version)
    .executeTakeFirst()
  if (taken !== undefined) throw RegistryErrors.VERSION_EXISTS({ model, version })
  await db
    .insertInto('registry_models')
    .values({
      name,
      servable_name: model,
      description: '',
      owner: '',
      team: '',
      created_ms,
      updated_ms: created_ms,
      created_by,
      deleted_ms: null,
    })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ updated_ms: created_ms, deleted_ms: null }))
    .execute()
  await db.insertInto('registry_versions').values({ model, version, digest }).execute()
  await db.insertInto('registry_artifacts').values(artifact).execute()
  for (let at = 0; at < files.length; at += 500)
    await db
      .insertInto('registry_files')
      .values(files.slice(at, at + 500))
      .execute()
  for (let at = 0; at < tags.length; at += 500)
    await db
      .insertInto('registry_tags')
      .values(tags.slice(at, at + 500))
      .execute()
  for (let at = 0; at < metrics.length; at += 500)
    await db
      .insertInto('registry_metrics')
      .values(metrics.slice(at, at + 500))
      .execute()
}

/** Of the versions that are not deleted. */
async function stagesOf(db: Db, model: string): Promise<Map<number, string>> {
  const rows = await db
    .selectFrom('registry_artifacts')
    .select(['version', 'stage'])
    .where('model', '=', model)
    .where('deleted_ms', 'is', null)
    .execute()
  return new Map(rows.map(({ version, stage }) => [version, stage]))
}

async function setStage(db: Db, model: string, version: number, stage: Stage, nowMs: number): Promise<void> {
  await db
    .updateTable('registry_artifacts')
    .set({ stage, updated_ms: nowMs })
    .where('model', '=', model)
    .where('version', '=', version)
    .execute()
}

async function mark(
  db: Db,
  model: string,
  version: number,
  deletedMs: number | null,
): Promise<{ readonly deletedMs: number | null }> {
  const row = await db
    .selectFrom('registry_artifacts')
    .select('deleted_ms')
    .where('model', '=', model)
    .where('version', '=', version)
    .executeTakeFirst()
  if (row === undefined) throw RegistryErrors.VERSION_NOT_FOUND({ model, version })
  await db
    .updateTable('registry_artifacts')
    .set({ deleted_ms: deletedMs })
    .where('model', '=', model)
    .where('version', '=', version)
    .execute()
  // A model that was deleted with its versions is there again with one of them.
  if (deletedMs === null)
    await db.updateTable('registry_models').set({ deleted_ms: null }).where('servable_name', '=', model).execute()
  return { deletedMs: row.deleted_ms }
}

/** Uses that are kept in the metadata store. */
export async function storedUses(db: Db, model: string, version: number): Promise<string[]> {
  const aliases = await db
    .selectFrom('registry_aliases')
    .select('alias')
    .where('model', '=', model)
    .where('version', '=', version)
    .orderBy('alias')
    .execute()
  const endpoints = await db.selectFrom('registry_endpoints').selectAll().where('model', '=', model).execute()
  return [
    ...aliases.map(({ alias }) => `the alias "${alias}" names it`),
    ...endpoints
      .filter((row) => pointerOf(row).version === version)
      .map(({ endpoint }) => `the endpoint "${endpoint}" points at it`),
  ]
}
