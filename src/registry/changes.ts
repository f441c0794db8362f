// The registry's kinds of change, for the decisions domain to make, undo and explain. That domain is on the same floor, so
// its ChangeKind is met by shape.
import type { Kysely, Transaction } from 'kysely'
import { z } from 'zod'
import { isName } from '../core/index.js'
import { RegistryErrors } from './errors.js'
import { type PointerSelector, pointerOf } from './metadata.js'
import type { AllTables } from './registered-tables.js'

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

type Db = Kysely<AllTables>

const name = z.string().refine(isName, 'must be letters, digits, ".", "_" and "-", starting with a letter or digit')
const number = z.int('must be a version number').positive('must be a version number')
const alias = z.string()

const seen = z.strictObject({ model: name, version: number, digest: z.string().regex(/^sha256:[0-9a-f]{64}$/) })
const aliased = z.strictObject({ model: name, alias, version: number.nullable() })
const pointed = z.strictObject({
  endpoint: name,
  model: name,
  version: z.union([number, z.literal('latest')], 'must be a version number or "latest"').optional(),
  alias: alias.optional(),
})

/** The server met a version: from now on its number stands for this digest. Subject: `model/version`. */
const versionSeen: ChangeKind = {
  kind: 'version.seen',
  undoable: false,
  parse(change) {
    const { model, version } = read(seen, change)
    expectSubject(change, `${model}/${version}`)
  },
  async apply(tx, change) {
    const db = tx.withTables<AllTables>()
    const { model, version, digest } = read(seen, change)
    const before = await digestOf(db, model, version)
    if (before === undefined) {
      await db.insertInto('registry_versions').values({ model, version, digest }).execute()
      return null
    }
    if (before === digest) return { digest }
    throw RegistryErrors.DIGEST_CHANGED({ model, version, difference: `it was ${before} and is now ${digest}` })
  },
  async undo(_, { change }) {
    throw RegistryErrors.CHANGE_INVALID({ kind: change.kind, problem: 'cannot be undone: the version was there' })
  },
  summary({ change }) {
    const { model, version, digest } = read(seen, change)
    return `Saw version ${version} of ${model}, ${digest}.`
  },
}

/** Names a version, or forgets the name with `version: null`. Subject: `model@alias`. */
const aliasSet: ChangeKind = {
  kind: 'alias.set',
  undoable: true,
  parse(change) {
    const { model, alias } = read(aliased, change)
    const isTaken = alias === 'latest' || /^v[0-9]+$/.test(alias)
    if (isTaken || !/^[A-Za-z0-9_-]{1,128}$/.test(alias)) throw RegistryErrors.ALIAS_NAME_INVALID({ alias })
    expectSubject(change, `${model}@${alias}`)
  },
  async apply(tx, change) {
    const db = tx.withTables<AllTables>()
    const { model, alias, version } = read(aliased, change)
    const before = await aliasOf(db, model, alias)
    if (before === undefined && version === null) throw RegistryErrors.ALIAS_NOT_FOUND({ model, alias })
    await setAlias(db, model, alias, version)
    return before === undefined ? null : { version: before }
  },
  async undo(tx, { change, before }) {
    const db = tx.withTables<AllTables>()
    const { model, alias } = read(aliased, change)
    const replaced = await aliasOf(db, model, alias)
    await setAlias(db, model, alias, before === null ? null : (before['version'] as number))
    return replaced === undefined ? null : { version: replaced }
  },
  summary({ change }) {
    const { model, alias, version } = read(aliased, change)
    if (version === null) return `Removed alias "${alias}" of ${model}.`
    return `Pointed alias "${alias}" of ${model} at version ${version}.`
  },
}

/** Sends an endpoint's calls to a version, to `latest` or to an alias (one of `version` and `alias`). Subject: the endpoint. */
const endpointPoint: ChangeKind = {
  kind: 'endpoint.point',
  undoable: true,
  parse(change) {
    const { endpoint, version, alias } = read(pointed, change)
    if ((version === undefined) === (alias === undefined)) {
      throw RegistryErrors.CHANGE_INVALID({ kind: change.kind, problem: 'needs either "version" or "alias"' })
    }
    expectSubject(change, endpoint)
  },
  async apply(tx, change) {
    const { endpoint, model, version, alias } = read(pointed, change)
    return point(tx.withTables<AllTables>(), endpoint, { model, selector: version ?? { alias: alias! } })
  },
  async undo(tx, { change, before }) {
    return point(tx.withTables<AllTables>(), change.subject, before as Pointing | null)
  },
  summary({ change }) {
    const { endpoint, model, version, alias } = read(pointed, change)
    const what =
      alias === undefined ? (version === 'latest' ? 'the latest version' : `version ${version}`) : `"${alias}"`
    return `Pointed endpoint ${endpoint} at ${what} of ${model}.`
  },
}

export const registryChangeKinds: readonly ChangeKind[] = [versionSeen, aliasSet, endpointPoint]

