// The registry's operations on its tables and blobs. What changes what runs (a version comes or goes, an alias moves) is a decision; what
// people say about a version is a row.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Transaction } from 'kysely'
import { type Digest, HeadraceError, type Platform, type VersionRef } from '../core/index.js'
import type { ModelConverter } from '../formats/index.js'
import type { Blobs, Sql } from '../store/index.js'
import { collect, type Retention } from './collect.js'
import { copyDurably } from './copy-file.js'
import { diffVersions } from './diff-versions.js'
import { RegistryErrors } from './errors.js'
import { type Inspected, inspectVersion } from './inspect-version.js'
import type { LocalVersions } from './local-versions.js'
import { readManifest } from './manifest.js'
import { putFile } from './put-file.js'
import { type Draft, type RegisteredChanges, storedUses } from './registered-changes.js'
import {
  checkCard,
  checkMetrics,
  checkModelName,
  checkRegistration,
  checkTags,
  checkText,
  contentDigest,
  definedTags,
  metricsFromText,
  metricsToText,
  servableNameOf,
} from './registered-checks.js'
import { type ArtifactRow, type Facts, findArtifact, findModel, readArtifacts, readModels } from './registered-rows.js'
import type { AllTables, Db } from './registered-tables.js'
import { readServable, readServableOne } from './registry-source.js'
import { searchVersions } from './search-versions.js'
import {
  type AliasChange,
  blobKey,
  type Registered,
  type RegisteredRef,
  type RegisteredVersion,
  type Registration,
  type RegistryActor,
  type RegistryDecision,
  type RegistryService,
  STAGES,
  type VersionFile,
} from './service.js'

interface Change {
  readonly kind: string
  readonly subject: string
  readonly detail: Readonly<Record<string, string | number | boolean | null>>
}

/** As in the decisions domain. */
interface AliasDecision {
  readonly id: string
  readonly number: number
  readonly timeMs: number
  readonly change: Change
  readonly before: Readonly<Record<string, unknown>> | null
  readonly evidence: Readonly<Record<string, unknown>>
  readonly by: RegistryActor
  readonly undoes: string | null
}

export interface RegistryOptions {
  readonly sql: Sql
  readonly blobs: Blobs
  readonly platform: Platform
  readonly local: LocalVersions
  readonly changes: RegisteredChanges
  readonly decide: (
    change: Change,
    evidence: Readonly<Record<string, unknown>>,
    by: RegistryActor,
  ) => Promise<RegistryDecision>
  /** Decisions of a kind with a smaller number, newest first. */
  readonly decisions: (query: {
    readonly kind: string
    readonly before?: number
    readonly limit: number
  }) => Promise<readonly AliasDecision[]>
  readonly convert: ModelConverter | undefined
  readonly retention: Retention
  /** Numbers that other sources of versions have taken: the models folder. */
  readonly takenElsewhere: (model: string) => Promise<readonly number[]>
  /** Which of these blobs others need; default none. */
  readonly othersNeed?: (digests: readonly Digest[]) => Promise<ReadonlySet<Digest>>
}

/** A push that meets others at each number it takes. */
const MAX_RACES = 100
/** Removing one blob takes far less. */
const LONGEST_REMOVAL_MS = 10_000
const NOBODY: RegistryActor = { kind: 'system', name: 'headrace' }

