// One look at a models folder: which versions there are and a stamp of each one's files. It draws no conclusions.
import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { parseModelName, type VersionRef, versionKey } from '../core/index.js'
import { MODEL_FILES } from './model-file.js'

export interface VersionLook {
  readonly ref: VersionRef
  readonly folder: string
  /** Names of its model files; a version has one. */
  readonly models: readonly string[]
  readonly hasManifest: boolean
  /** Equal in two looks only if no file was written, added, removed or renamed between them. */
  readonly stamp: string
  /** When a file last changed, by the file system's clock, in milliseconds since the Unix epoch. */
  readonly changedMs: number
}

export interface FolderLook {
  /** By version key. */
  readonly versions: ReadonlyMap<string, VersionLook>
  /** Folders whose names are no model or no version, with the reason. */
  readonly misnamed: ReadonlyMap<string, string>
  /** Every folder that was read, to be watched. */
  readonly folders: ReadonlySet<string>
  /** Folders that are there but could not be read, with the reason; nothing is known about what is in them. */
  readonly unreadable: ReadonlyMap<string, string>
}

/** Rejects with the file system's error when `root` itself cannot be read; what disappears below it meanwhile is left out. */
export async function lookAtFolder(root: string): Promise<FolderLook> {
  const versions = new Map<string, VersionLook>()
  const misnamed = new Map<string, string>()
  const folders = new Set([root])
  const unreadable = new Map<string, string>()
  await Promise.all((await readdir(root, { withFileTypes: true })).map(readModel))
  return { versions, misnamed, folders, unreadable }

  async function readModel(entry: Dirent): Promise<void> {
    const folder = join(root, entry.name)
    if (isHidden(entry.name) || !(await isFolder(entry, folder))) return
    const model = parseModelName(entry.name)
    if (model === undefined) {
      misnamed.set(folder, 'is no model name (letters, digits, ".", "_" and "-", starting with a letter or digit)')
      return
    }
    folders.add(folder)
    await Promise.all(
      (await entriesOf(folder, unreadable)).map(async (entry) => {
        const versionFolder = join(folder, entry.name)
        if (isHidden(entry.name) || !(await isFolder(entry, versionFolder))) return
        const version = parseVersion(entry.name)
        if (version === undefined) {
          misnamed.set(versionFolder, 'is no version number (1, 2, 3, …, without leading zeros)')
          return
        }
        const ref = { model, version }
        folders.add(versionFolder)
        versions.set(versionKey(ref), await lookAtVersion(ref, versionFolder, unreadable))
      }),
    )
  }
}

/** A version number as it is written in folder names and selectors. */
export function parseVersion(text: string): number | undefined {
  return /^[1-9][0-9]{0,14}$/.test(text) ? Number(text) : undefined
}

async function lookAtVersion(ref: VersionRef, folder: string, unreadable: Map<string, string>): Promise<VersionLook> {
  const names = (await entriesOf(folder, unreadable)).map((entry) => entry.name).sort()
  const stats = await Promise.all(names.map((name) => stat(join(folder, name)).catch(() => undefined)))
  let stamp = ''
  let changedMs = 0
  for (let i = 0; i < names.length; i++) {
    const file = stats[i]
    if (!file) continue
    // Temporary files count here: while a copying tool fills one, the version is still changing. The change time counts
    // too, because tools that keep modification times (cp -p, tar) set them back when a file is done.
    stamp += `${names[i]} ${file.size} ${file.mtimeMs} ${file.ctimeMs} ${file.ino}\n`
    changedMs = Math.max(changedMs, file.mtimeMs, file.ctimeMs)
  }
  const isFile = (name: string): boolean => stats[names.indexOf(name)]?.isFile() ?? false
  return { ref, folder, models: MODEL_FILES.filter(isFile), hasManifest: isFile('model.json'), stamp, changedMs }
}

function isHidden(name: string): boolean {
  return name.startsWith('.')
}

async function isFolder(entry: Dirent, path: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory()
  return stat(path).then(
    (target) => target.isDirectory(),
    () => false,
  )
}

/** Nothing for a folder that was removed since its parent was read. */
async function entriesOf(folder: string, unreadable: Map<string, string>): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') unreadable.set(folder, message)
    return []
  }
}
