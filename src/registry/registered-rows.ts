// Reads registered models and versions from their rows. Everything belonging to several versions is read by one query a table.
import type { Digest, ModelName } from '../core/index.js'
import { RegistryErrors } from './errors.js'
import { metricsFromText } from './registered-checks.js'
import type { Db, RegisteredTables } from './registered-tables.js'
import type {
  Lineage,
  RegisteredModel,
  RegisteredSignature,
  RegisteredVersion,
  RegistryActor,
  Stage,
  Tags,
  VersionFile,
} from './service.js'

export type ArtifactRow = RegisteredTables['registry_artifacts']
export type ModelRow = RegisteredTables['registry_models']

/** What a version says of itself that is not searched. */
export interface Facts {
  readonly signature: RegisteredSignature | null
  readonly lineage: Lineage
  readonly params: Tags
  readonly runLink: string
  readonly notices: readonly string[]
}

/** Throws REGISTRY_MODEL_NOT_FOUND. */
export async function findModel(db: Db, name: string): Promise<ModelRow> {
  const row =
    (await modelRow(db, 'name', name)) ??
    // An address or a route names it so.
    (await modelRow(db, 'servable_name', name))
  if (row === undefined) throw RegistryErrors.MODEL_NOT_FOUND({ model: name.slice(0, 200) })
  return row
}

async function modelRow(db: Db, column: 'name' | 'servable_name', name: string): Promise<ModelRow | undefined> {
  if (name.includes('\u0000')) return undefined
  return db
    .selectFrom('registry_models')
    .selectAll()
    .where(column, '=', name)
    .where('deleted_ms', 'is', null)
    .executeTakeFirst()
}

/** Throws REGISTRY_VERSION_NOT_FOUND; deleted versions are found too. */
export async function findArtifact(db: Db, model: ModelRow, version: number): Promise<ArtifactRow> {
  const row = Number.isSafeInteger(version)
    ? await db
        .selectFrom('registry_artifacts')
        .selectAll()
        .where('model', '=', model.servable_name)
        .where('version', '=', version)
        .executeTakeFirst()
    : undefined
  if (row === undefined) throw RegistryErrors.VERSION_NOT_FOUND({ model: model.name, version })
  return row
}

/** In the order of the rows. */
export async function readModels(db: Db, rows: readonly ModelRow[]): Promise<RegisteredModel[]> {
  const one = rows.length === 1 ? rows[0]! : undefined
  const all = <T>(
    query: { where(column: 'model', operator: '=', value: string): T } & T,
    name: string | undefined,
  ): T => (name === undefined ? query : query.where('model', '=', name))
  const [versions, aliases, tags] = await Promise.all([
    all(
      db.selectFrom('registry_artifacts').select(['model', 'version']).where('deleted_ms', 'is', null),
      one?.servable_name,
    )
      .orderBy('version')
      .execute(),
    all(db.selectFrom('registry_aliases').selectAll(), one?.servable_name).orderBy('alias').execute(),
    all(db.selectFrom('registry_model_tags').selectAll(), one?.name).orderBy('key').execute(),
  ])
  const versionsOf = grouped(versions, ({ model }) => model)
  const aliasesOf = grouped(aliases, ({ model }) => model)
  const tagsOf = grouped(tags, ({ model }) => model)
  return rows.map((row) => ({
    name: row.name,
    servableName: row.servable_name as ModelName,
    description: row.description,
    owner: row.owner,
    team: row.team,
    tags: tagsFrom(tagsOf.get(row.name)),
    aliases: Object.fromEntries((aliasesOf.get(row.servable_name) ?? []).map(({ alias, version }) => [alias, version])),
    versions: (versionsOf.get(row.servable_name) ?? []).map(({ version }) => version),
    createdMs: row.created_ms,
    updatedMs: row.updated_ms,
    createdBy: JSON.parse(row.created_by) as RegistryActor,
  }))
}

