// Finished steps of a training set as files named by what they were made from, so that a killed run goes on from the last one.
import { createHash } from 'node:crypto'
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { Platform } from '../../core/index.js'
import type { CompiledView } from '../compiled.js'
import type { Source } from '../definitions/source.js'
import { filesOf, type SourceAccess } from './relation.js'

// Raise it when a step means something else: what older releases left is then not taken.
const FORM = 1
const FORGET_MS = 7 * 86_400_000

export interface Checkpoints {
  /** The file of a step, made by `make` unless there is one. */
  keep(name: string, digest: string, make: (file: string) => Promise<void>): Promise<string>
  has(name: string, digest: string): Promise<boolean>
  /** Of a training set that is written. */
  clear(): Promise<void>
}

export async function openCheckpoints(
  platform: Platform,
  tempFolder: string,
  digest: string,
  resume: boolean,
): Promise<Checkpoints> {
  const parent = join(tempFolder, 'training-sets')
  await forgetOld(platform, parent)
  const folder = join(parent, resume ? digest.slice(0, 32) : platform.ids.next())
  await mkdir(folder, { recursive: true })
  const nowS = platform.clock.nowMs() / 1000
  await utimes(folder, nowS, nowS)
  const fileOf = (name: string, of: string) => join(folder, `${name}-${of.slice(0, 32)}.parquet`)
  const has = (name: string, of: string) =>
    stat(fileOf(name, of)).then(
      () => true,
      () => false,
    )
  return {
    has,
    async keep(name, of, make) {
      const file = fileOf(name, of)
      if (await has(name, of)) return file
      const unfinished = `${file}.${platform.ids.next()}.new`
      try {
        await make(unfinished)
        await rename(unfinished, file)
      } finally {
        await rm(unfinished, { force: true })
      }
      return file
    },
    clear: () => rm(folder, { recursive: true, force: true }),
  }
}

async function forgetOld(platform: Platform, parent: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    const { mtimeMs } = await stat(join(parent, name)).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
    if (mtimeMs < platform.clock.nowMs() - FORGET_MS) await rm(join(parent, name), { recursive: true, force: true })
  }
}

export function digestOf(...parts: readonly unknown[]): string {
  return createHash('sha256')
    .update(JSON.stringify([FORM, ...parts]))
    .digest('hex')
}

/** Path, size and time of files: another content has another identity. */
export async function filesIdentity(files: readonly string[]): Promise<unknown> {
  return Promise.all(
    files.map(async (file) => {
      const { size, mtimeMs, ino } = await stat(file)
      return [file, size, mtimeMs, ino]
    }),
  )
}

/** What a view's rows are read from, as it is now. A database says nothing about that: what came from one is not used again. */
export function sourcesIdentity(access: SourceAccess, platform: Platform, view: CompiledView): Promise<unknown> {
  const sources = [view.source, view.stream].filter((source) => source !== undefined)
  return Promise.all(sources.map((source) => sourceIdentity(access, platform, source)))
}

async function sourceIdentity(access: SourceAccess, platform: Platform, source: Source): Promise<unknown> {
  switch (source.kind) {
    case 'file':
      return filesIdentity(await filesOf(access.duck, access.root, source.path))
    case 'push':
    case 'kafka':
      return filesIdentity(await access.eventFiles(source.name))
    case 'postgres':
      return platform.ids.next()
    case 'sql': {
      // Every text in the query that names files there.
      const named = [...source.query.matchAll(/'((?:[^']|'')*)'/g)].map(([, text]) => text!.replaceAll("''", "'"))
      const files = await Promise.all(named.map((path) => filesOf(access.duck, access.root, path).catch(() => [])))
      return [source.query, await filesIdentity(files.flat())]
    }
  }
}
