// Uploads that survive a cut connection and a restart: pieces of files in a folder, at the offsets that their sizes say. Nothing of them is
// a version before everything has arrived and has the digests that were announced. The same announcement finds its session again.
import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Digest, Platform } from '../core/index.js'
import type { Blobs } from '../store/index.js'
import { fileDigest } from './digest.js'
import { RegistryErrors } from './errors.js'
import { putFile } from './put-file.js'
import { checkFiles, metricsFromText, metricsToText } from './registered-checks.js'
import type { Registered, Registration, RegistryService, VersionFile } from './service.js'

export type Announced = Omit<Registration, 'by' | 'stagedIn' | 'source'>

export interface UploadFile extends VersionFile {
  /** Bytes that are there; all of them for what the blob store has. */
  readonly offset: number
}

export interface UploadSession {
  readonly id: string
  readonly model: string
  readonly files: readonly UploadFile[]
  /** It is collected a day after the last piece arrived. */
  readonly expiresMs: number
}

export interface UploadSessions {
  /** Throws REGISTRY_FILES_INVALID. */
  begin(announced: Announced): Promise<UploadSession>
  /** Throws REGISTRY_UPLOAD_NOT_FOUND. */
  get(id: string): Promise<UploadSession>
  /** What arrives before the connection breaks is kept. Throws REGISTRY_UPLOAD_NOT_FOUND, REGISTRY_UPLOAD_OFFSET, REGISTRY_FILES_INVALID. */
  write(id: string, path: string, offset: number, body: Readable): Promise<UploadSession>
  /** Throws REGISTRY_UPLOAD_OFFSET for what has not arrived, REGISTRY_UPLOAD_DIGEST, and what a registration throws. */
  finish(id: string, by: Registration['by']): Promise<Registered>
  abandon(id: string): Promise<void>
  /** Removes those that nobody went on with for a day. */
  sweep(): Promise<void>
}

export interface UploadSessionsOptions {
  readonly folder: string
  readonly blobs: Blobs
  readonly platform: Platform
  readonly registry: Pick<RegistryService, 'claimBlobs' | 'registerVersion'>
}

const KEPT_MS = 86_400_000
const SESSION = 'session.json'

export function createUploadSessions({ folder, blobs, platform, registry }: UploadSessionsOptions): UploadSessions {
  const { clock } = platform
  const busy = new Set<string>()

  const folderOf = (id: string): string => {
    if (!/^[0-9a-f]{32}$/.test(id)) throw RegistryErrors.UPLOAD_NOT_FOUND({ upload: id.slice(0, 100) })
    return join(folder, id)
  }
  /** Paths are other people's, and the same files may be announced in another order. */
  const partOf = (id: string, path: string) => join(folderOf(id), createHash('sha256').update(path).digest('hex'))

  async function read(id: string): Promise<Announced> {
    try {
      const kept = JSON.parse(await readFile(join(folderOf(id), SESSION), 'utf8')) as Announced & { metrics: string }
      return { ...kept, metrics: metricsFromText(kept.metrics) }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      throw RegistryErrors.UPLOAD_NOT_FOUND({ upload: id })
    }
  }

  async function stateOf(id: string, { model, files }: Announced): Promise<UploadSession> {
    const missing = new Set(await registry.claimBlobs(files))
    const { mtimeMs } = await stat(folderOf(id))
    const sizes = await Promise.all(files.map(({ path }) => sizeOf(partOf(id, path))))
    return {
      id,
      model,
      files: files.map((file, i) => ({ ...file, offset: missing.has(file.digest) ? sizes[i]! : file.sizeBytes })),
      expiresMs: Math.round(mtimeMs) + KEPT_MS,
    }
  }

  async function sweep(): Promise<void> {
    for (const id of await readdir(folder).catch(() => [])) {
      const { mtimeMs } = await stat(join(folder, id)).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
      if (mtimeMs < clock.nowMs() - KEPT_MS) await rm(join(folder, id), { recursive: true, force: true })
    }
  }

  return {
    sweep,
    async begin(announced) {
      checkFiles(announced.files)
      await sweep()
      const id = idOf(announced)
      const place = folderOf(id)
      await mkdir(place, { recursive: true })
      const draft = join(place, `.${SESSION}-${platform.ids.next()}`)
      await writeFile(draft, JSON.stringify({ ...announced, metrics: metricsToText(announced.metrics ?? {}) }))
      await rename(draft, join(place, SESSION))
      return stateOf(id, announced)
    },
    async get(id) {
      return stateOf(id, await read(id))
    },
    async write(id, path, offset, body) {
      const announced = await read(id)
      const file = announced.files.find((known) => known.path === path)
      if (file === undefined)
        throw RegistryErrors.FILES_INVALID({ path: path.slice(0, 200), problem: 'it was not announced' })
      const part = partOf(id, path)
      const expected = await sizeOf(part)
      // Two connections that both think they go on.
      if (offset !== expected || busy.has(part)) throw RegistryErrors.UPLOAD_OFFSET({ upload: id, expected, offset })
      busy.add(part)
      try {
        await append(part, body, file.sizeBytes - offset, path)
      } finally {
        busy.delete(part)
        // A folder does not show that a file in it grew, and its time says when it expires.
        const now = clock.nowMs() / 1000
        await utimes(folderOf(id), now, now).catch(() => undefined)
      }
      return stateOf(id, announced)
    },
    async finish(id, by) {
      const announced = await read(id)
      const { files } = announced
      const missing = new Set(await registry.claimBlobs(files))
      for (const { digest, path, sizeBytes } of files) {
        if (!missing.has(digest)) continue
        const part = partOf(id, path)
        // A file of nothing has no pieces.
        if (sizeBytes === 0) await writeFile(part, '')
        const offset = await sizeOf(part)
        if (offset < sizeBytes) throw RegistryErrors.UPLOAD_OFFSET({ upload: id, expected: offset, offset: sizeBytes })
        const actual = await fileDigest(part)
        if (actual !== digest) {
          await rm(part, { force: true })
          throw RegistryErrors.UPLOAD_DIGEST({ path, expected: digest, actual })
        }
        await putFile(blobs, part, digest)
      }
      const registered = await registry.registerVersion({ ...announced, source: 'push', by })
      await rm(folderOf(id), { recursive: true, force: true })
      return registered
    },
    async abandon(id) {
      await read(id)
      await rm(folderOf(id), { recursive: true, force: true })
    },
  }
}

/** The same files for the same model are the same upload, whoever sends them. */
function idOf({ model, files }: Announced): string {
  const lines = files.map(({ path, digest }: { path: string; digest: Digest }) => `${digest} ${path}`).sort()
  return createHash('sha256')
    .update([model, ...lines].join('\n'))
    .digest('hex')
    .slice(0, 32)
}

/** Not a pipeline, which throws away what it holds when the connection breaks. */
async function append(part: string, body: Readable, limit: number, path: string): Promise<void> {
  const handle = await open(part, 'a')
  let taken = 0
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      taken += chunk.length
      if (taken > limit)
        throw RegistryErrors.FILES_INVALID({ path: path.slice(0, 200), problem: 'more arrived than was announced' })
      for (let done = 0; done < chunk.length; ) done += (await handle.write(chunk, done)).bytesWritten
    }
  } finally {
    await handle.close()
  }
}

function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}
