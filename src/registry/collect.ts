// Collects what nobody needs: versions beyond what retention keeps are deleted (restorable), versions deleted long enough ago are removed
// for good, and blobs that no version has any more are freed. A push claims its blobs before it registers them, and what was claimed
// within a day stays; a blob that is being removed is marked, so that a push of the same bytes waits and puts them again.
import type { Digest, Platform } from '../core/index.js'
import type { Blobs, Sql } from '../store/index.js'
import { storedUses } from './registered-changes.js'
import type { AllTables } from './registered-tables.js'
import { blobKey, type GcReport, type GcRequest, type RegisteredRef } from './service.js'

const DAY_MS = 86_400_000
/** Between the claim of a blob and its registration may lie the upload of everything else. */
export const CLAIM_MS = DAY_MS

export interface Retention {
  /** Newest versions of each model that always stay; undefined: all. */
  readonly keepVersions: number | undefined
  /** Younger ones always stay; undefined: none because of their age. */
  readonly keepDays: number | undefined
  /** How long a deleted version can be restored. */
  readonly deletedDays: number
}

export interface CollectOptions {
  readonly sql: Sql
  readonly blobs: Blobs
  readonly platform: Platform
  readonly retention: Retention
  /** Deletes a version by a decision. */
  readonly remove: (model: string, version: number) => Promise<void>
  /** Which of these blobs others need. */
  readonly othersNeed: (digests: readonly Digest[]) => Promise<ReadonlySet<Digest>>
}

export async function collect(options: CollectOptions, request: GcRequest): Promise<GcReport> {
  const { sql, platform } = options
  const { isDryRun = false } = request
  const nowMs = platform.clock.nowMs()
  const retention = { ...options.retention, ...definedOf(request) }
  const expired = await expiredVersions(options, retention, new Set(request.inUse), nowMs)
  if (!isDryRun) for (const { model, version } of expired) await options.remove(model, version)
  const removed = await removableVersions(sql, nowMs - retention.deletedDays * DAY_MS)
  if (!isDryRun) for (const ref of removed) await purge(sql, ref)
  const free = await freeBlobs(options, nowMs - CLAIM_MS, isDryRun ? removed : [])
  let freedBytes = 0
  let blobs = 0
  for (const { digest, size_bytes } of free) {
    if (!isDryRun && !(await removeBlob(options, digest as Digest, nowMs - CLAIM_MS))) continue
    blobs++
    freedBytes += size_bytes
  }
  const kept = await sql.db<AllTables>().selectFrom('registry_blobs').select(['digest', 'size_bytes']).execute()
  const staying = isDryRun ? kept.filter(({ digest }) => !free.some((blob) => blob.digest === digest)) : kept
  return {
    isDryRun,
    expired: await named(sql, expired),
    removed: await named(sql, removed),
    blobs,
    freedBytes,
    keptBlobs: staying.length,
    keptBytes: staying.reduce((sum, { size_bytes }) => sum + size_bytes, 0),
  }
}

function definedOf({ keepVersions, keepDays, deletedDays }: GcRequest): Partial<Retention> {
  return {
    ...(keepVersions === undefined ? {} : { keepVersions }),
    ...(keepDays === undefined ? {} : { keepDays }),
    ...(deletedDays === undefined ? {} : { deletedDays }),
  }
}

async function expiredVersions(
  { sql }: CollectOptions,
  { keepVersions, keepDays }: Retention,
  inUse: ReadonlySet<string>,
  nowMs: number,
): Promise<RegisteredRef[]> {
  if (keepVersions === undefined && keepDays === undefined) return []
  const db = sql.db<AllTables>()
  const rows = await db
    .selectFrom('registry_artifacts')
    .select(['model', 'version', 'created_ms'])
    .where('deleted_ms', 'is', null)
    .orderBy('model')
    .orderBy('version', 'desc')
    .execute()
  const expired: RegisteredRef[] = []
  let model = ''
  let rank = 0
  for (const row of rows) {
    rank = row.model === model ? rank + 1 : 1
    model = row.model
    // The newest is what somebody who asks for the model means.
    const isRecent =
      rank <= Math.max(1, keepVersions ?? 1) || (keepDays !== undefined && row.created_ms > nowMs - keepDays * DAY_MS)
    if (isRecent || inUse.has(`${row.model}/${row.version}`)) continue
    if ((await storedUses(db, row.model, row.version)).length > 0) continue
    expired.push({ model: row.model, version: row.version })
  }
  return expired
}