function read<T>(schema: z.ZodType<T>, change: Change): T {
  const parsed = schema.safeParse(change.detail)
  if (parsed.success) return parsed.data
  const problem = parsed.error.issues
    .map(({ path, message }) => `"${path.join('.') || 'detail'}": ${message}`)
    .join('; ')
  throw RegistryErrors.CHANGE_INVALID({ kind: change.kind, problem: `has a detail that is not right (${problem})` })
}

/** Decisions are found again by their subject, so it must be the same text for the same thing. */
function expectSubject(change: Change, subject: string): void {
  if (change.subject === subject) return
  const problem = `is about "${change.subject}", and its detail about "${subject}"`
  throw RegistryErrors.CHANGE_INVALID({ kind: change.kind, problem })
}

async function digestOf(db: Db, model: string, version: number): Promise<string | undefined> {
  const row = await db
    .selectFrom('registry_versions')
    .select('digest')
    .where('model', '=', model)
    .where('version', '=', version)
    .executeTakeFirst()
  return row?.digest
}

async function expectVersion(db: Db, model: string, version: number): Promise<void> {
  if ((await digestOf(db, model, version)) === undefined) throw RegistryErrors.VERSION_NOT_FOUND({ model, version })
  const registered = await registeredOf(db, model, version)
  if (registered !== undefined && registered.deleted_ms !== null)
    throw RegistryErrors.VERSION_NOT_FOUND({ model, version, reason: 'it was deleted' })
  const collected = await db
    .selectFrom('registry_collected')
    .select('version')
    .where('model', '=', model)
    .where('version', '=', version)
    .executeTakeFirst()
  if (collected !== undefined)
    throw RegistryErrors.VERSION_NOT_FOUND({ model, version, reason: 'it was deleted, and its files are collected' })
}

/** undefined for a version of the models folder. */
async function registeredOf(db: Db, model: string, version: number) {
  return db
    .selectFrom('registry_artifacts')
    .select(['is_servable', 'reason', 'deleted_ms'])
    .where('model', '=', model)
    .where('version', '=', version)
    .executeTakeFirst()
}

/** An alias may name a version that cannot be served, but not take calls away from one that can. */
async function expectAsServable(db: Db, model: string, before: number | undefined, version: number): Promise<void> {
  const next = await registeredOf(db, model, version)
  if (next === undefined || next.is_servable === 1 || before === undefined) return
  const old = await registeredOf(db, model, before)
  if (old !== undefined && old.is_servable === 0) return
  throw RegistryErrors.NOT_SERVABLE({ model, version, reason: next.reason ?? '' })
}

async function aliasOf(db: Db, model: string, alias: string): Promise<number | undefined> {
  const row = await db
    .selectFrom('registry_aliases')
    .select('version')
    .where('model', '=', model)
    .where('alias', '=', alias)
    .executeTakeFirst()
  return row?.version
}

async function setAlias(db: Db, model: string, alias: string, version: number | null): Promise<void> {
  if (version === null) {
    await expectUnused(db, model, alias)
    await db.deleteFrom('registry_aliases').where('model', '=', model).where('alias', '=', alias).execute()
    return
  }
  await expectVersion(db, model, version)
  await expectAsServable(db, model, await aliasOf(db, model, alias), version)
  await db
    .insertInto('registry_aliases')
    .values({ model, alias, version })
    .onConflict((conflict) => conflict.columns(['model', 'alias']).doUpdateSet({ version }))
    .execute()
}

async function expectUnused(db: Db, model: string, alias: string): Promise<void> {
  const rows = await db.selectFrom('registry_endpoints').selectAll().where('model', '=', model).execute()
  for (const row of rows) {
    const { version } = pointerOf(row)
    if (typeof version === 'object' && version.alias === alias) {
      throw RegistryErrors.ALIAS_IN_USE({ model, alias, endpoint: row.endpoint })
    }
  }
}

interface Pointing {
  readonly model: string
  readonly selector: PointerSelector
}

/** Points an endpoint, or leaves it to the configuration (null); returns where it pointed before. */
async function point(db: Db, endpoint: string, next: Pointing | null): Promise<Replaced> {
  const row = await db.selectFrom('registry_endpoints').selectAll().where('endpoint', '=', endpoint).executeTakeFirst()
  if (next === null) {
    await db.deleteFrom('registry_endpoints').where('endpoint', '=', endpoint).execute()
  } else {
    await expectTarget(db, next)
    const values = { model: next.model, selector: JSON.stringify(next.selector) }
    await db
      .insertInto('registry_endpoints')
      .values({ endpoint, ...values })
      .onConflict((conflict) => conflict.column('endpoint').doUpdateSet(values))
      .execute()
  }
  return row ? { model: row.model, selector: pointerOf(row).version } : null
}

async function expectTarget(db: Db, { model, selector }: Pointing): Promise<void> {
  if (typeof selector === 'number') return expectVersion(db, model, selector)
  if (typeof selector === 'object') {
    const { alias } = selector
    if ((await aliasOf(db, model, alias)) === undefined) throw RegistryErrors.ALIAS_NOT_FOUND({ model, alias })
    return
  }
  const any = await db.selectFrom('registry_versions').select('version').where('model', '=', model).executeTakeFirst()
  if (!any) throw RegistryErrors.MODEL_NOT_FOUND({ model })
}