/** Of so many a query names each; of more, it names their models. */
const NAMED = 50

/** In the order of the rows. */
export async function readArtifacts(db: Db, rows: readonly ArtifactRow[]): Promise<RegisteredVersion[]> {
  if (rows.length === 0) return []
  const models = [...new Set(rows.map(({ model }) => model))]
  const numbers = [...new Set(rows.map(({ version }) => version))]
  const named = await Promise.all([
    chunked(models, (some) =>
      db.selectFrom('registry_models').selectAll().where('servable_name', 'in', some).execute(),
    ),
    chunked(models, (some) => {
      const files = db.selectFrom('registry_files').selectAll().where('model', 'in', some)
      return (numbers.length > NAMED ? files : files.where('version', 'in', numbers)).orderBy('path').execute()
    }),
    chunked(models, (some) => {
      const tags = db.selectFrom('registry_tags').selectAll().where('model', 'in', some)
      return (numbers.length > NAMED ? tags : tags.where('version', 'in', numbers)).orderBy('key').execute()
    }),
    chunked(models, (some) =>
      db.selectFrom('registry_aliases').selectAll().where('model', 'in', some).orderBy('alias').execute(),
    ),
  ])
  const [modelRows, fileRows, tagRows, aliasRows] = named
  const nameOf = new Map(modelRows.map((row) => [row.servable_name, row.name]))
  const filesOf = grouped(fileRows, keyOf)
  const tagsOf = grouped(tagRows, keyOf)
  const aliasesOf = grouped(aliasRows, keyOf)
  return rows.map((row) => {
    const facts = JSON.parse(row.facts) as Facts
    const key = keyOf(row)
    const files = filesOf.get(key) ?? []
    return {
      model: nameOf.get(row.model) ?? row.model,
      servableName: row.model as ModelName,
      version: row.version,
      digest: row.digest as Digest,
      files: files.filter(({ role }) => role === 'artifact').map(fileFrom),
      sizeBytes: row.size_bytes,
      isServable: row.is_servable === 1,
      reason: row.reason,
      servedFiles: files.filter(({ role }) => role === 'served').map(fileFrom),
      manifest: row.manifest,
      signature: facts.signature,
      lineage: facts.lineage,
      metrics: metricsFromText(row.metrics),
      params: facts.params,
      card: row.card,
      description: row.description,
      owner: row.owner,
      team: row.team,
      tags: tagsFrom(tagsOf.get(key)),
      aliases: (aliasesOf.get(key) ?? []).map(({ alias }) => alias),
      stage: row.stage as Stage,
      source: row.source,
      runLink: facts.runLink,
      createdMs: row.created_ms,
      updatedMs: row.updated_ms,
      createdBy: JSON.parse(row.created_by) as RegistryActor,
      deletedMs: row.deleted_ms,
      notices: facts.notices,
    }
  })
}

function keyOf({ model, version }: { readonly model: string; readonly version: number }): string {
  return `${model}/${version}`
}

function fileFrom({ path, digest, size_bytes }: RegisteredTables['registry_files']): VersionFile {
  return { path, digest: digest as Digest, sizeBytes: size_bytes }
}

function tagsFrom(rows: readonly { readonly key: string; readonly value: string }[] | undefined): Tags {
  return Object.fromEntries((rows ?? []).map(({ key, value }) => [key, value]))
}

/** Engines limit how many values a query may have. */
async function chunked<T>(names: readonly string[], query: (some: string[]) => Promise<T[]>): Promise<T[]> {
  const rows: T[] = []
  for (let at = 0; at < names.length; at += 500) rows.push(...(await query(names.slice(at, at + 500))))
  return rows
}

function grouped<T>(rows: readonly T[], key: (row: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const row of rows) {
    const group = groups.get(key(row))
    if (group === undefined) groups.set(key(row), [row])
    else group.push(row)
  }
  return groups
}
