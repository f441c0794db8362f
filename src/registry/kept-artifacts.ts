// Copies of the files of versions that were loaded well. A version that rests is loaded again at some later time, and its files in the
// models folder may have been damaged or overwritten by then; what once served can still. Copies, because a hard link is overwritten
// along with the file it is a link to.
import { constants } from 'node:fs'
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import type { Digest, Platform } from '../core/index.js'
import type { VersionArtifact } from '../tensor/index.js'
import { findFiles } from './artifact.js'
import { fileDigest } from './digest.js'

export interface KeptArtifactsOptions {
  readonly folder: string
  readonly platform: Platform
  /** Of all copies together; what comes when they are full is not kept. */
  readonly maxBytes: number
}

export interface KeptArtifacts {
  /** Never rejects: a copy is a help, not a condition. */
  keep(artifact: VersionArtifact): Promise<void>
  /** The copy, if the files themselves are not what they were when it was made. */
  find(artifact: VersionArtifact): Promise<VersionArtifact | undefined>
  forget(artifact: VersionArtifact): Promise<void>
  /** Removes what no version of these digests needs. */
  prune(digests: ReadonlySet<Digest>): Promise<void>
}

/** Digests by name, relative to the model file's folder. */
type Content = Readonly<Record<string, Digest>>

const CONTENT = 'content.json'

export function createKeptArtifacts({ folder, platform, maxBytes }: KeptArtifactsOptions): KeptArtifacts {
  const { logger } = platform
  /** Versions by digest: several may be of one file. */
  const users = new Map<Digest, Set<string>>()
  let usedBytes: number | undefined
  let last: Promise<void> = Promise.resolve()
  let copies = 0

  const placeOf = (digest: Digest) => join(folder, digest.slice('sha256:'.length))

  function use({ ref, digest }: VersionArtifact): void {
    const using = users.get(digest) ?? new Set<string>()
    users.set(digest, using.add(`${ref.model}/${ref.version}`))
  }

  async function copy(artifact: VersionArtifact): Promise<void> {
    const place = placeOf(artifact.digest)
    if (await exists(place)) return
    const { model, external } = await findFiles(artifact.file)
    const files = [model, ...external]
    const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size))
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    usedBytes ??= await sizeOf(folder)
    if (usedBytes + bytes > maxBytes) {
      logger.warn({ ...artifact.ref, bytes, usedBytes, maxBytes }, 'there is no room to keep a copy of a version')
      return
    }
    const draft = join(folder, `.draft-${process.pid}-${copies++}`)
    try {
      const content: Record<string, Digest> = {}
      for (const file of files) {
        const name = relative(dirname(model), file)
        await mkdir(dirname(join(draft, name)), { recursive: true })
        await copyFile(file, join(draft, name), constants.COPYFILE_FICLONE)
        content[name] = await fileDigest(join(draft, name))
      }
      if (content[relative(dirname(model), model)] !== artifact.digest) return
      await writeFile(join(draft, CONTENT), JSON.stringify(content))
      await rename(draft, place)
      usedBytes += bytes
    } finally {
      await rm(draft, { recursive: true, force: true })
    }
  }

  async function remove(place: string): Promise<void> {
    await rm(place, { recursive: true, force: true })
    usedBytes = undefined
  }

  /** One thing at a time: copies are made beside everything else. */
  function inTurn(work: () => Promise<void>): Promise<void> {
    last = last.then(work).catch((error: unknown) => {
      logger.warn({ err: error, folder }, 'copies of versions could not be kept in order')
    })
    return last
  }

  return {
    keep(artifact) {
      // What a script imports is found from where it is.
      if (maxBytes === 0 || artifact.backend === 'script') return Promise.resolve()
      use(artifact)
      return inTurn(() => copy(artifact))
    },
    async find(artifact) {
      await last
      const place = placeOf(artifact.digest)
      const content = await readContent(place)
      if (content === undefined) return undefined
      const isSame = await Promise.all(
        Object.entries(content).map(
          async ([name, digest]) =>
            (await fileDigest(join(dirname(artifact.file), name)).catch(() => undefined)) === digest,
        ),
      )
      if (isSame.every(Boolean)) return undefined
      const name = Object.keys(content).find((file) => content[file] === artifact.digest)
      return name === undefined ? undefined : { ...artifact, file: join(place, name) }
    },
    forget({ ref, digest }) {
      const using = users.get(digest)
      using?.delete(`${ref.model}/${ref.version}`)
      if (using === undefined || using.size > 0) return Promise.resolve()
      users.delete(digest)
      return inTurn(() => remove(placeOf(digest)))
    },
    prune(digests) {
      return inTurn(async () => {
        const needed = new Set([...digests].map(placeOf))
        for (const name of await readdir(folder).catch(() => [])) {
          const place = join(folder, name)
          if (!needed.has(place)) await remove(place)
        }
      })
    },
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

async function readContent(place: string): Promise<Content | undefined> {
  try {
    return JSON.parse(await readFile(join(place, CONTENT), 'utf8')) as Content
  } catch {
    return undefined
  }
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const files = entries.filter((entry) => entry.isFile())
  const sizes = await Promise.all(
    files.map((file) =>
      stat(join(file.parentPath, file.name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}
