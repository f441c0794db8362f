// Names of artifacts: which digest and size stands under which path. A file is there from the moment its row is; its bytes were there before.
import { TrackingErrors } from './errors.js'
import { type Db, retrying, type TrackingContext, type Tx } from './store.js'
import type { TrackingTables } from './tables.js'
import type { Artifact, ArtifactEntry, TrackingService } from './types.js'

type Operations = Pick<
  TrackingService,
  'putArtifact' | 'getArtifact' | 'listArtifacts' | 'artifactsUnder' | 'deleteArtifact' | 'digestsInUse'
>

const MAX_PATH_LENGTH = 4096
const MAX_PART_LENGTH = 1000
/** Rows of one statement's list. */
const CHUNK = 10_000

export function createArtifacts({ sql: store, platform }: TrackingContext): Operations {
  const db = () => store.db<TrackingTables>()

  return {
    async putArtifact({ path, digest, sizeBytes }) {
      const { folder, name } = placeOf(path)
      const values = { digest, size_bytes: sizeBytes, stored_ms: platform.clock.nowMs() }
      await retrying(() =>
        store.transaction(async (tx: Tx) => {
          if (await isFolder(tx, path)) throw TrackingErrors.ARTIFACT_PATH_INVALID({ path, problem: 'is a folder' })
          for (const above of foldersOf(path)) {
            const file = await fileRow(tx, above)
            if (file) throw TrackingErrors.ARTIFACT_PATH_INVALID({ path, problem: `lies below the file '${above}'` })
            const place = splitPath(above)
            await tx
              .insertInto('tracking_artifact_folders')
              .values({ parent: place.folder, name: place.name })
              .onConflict((conflict) => conflict.doNothing())
              .execute()
          }
          await tx
            .insertInto('tracking_artifacts')
            .values({ folder, name, ...values })
            .onConflict((conflict) => conflict.columns(['folder', 'name']).doUpdateSet(values))
            .execute()
        }),
      )
    },

    async getArtifact(path) {
      placeOf(path)
      const row = await fileRow(db(), path)
      if (row === undefined) throw TrackingErrors.ARTIFACT_UNKNOWN({ path })
      return { path, digest: row.digest, sizeBytes: row.size_bytes }
    },

    async listArtifacts(folder) {
      if (folder !== '') placeOf(folder)
      const [folders, files] = await Promise.all([
        db().selectFrom('tracking_artifact_folders').select('name').where('parent', '=', folder).execute(),
        db().selectFrom('tracking_artifacts').select(['name', 'size_bytes']).where('folder', '=', folder).execute(),
      ])
      const entries: ArtifactEntry[] = [
        ...folders.map(({ name }) => ({ name, isFolder: true as const })),
        ...files.map(({ name, size_bytes }) => ({ name, isFolder: false as const, sizeBytes: size_bytes })),
      ]
      return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
    },

    async artifactsUnder(path) {
      if (path !== '') placeOf(path)
      const file = path === '' ? undefined : await fileRow(db(), path)
      return file ? [{ path, digest: file.digest, sizeBytes: file.size_bytes }] : filesBelow(db(), path)
    },

    async deleteArtifact(path) {
      const { folder, name } = placeOf(path)
      await store.transaction(async (tx: Tx) => {
        if (await fileRow(tx, path)) {
          await tx.deleteFrom('tracking_artifacts').where('folder', '=', folder).where('name', '=', name).execute()
        } else if (await isFolder(tx, path)) {
          for (const below of [path, ...(await foldersBelow(tx, path))]) {
            await tx.deleteFrom('tracking_artifacts').where('folder', '=', below).execute()
            await tx.deleteFrom('tracking_artifact_folders').where('parent', '=', below).execute()
          }
          await tx
            .deleteFrom('tracking_artifact_folders')
            .where('parent', '=', folder)
            .where('name', '=', name)
            .execute()
        } else throw TrackingErrors.ARTIFACT_UNKNOWN({ path })
        await removeEmpty(tx, folder)
      })
    },

    async digestsInUse(digests) {
      const used = new Set<string>()
      for (let from = 0; from < digests.length; from += CHUNK) {
        const rows = await db()
          .selectFrom('tracking_artifacts')
          .select('digest')
          .distinct()
          .where('digest', 'in', digests.slice(from, from + CHUNK))
          .execute()
        for (const { digest } of rows) used.add(digest)
      }
      return [...used]
    },
  }
}