async function removableVersions(sql: Sql, beforeMs: number): Promise<RegisteredRef[]> {
  return sql
    .db<AllTables>()
    .selectFrom('registry_artifacts')
    .select(['model', 'version'])
    .where('deleted_ms', '<=', beforeMs)
    .orderBy('model')
    .orderBy('version')
    .execute()
}

/** Its number stays taken: what it stood for is in decisions and logs. */
async function purge(sql: Sql, { model, version }: RegisteredRef): Promise<void> {
  await sql.transaction(async (tx) => {
    const db = tx.withTables<AllTables>()
    const gone = await db
      .deleteFrom('registry_artifacts')
      .where('model', '=', model)
      .where('version', '=', version)
      // It may have been restored meanwhile.
      .where('deleted_ms', 'is not', null)
      .executeTakeFirst()
    if (gone.numDeletedRows === 0n) return
    await db.insertInto('registry_collected').values({ model, version }).execute()
    for (const table of ['registry_files', 'registry_tags', 'registry_metrics'] as const)
      await db.deleteFrom(table).where('model', '=', model).where('version', '=', version).execute()
  })
}

async function freeBlobs(
  { sql, othersNeed }: CollectOptions,
  claimedBeforeMs: number,
  leaving: readonly RegisteredRef[],
): Promise<{ digest: string; size_bytes: number }[]> {
  const db = sql.db<AllTables>()
  const rows = await db
    .selectFrom('registry_blobs')
    .select(['digest', 'size_bytes'])
    .where('claimed_ms', '<', claimedBeforeMs)
    .orderBy('digest')
    .execute()
  const gone = new Set(leaving.map(({ model, version }) => `${model}/${version}`))
  const used = new Set<string>()
  for (const { digest, model, version } of await db
    .selectFrom('registry_files')
    .select(['digest', 'model', 'version'])
    .execute())
    if (!gone.has(`${model}/${version}`)) used.add(digest)
  const free = rows.filter(({ digest }) => !used.has(digest))
  const needed = await othersNeed(free.map(({ digest }) => digest as Digest))
  return free.filter(({ digest }) => !needed.has(digest as Digest))
}

/** Says whether it went: a push may have claimed or registered it a moment ago. */
async function removeBlob({ sql, blobs }: CollectOptions, digest: Digest, claimedBeforeMs: number): Promise<boolean> {
  const isMarked = await sql.transaction(async (tx) => {
    const db = tx.withTables<AllTables>()
    const marked = await db
      .updateTable('registry_blobs')
      .set({ leaving: 1 })
      .where('digest', '=', digest)
      .where('claimed_ms', '<', claimedBeforeMs)
      .where((eb) =>
        eb.not(eb.exists(eb.selectFrom('registry_files').select('path').where('registry_files.digest', '=', digest))),
      )
      .executeTakeFirst()
    return marked.numUpdatedRows > 0n
  })
  if (!isMarked) return false
  await blobs.remove(blobKey(digest))
  await sql.db<AllTables>().deleteFrom('registry_blobs').where('digest', '=', digest).where('leaving', '=', 1).execute()
  return true
}

async function named(sql: Sql, refs: readonly RegisteredRef[]): Promise<RegisteredRef[]> {
  if (refs.length === 0) return []
  const rows = await sql.db<AllTables>().selectFrom('registry_models').select(['name', 'servable_name']).execute()
  const names = new Map(rows.map(({ name, servable_name }) => [servable_name, name]))
  return refs.map(({ model, version }) => ({ model: names.get(model) ?? model, version }))
}