export function createRegistry(options: RegistryOptions): RegistryService {
  const { sql, blobs, platform, local, changes, decide } = options
  const { clock } = platform
  const db = (): Db => sql.db<AllTables>()
  const inTransaction = <T>(work: (tx: Db) => Promise<T>): Promise<T> =>
    sql.transaction((tx: Transaction<AllTables>) => work(tx))

  async function modelOf(name: string) {
    const [model] = await readModels(db(), [await findModel(db(), name)])
    return model!
  }

  async function versionOf(row: ArtifactRow): Promise<RegisteredVersion> {
    const [version] = await readArtifacts(db(), [row])
    return version!
  }

  async function describe(ref: string | RegisteredRef): Promise<RegisteredVersion> {
    const row = await rowOf(typeof ref === 'string' ? await parseRef(ref) : ref)
    return versionOf(row)
  }

  async function rowOf({ model, version }: RegisteredRef): Promise<ArtifactRow> {
    return findArtifact(db(), await findModel(db(), model), version)
  }

  async function parseRef(text: string): Promise<RegisteredRef> {
    const match = /^(.+)[@/]([^@/]+)$/s.exec(text)
    if (match === null) {
      const { name, versions } = await modelOf(text)
      if (versions.length === 0)
        throw RegistryErrors.VERSION_NOT_FOUND({ model: name, version: 1, reason: 'it has none' })
      return { model: name, version: versions.at(-1)! }
    }
    const [, model, selector] = match as unknown as [string, string, string]
    if (/^[1-9][0-9]{0,14}$/.test(selector)) return { model, version: Number(selector) }
    if (selector === 'latest') return parseRef(model)
    const { aliases } = await modelOf(model)
    if (aliases[selector] === undefined) {
      if (!/^[A-Za-z0-9_-]{1,128}$/.test(selector)) throw RegistryErrors.REF_INVALID({ ref: text.slice(0, 200) })
      throw RegistryErrors.ALIAS_NOT_FOUND({ model, alias: selector })
    }
    return { model, version: aliases[selector] }
  }

  /** Waits until nobody removes any of them, and keeps them from being removed. */
  async function claim(files: readonly Pick<VersionFile, 'digest' | 'sizeBytes'>[]): Promise<Digest[]> {
    const wanted = new Map(files.map((file) => [file.digest, file]))
    const deadlineMs = clock.monotonicMs() + LONGEST_REMOVAL_MS
    while (!(await tryClaim([...wanted.values()], clock.monotonicMs() > deadlineMs)))
      await new Promise<void>((resolve) => clock.after(50, resolve))
    const missing: Digest[] = []
    for (const file of wanted.values()) if (!(await hasBlob(blobs, file))) missing.push(file.digest)
    return missing
  }

  /** False, and nothing claimed, when one is being removed; `takesOver` from a process that died over it. */
  function tryClaim(files: readonly Pick<VersionFile, 'digest' | 'sizeBytes'>[], takesOver: boolean): Promise<boolean> {
    const nowMs = clock.nowMs()
    return inTransaction(async (tx) => {
      for (const { digest, sizeBytes } of files) {
        const row = await tx
          .selectFrom('registry_blobs')
          .select('leaving')
          .where('digest', '=', digest)
          .executeTakeFirst()
        if (row?.leaving === 1 && !takesOver) return false
        await tx
          .insertInto('registry_blobs')
          .values({ digest, size_bytes: sizeBytes, claimed_ms: nowMs, leaving: 0 })
          .onConflict((conflict) => conflict.column('digest').doUpdateSet({ claimed_ms: nowMs, leaving: 0 }))
          .execute()
      }
      return true
    })
  }

  async function register(registration: Registration): Promise<Registered> {
    checkRegistration(registration)
    const { files, allowSame = false } = registration
    const known = await findModel(db(), registration.model).catch(nothingIf('REGISTRY_MODEL_NOT_FOUND'))
    const name = known?.name ?? registration.model
    const model = known?.servable_name ?? (await freeServableName(name))
    const content = files.length === 0 ? '' : contentDigest(files)
    if (!allowSame && content !== '') {
      const same = await sameContent(model, content)
      if (same !== undefined) return { version: await versionOf(same), isNew: false }
    }
    const missing = new Set(await claim(files))
    const absent = files.find(({ digest }) => missing.has(digest))
    if (absent !== undefined) throw RegistryErrors.BLOB_MISSING({ path: absent.path, digest: absent.digest })
    const draftFolder = await local.draft()
    try {
      const inspected = await inspect(registration, model, draftFolder)
      if (registration.mustServe && !inspected.isServable)
        throw RegistryErrors.REFUSED({ model: name, reason: inspected.reason })
      const ref = await decideRegistration(registration, name, model, content, inspected)
      if (ref === undefined) return { version: await versionOf((await sameContent(model, content))!), isNew: false }
      if (inspected.isServable) await local.keep(draftFolder, inspected.served)
      return { version: await describe(ref), isNew: true }
    } finally {
      await rm(draftFolder, { recursive: true, force: true })
    }
  }

  async function freeServableName(name: string): Promise<string> {
    const servable = servableNameOf(name)
    // Its deleted self keeps the name and the numbers.
    const old = await db().selectFrom('registry_models').selectAll().where('name', '=', name).executeTakeFirst()
    if (old !== undefined) return old.servable_name
    const other = await servedAs(db(), servable)
    if (other !== undefined) throw RegistryErrors.MODEL_EXISTS({ name, as: other })
    return servable
  }

  /** The model whose calls have this name, whatever it is called; deleted ones too. */
  async function servedAs(tx: Db, name: string): Promise<string | undefined> {
    const row = await tx
      .selectFrom('registry_models')
      .select('name')
      .where('servable_name', '=', name)
      .executeTakeFirst()
    return row?.name
  }

  /** Whether the models folder has it, too. */
  async function seen(tx: Db, name: string): Promise<string | undefined> {
    const row = await tx.selectFrom('registry_versions').select('model').where('model', '=', name).executeTakeFirst()
    return row && `${row.model} of the models folder`
  }

  function sameContent(model: string, content: string): Promise<ArtifactRow | undefined> {
    return db()
      .selectFrom('registry_artifacts')
      .selectAll()
      .where('model', '=', model)
      .where('content', '=', content)
      .where('deleted_ms', 'is', null)
      .orderBy('version', 'desc')
      .executeTakeFirst()
  }

  async function inspect(
    { files, stagedIn, mustServe = false }: Registration,
    model: string,
    folder: string,
  ): Promise<Inspected> {
    const ref = { model, version: 0 } as VersionRef
    const inspected = await inspectVersion({
      files,
      folder,
      convert: options.convert,
      mustServe,
      fetch: (file, to) =>
        stagedIn === undefined ? local.fetch(ref, file.digest, to) : copyDurably(join(stagedIn, file.path), to),
    })
    if (!inspected.isServable) return inspected
    await claim(inspected.made)
    for (const file of inspected.made) await putFile(blobs, join(folder, file.path), file.digest)
    return inspected
  }

  /** undefined when somebody registered the same content meanwhile. */
  async function decideRegistration(
    registration: Registration,
    name: string,
    model: string,
    content: string,
    inspected: Inspected,
  ): Promise<RegisteredRef | undefined> {
    const id = platform.ids.next()
    const elsewhere = await options.takenElsewhere(model)
    for (let race = 0; ; race++) {
      const version = registration.version ?? (await nextVersion(model, elsewhere))
      if (registration.version !== undefined && elsewhere.includes(version))
        throw RegistryErrors.VERSION_EXISTS({ model, version })
      const draft = draftOf(registration, { name, model, version, content, inspected, nowMs: clock.nowMs() })
      changes.drafts.set(id, draft)
      try {
        const { digest, is_servable } = draft.artifact
        const detail = { model, version, digest, isServable: is_servable === 1, registration: id }
        await decide(
          { kind: 'version.register', subject: `${model}/${version}`, detail },
          {
            source: registration.source,
            sizeBytes: draft.artifact.size_bytes,
            ...(registration.reason === undefined ? {} : { reason: registration.reason }),
            ...(registration.lineage?.runId === undefined ? {} : { runId: registration.lineage.runId }),
          },
          registration.by,
        )
        return { model, version }
      } catch (error) {
        const code = error instanceof HeadraceError ? error.code : undefined
        if (code === 'REGISTRY_SAME_CONTENT') return undefined
        const isRace = code === 'REGISTRY_VERSION_EXISTS' || code === 'STORE_CONFLICT'
        if (!isRace || registration.version !== undefined || race >= MAX_RACES) throw error
      } finally {
        changes.drafts.delete(id)
      }
    }
  }

  async function nextVersion(model: string, elsewhere: readonly number[]): Promise<number> {
    const { newest } = await db()
      .selectFrom('registry_versions')
      .select((eb) => eb.fn.max('version').as('newest'))
      .where('model', '=', model)
      .executeTakeFirstOrThrow()
    return Math.max(Number(newest ?? 0), ...elsewhere, 0) + 1
  }

  /** Of a version that is there and not deleted. */
  async function remove(ref: RegisteredRef, by: RegistryActor, reason?: string, uses: readonly string[] = []) {
    const row = await rowOf(ref)
    const { model, version } = row
    if (row.deleted_ms !== null) throw RegistryErrors.VERSION_NOT_FOUND({ model, version, reason: 'it is deleted' })
    const all = [...(await storedUses(db(), model, version)), ...uses]
    if (all.length > 0) throw RegistryErrors.VERSION_IN_USE({ model: ref.model, version, uses: all })
    await decideOn('version.delete', model, version, by, reason)
    return describe(ref)
  }

  function decideOn(kind: string, model: string, version: number, by: RegistryActor, reason?: string) {
    const change = { kind, subject: `${model}/${version}`, detail: { model, version } }
    return decide(change, reason === undefined ? {} : { reason }, by)
  }

  function setAlias(model: string, alias: string, version: number | null, by: RegistryActor, reason?: string) {
    const change = { kind: 'alias.set', subject: `${model}@${alias}`, detail: { model, alias, version } }
    return decide(change, reason === undefined ? {} : { reason }, by)
  }

  return {
    async createModel({ name, description = '', owner = '', team = '', tags = {}, by }) {
      checkModelName(name)
      checkText('description', description)
      checkText('owner', owner)
      checkText('team', team)
      checkTags('tags', tags)
      const nowMs = clock.nowMs()
      const servableName = await freeServableName(name)
      await inTransaction(async (tx) => {
        const old = await tx.selectFrom('registry_models').selectAll().where('name', '=', name).executeTakeFirst()
        if (old !== undefined && old.deleted_ms === null) throw RegistryErrors.MODEL_EXISTS({ name })
        const values = {
          description,
          owner,
          team,
          created_ms: nowMs,
          updated_ms: nowMs,
          created_by: JSON.stringify(by),
          deleted_ms: null,
        }
        if (old === undefined)
          await tx
            .insertInto('registry_models')
            .values({ name, servable_name: servableName, ...values })
            .execute()
        else await tx.updateTable('registry_models').set(values).where('name', '=', name).execute()
        await tx.deleteFrom('registry_model_tags').where('model', '=', name).execute()
        await writeModelTags(tx, name, definedTags(tags))
      }).catch((error: unknown) => {
        // Somebody was faster.
        if (error instanceof HeadraceError && error.code === 'STORE_CONFLICT')
          throw RegistryErrors.MODEL_EXISTS({ name }, error)
        throw error
      })
      return modelOf(name)
    },
    getModel: modelOf,
    async listModels() {
      const rows = await db()
        .selectFrom('registry_models')
        .selectAll()
        .where('deleted_ms', 'is', null)
        .orderBy('name')
        .execute()
      return readModels(db(), rows)
    },
    async updateModel(name, update) {
      const { name: next, description, owner, team, tags = {} } = update
      if (next !== undefined) checkModelName(next)
      for (const [field, text] of Object.entries({ description, owner, team }))
        if (text !== undefined) checkText(field, text)
      checkTags('tags', tags)
      const row = await findModel(db(), name)
      await inTransaction(async (tx) => {
        if (next !== undefined && next !== row.name) {
          const other = await tx
            .selectFrom('registry_models')
            .select('name')
            .where('name', '=', next)
            .executeTakeFirst()
          if (other !== undefined) throw RegistryErrors.MODEL_EXISTS({ name: next })
          // The name would mean one model to the registry and another to callers.
          const answering =
            next === row.servable_name ? undefined : ((await servedAs(tx, next)) ?? (await seen(tx, next)))
          if (answering !== undefined) throw RegistryErrors.MODEL_EXISTS({ name: next, as: answering })
        }
        await writeModelTags(tx, row.name, tags)
        const to = next ?? row.name
        await tx
          .updateTable('registry_models')
          .set({ name: to, updated_ms: clock.nowMs(), ...defined({ description, owner, team }) })
          .where('name', '=', row.name)
          .execute()
        await tx.updateTable('registry_model_tags').set({ model: to }).where('model', '=', row.name).execute()
      })
      return modelOf(next ?? row.name)
    },
    async removeModel(name, by, reason) {
      const row = await findModel(db(), name)
      const [model] = await readModels(db(), [row])
      const uses: string[] = []
      for (const { endpoint } of await db()
        .selectFrom('registry_endpoints')
        .select('endpoint')
        .where('model', '=', row.servable_name)
        .execute())
        uses.push(`the endpoint "${endpoint}" points at the model`)
      if (uses.length > 0)
        throw RegistryErrors.VERSION_IN_USE({ model: row.name, version: model!.versions.at(-1) ?? 0, uses })
      for (const alias of Object.keys(model!.aliases)) await setAlias(row.servable_name, alias, null, by, reason)
      for (const version of model!.versions) await decideOn('version.delete', row.servable_name, version, by, reason)
      await db()
        .updateTable('registry_models')
        .set({ deleted_ms: clock.nowMs() })
        .where('name', '=', row.name)
        .execute()
    },

    registerVersion: register,
    describe,
    async updateVersion(ref, update) {
      const { description, card, owner, team, metrics, tags = {} } = update
      for (const [field, text] of Object.entries({ description, owner, team }))
        if (text !== undefined) checkText(field, text)
      if (card !== undefined) checkCard(card)
      checkTags('tags', tags)
      checkMetrics(metrics ?? {})
      const { model, version } = await rowOf(ref)
      await inTransaction(async (tx) => {
        const row = await tx
          .selectFrom('registry_artifacts')
          .select('metrics')
          .where('model', '=', model)
          .where('version', '=', version)
          .executeTakeFirstOrThrow()
        await tx
          .updateTable('registry_artifacts')
          .set({
            updated_ms: clock.nowMs(),
            ...defined({ description, card, owner, team }),
            ...(metrics === undefined
              ? {}
              : { metrics: metricsToText({ ...metricsFromText(row.metrics), ...metrics }) }),
          })
          .where('model', '=', model)
          .where('version', '=', version)
          .execute()
        for (const [key, value] of Object.entries(tags)) {
          await tx
            .deleteFrom('registry_tags')
            .where('model', '=', model)
            .where('version', '=', version)
            .where('key', '=', key)
            .execute()
          if (value !== null) await tx.insertInto('registry_tags').values({ model, version, key, value }).execute()
        }
        for (const [name, value] of Object.entries(metrics ?? {})) {
          await tx
            .deleteFrom('registry_metrics')
            .where('model', '=', model)
            .where('version', '=', version)
            .where('name', '=', name)
            .execute()
          if (Number.isFinite(value))
            await tx.insertInto('registry_metrics').values({ model, version, name, value }).execute()
        }
      })
      return describe(ref)
    },
    async setStage({ model: name, version: number, stage, archiveOthers = false, by, reason }) {
      if (!STAGES.includes(stage))
        throw RegistryErrors.FIELD_INVALID({
          field: 'stage',
          problem: `is "${stage}" and not one of ${STAGES.join(', ')}`,
        })
      const ref = { model: name, version: number }
      const { model, version } = await rowOf(ref)
      const detail = { model, version, stage, archiveOthers }
      const change = { kind: 'version.stage', subject: `${model}/${version}`, detail }
      await decide(change, reason === undefined ? {} : { reason }, by)
      return describe(ref)
    },
    async search(query) {
      return readArtifacts(db(), await searchVersions(db(), query))
    },
    async diff(from, to) {
      return diffVersions(await describe(from), await describe(to))
    },

    async setAlias({ model, alias, version, by, reason }) {
      const row = await findModel(db(), model)
      const { id, number } = await setAlias(row.servable_name, alias, version, by, reason)
      return { id, number }
    },
    async aliasHistory(name, alias) {
      const row = await findModel(db(), name)
      const history: AliasChange[] = []
      let before: number | undefined
      for (;;) {
        const page = await options.decisions({
          kind: 'alias.set',
          limit: 1000,
          ...(before === undefined ? {} : { before }),
        })
        for (const decision of page) {
          const { detail } = decision.change
          if (detail['model'] !== row.servable_name || (alias !== undefined && detail['alias'] !== alias)) continue
          const replaced = (decision.before?.['version'] as number | undefined) ?? null
          history.push({
            alias: String(detail['alias']),
            // What an undo put back is what the decision it undoes had replaced; the next one up tells, below.
            version: decision.undoes === null ? (detail['version'] as number | null) : null,
            before: replaced,
            timeMs: decision.timeMs,
            by: decision.by,
            reason: (decision.evidence['reason'] as string | undefined) ?? null,
            decision: decision.id,
          })
        }
        if (page.length < 1000) break
        before = page.at(-1)!.number
      }
      return withUndone(history, (await modelOf(row.name)).aliases)
    },

    remove,
    async restore(ref, by) {
      const { model, version } = await rowOf(ref)
      await decideOn('version.restore', model, version, by)
      return describe(ref)
    },
    async gc(request) {
      const report = await collect(
        {
          sql,
          blobs,
          platform,
          retention: options.retention,
          remove: async (model, version) => {
            await decideOn('version.delete', model, version, NOBODY, 'retention')
          },
          othersNeed: options.othersNeed ?? (async () => new Set()),
        },
        request,
      )
      if (!report.isDryRun) {
        const kept = [...(await readServable(sql)).values()]
        await local.prune(new Set(kept.map(({ served }) => local.placeOf(served))))
        platform.logger.info(
          { removed: report.removed.length, blobs: report.blobs, freedBytes: report.freedBytes, by: request.by.name },
          'collected versions and blobs that nobody needs',
        )
      }
      return report
    },
    servable: (model, version) => readServableOne(sql, model, version),
    claimBlobs: claim,
  }
}