/** Throws TRACKING_ARTIFACT_PATH_INVALID: what a path may be, whatever its encoding was before. */
function placeOf(path: string): { folder: string; name: string } {
  const refuse = (problem: string) =>
    TrackingErrors.ARTIFACT_PATH_INVALID({ path: path.slice(0, 200).replace(/[\0\p{Surrogate}]/gu, '?'), problem })
  if (path.length > MAX_PATH_LENGTH) throw refuse(`is longer than ${MAX_PATH_LENGTH} characters`)
  if (/[\0\p{Surrogate}]/u.test(path)) throw refuse('has a NUL character or half of a surrogate pair in it')
  for (const part of path.split('/')) {
    if (part === '') throw refuse('is empty or has an empty part')
    if (part === '.' || part === '..') throw refuse('has "." or ".." in it')
    if (part.length > MAX_PART_LENGTH) throw refuse(`has a part longer than ${MAX_PART_LENGTH} characters`)
    // Clients write files of these names on their disks, and to Windows this is a way up as well.
    if (part.includes('\\')) throw refuse('has a backslash in it')
  }
  return splitPath(path)
}

function splitPath(path: string): { folder: string; name: string } {
  const slash = path.lastIndexOf('/')
  return { folder: slash === -1 ? '' : path.slice(0, slash), name: path.slice(slash + 1) }
}

/** `a/b/c` lies in `a` and in `a/b`. */
function foldersOf(path: string): string[] {
  const parts = path.split('/')
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'))
}

async function fileRow(db: Db, path: string): Promise<TrackingTables['tracking_artifacts'] | undefined> {
  const { folder, name } = splitPath(path)
  return db
    .selectFrom('tracking_artifacts')
    .selectAll()
    .where('folder', '=', folder)
    .where('name', '=', name)
    .executeTakeFirst()
}

async function isFolder(db: Db, path: string): Promise<boolean> {
  const { folder, name } = splitPath(path)
  const row = await db
    .selectFrom('tracking_artifact_folders')
    .select('name')
    .where('parent', '=', folder)
    .where('name', '=', name)
    .executeTakeFirst()
  return row !== undefined
}

/** Level by level; what has no level below ends it. */
async function foldersBelow(db: Db, path: string): Promise<string[]> {
  const all: string[] = []
  let level = [path]
  while (level.length > 0) {
    const rows = await db
      .selectFrom('tracking_artifact_folders')
      .selectAll()
      .where('parent', 'in', level.slice(0, CHUNK))
      .execute()
    const found = rows.map(({ parent, name }) => (parent === '' ? name : `${parent}/${name}`))
    all.push(...found)
    level = [...level.slice(CHUNK), ...found]
  }
  return all
}

async function filesBelow(db: Db, path: string): Promise<Artifact[]> {
  const folders = [path, ...(await foldersBelow(db, path))]
  const files: Artifact[] = []
  for (let from = 0; from < folders.length; from += CHUNK) {
    const rows = await db
      .selectFrom('tracking_artifacts')
      .selectAll()
      .where('folder', 'in', folders.slice(from, from + CHUNK))
      .execute()
    for (const { folder, name, digest, size_bytes } of rows)
      files.push({ path: folder === '' ? name : `${folder}/${name}`, digest, sizeBytes: size_bytes })
  }
  return files
}

/** Folders are there for as long as something is in them. */
async function removeEmpty(tx: Tx, path: string): Promise<void> {
  for (let at = path; at !== ''; at = splitPath(at).folder) {
    const file = await tx
      .selectFrom('tracking_artifacts')
      .select('name')
      .where('folder', '=', at)
      .limit(1)
      .executeTakeFirst()
    const below = await tx
      .selectFrom('tracking_artifact_folders')
      .select('name')
      .where('parent', '=', at)
      .limit(1)
      .executeTakeFirst()
    if (file || below) return
    const { folder, name } = splitPath(at)
    await tx.deleteFrom('tracking_artifact_folders').where('parent', '=', folder).where('name', '=', name).execute()
  }
}
