// Copies of registered versions on this machine, fetched from the blob store when they are first loaded. Every load checks every file: a copy
// that was changed is fetched again, and bytes that are not what was registered are never loaded.
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type Digest, HeadraceError, type Metrics, type Platform, type VersionRef } from '../core/index.js'
import type { Blobs } from '../store/index.js'
import { fileDigest } from './digest.js'
import { RegistryErrors } from './errors.js'
import { blobKey, type VersionFile } from './service.js'

export interface LocalVersions {
  /** Where the files of a version lie, or will. */
  placeOf(served: readonly VersionFile[]): string
  /** An empty folder on the same disk. */
  draft(): Promise<string>
  /** Takes a draft that holds these files for their copy. */
  keep(draft: string, served: readonly VersionFile[]): Promise<void>
  /** Makes sure that they are there and are what was registered. Throws REGISTRY_FETCH_FAILED, REGISTRY_DIGEST_CHANGED. */
  ensure(ref: VersionRef, served: readonly VersionFile[]): Promise<void>
  /** Writes a blob's bytes to a file; they are what their digest says. Throws as `ensure` does. */
  fetch(ref: VersionRef, digest: Digest, to: string): Promise<void>
  /** Removes all copies but these. */
  prune(places: ReadonlySet<string>): Promise<void>
}

export interface LocalVersionsOptions {
  readonly folder: string
  readonly blobs: Blobs
  readonly platform: Platform
}

const DRAFT = '.draft-'

export function createLocalVersions({ folder, blobs, platform }: LocalVersionsOptions): LocalVersions {
  const { logger, metrics } = platform
  const damaged = damagedCounter(metrics)
  /** One look at a version at a time. */
  const underWay = new Map<string, Promise<void>>()

  const placeOf = (served: readonly VersionFile[]): string => {
    const lines = served.map(({ path, digest }) => `${digest} ${path}\n`).sort()
    return join(folder, createHash('sha256').update(lines.join('')).digest('hex'))
  }

  async function draft(): Promise<string> {
    await mkdir(folder, { recursive: true })
    return mkdtemp(join(folder, DRAFT))
  }

  async function fetch(ref: VersionRef, digest: Digest, to: string): Promise<void> {
    await mkdir(dirname(to), { recursive: true })
    try {
      await pipeline(await blobs.get(blobKey(digest)), createWriteStream(to))
    } catch (error) {
      throw RegistryErrors.FETCH_FAILED({ ...ref, reason: (error as Error).message.replace(/\.$/, '') }, error)
    }
    const actual = await fileDigest(to)
    if (actual === digest) return
    await rm(to, { force: true })
    damaged.with('blob store').inc()
    const failure = RegistryErrors.DIGEST_CHANGED({
      ...ref,
      difference: `the blob store has ${actual} in the place of ${digest}`,
    })
    logger.error({ ...ref, digest, actual, key: blobKey(digest) }, failure.message)
    throw failure
  }

  async function keep(from: string, served: readonly VersionFile[]): Promise<void> {
    const place = placeOf(served)
    // Everything else that was fetched to look at it goes.
    const wanted = new Set(served.map(({ path }) => path))
    for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name)
      if (entry.isFile() && !wanted.has(path.slice(from.length + 1).replaceAll('\\', '/'))) await rm(path)
    }
    try {
      await rename(from, place)
    } catch (error) {
      // Another process of this server was faster.
      if (!(await isThere(place))) throw error
      await rm(from, { recursive: true, force: true })
    }
  }

  async function look(ref: VersionRef, served: readonly VersionFile[], place: string): Promise<void> {
    const missing: VersionFile[] = []
    for (const file of served) {
      const actual = await fileDigest(join(place, file.path)).catch(nothingIfMissing)
      if (actual === file.digest) continue
      missing.push(file)
      if (actual === undefined) continue
      damaged.with('disk').inc()
      logger.error(
        { ...ref, file: join(place, file.path), digest: file.digest, actual },
        'a file of a registered version was changed on disk; it is not loaded but fetched again from the blob store',
      )
    }
    if (missing.length === 0) return
    const begun = await draft()
    try {
      for (const { digest, path } of missing) await fetch(ref, digest, join(begun, path))
      if (missing.length === served.length && !(await isThere(place))) return await keep(begun, served)
      for (const { path } of missing) {
        await mkdir(dirname(join(place, path)), { recursive: true })
        await rename(join(begun, path), join(place, path))
      }
    } finally {
      await rm(begun, { recursive: true, force: true })
    }
  }

  return {
    placeOf,
    draft,
    keep,
    fetch,
    async ensure(ref, served) {
      const place = placeOf(served)
      await underWay.get(place)?.catch(() => undefined)
      const looking = look(ref, served, place).catch((error: unknown) => {
        if (error instanceof HeadraceError) throw error
        throw RegistryErrors.FETCH_FAILED({ ...ref, reason: (error as Error).message }, error)
      })
      underWay.set(place, looking)
      await looking.finally(() => underWay.delete(place))
    },
    async prune(places) {
      for (const name of await readdir(folder).catch(() => [])) {
        const place = join(folder, name)
        if (!name.startsWith(DRAFT) && !places.has(place)) await rm(place, { recursive: true, force: true })
      }
    },
  }
}

const counters = new WeakMap<Metrics, ReturnType<Metrics['counter']>>()

/** One for the process: who registers has copies of its own, in the same folder. */
function damagedCounter(metrics: Metrics): ReturnType<Metrics['counter']> {
  const counter =
    counters.get(metrics) ??
    metrics.counter({
      name: 'headrace_registry_damaged_total',
      help: 'Files of registered versions that were not what was registered when they were about to be loaded, by where they were.',
      labels: ['where'],
    })
  counters.set(metrics, counter)
  return counter
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

function nothingIfMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
  return undefined
}