/** An undo's own row does not say what it put back: that is what the change after it replaced, or what stands now. */
function withUndone(history: readonly AliasChange[], now: Readonly<Record<string, number>>): AliasChange[] {
  const next = new Map<string, number | null>()
  return history.map((change) => {
    const after = next.has(change.alias) ? next.get(change.alias)! : (now[change.alias] ?? null)
    next.set(change.alias, change.before)
    return { ...change, version: after }
  })
}

interface DraftContext {
  readonly name: string
  readonly model: string
  readonly version: number
  readonly content: string
  readonly inspected: Inspected
  readonly nowMs: number
}

function draftOf(registration: Registration, { name, model, version, content, inspected, nowMs }: DraftContext): Draft {
  const manifest =
    inspected.isServable && inspected.manifest !== null ? readManifest(inspected.manifest, 'model.json') : undefined
  const { featureService } = manifest ?? {}
  const lineage = { ...(featureService === undefined ? {} : { featureService }), ...registration.lineage }
  const { files, metrics = {}, params = {}, tags = {}, allowSame = false } = registration
  const facts: Facts = {
    signature: registration.signature ?? inspected.signature ?? null,
    lineage,
    params: definedTags(params),
    runLink: registration.runLink ?? '',
    notices: inspected.isServable ? inspected.notices : [],
  }
  const served = inspected.isServable ? inspected.served : []
  const rows = (role: 'artifact' | 'served', list: readonly VersionFile[]) =>
    list.map(({ path, digest, sizeBytes }) => ({ model, version, role, path, digest, size_bytes: sizeBytes }))
  return {
    name,
    allowSame,
    artifact: {
      model,
      version,
      digest: served[0]?.digest ?? contentDigest(files),
      content,
      is_servable: inspected.isServable ? 1 : 0,
      reason: inspected.isServable ? null : inspected.reason,
      manifest: inspected.isServable ? inspected.manifest : null,
      size_bytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      source: registration.source,
      run_id: lineage.runId ?? null,
      stage: 'None',
      description: registration.description ?? manifest?.description ?? '',
      card: registration.card ?? '',
      owner: registration.owner ?? '',
      team: registration.team ?? '',
      metrics: metricsToText(metrics),
      facts: JSON.stringify(facts),
      created_ms: nowMs,
      updated_ms: nowMs,
      created_by: JSON.stringify(registration.by),
      deleted_ms: null,
    },
    files: [...rows('artifact', files), ...rows('served', served)],
    tags: Object.entries(definedTags(tags)).map(([key, value]) => ({ model, version, key, value })),
    metrics: Object.entries(metrics)
      .filter(([, value]) => Number.isFinite(value))
      .map(([metric, value]) => ({ model, version, name: metric, value })),
  }
}

async function writeModelTags(db: Db, model: string, tags: Readonly<Record<string, string | null>>): Promise<void> {
  for (const [key, value] of Object.entries(tags)) {
    await db.deleteFrom('registry_model_tags').where('model', '=', model).where('key', '=', key).execute()
    if (value !== null) await db.insertInto('registry_model_tags').values({ model, key, value }).execute()
  }
}

/** A blob of another size is not what its digest says, or the announcement is not: the bytes decide when they arrive. */
async function hasBlob(
  blobs: Blobs,
  { digest, sizeBytes }: Pick<VersionFile, 'digest' | 'sizeBytes'>,
): Promise<boolean> {
  const key = blobKey(digest)
  for await (const blob of blobs.list(key)) if (blob.key === key) return blob.sizeBytes === sizeBytes
  return false
}

function defined<T extends object>(fields: T): Partial<{ [K in keyof T]: Exclude<T[K], undefined> }> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<{
    [K in keyof T]: Exclude<T[K], undefined>
  }>
}

function nothingIf(code: string): (error: unknown) => undefined {
  return (error) => {
    if (error instanceof HeadraceError && error.code === code) return undefined
    throw error
  }
}
