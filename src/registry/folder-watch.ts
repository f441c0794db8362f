// Hears of changes through the file system. Each folder is watched by itself: Node's recursive mode walks the tree
// synchronously on Linux and throws when a folder disappears under it. It is a hint only: network file systems report
// nothing and the number of watches is limited, so whoever uses this polls as well.
import { type FSWatcher, watch } from 'node:fs'
import type { Logger } from '../core/index.js'

export interface FolderWatch {
  /** Watches exactly these folders from now on; says whether any of them was not watched before. */
  follow(folders: ReadonlySet<string>): boolean
  close(): void
}

export function createFolderWatch(changed: () => void, logger: Logger): FolderWatch {
  const watchers = new Map<string, FSWatcher>()
  let hasWarned = false

  function drop(folder: string): void {
    watchers.get(folder)?.close()
    watchers.delete(folder)
  }

  function warn(folder: string, error: unknown): void {
    if (hasWarned) return
    hasWarned = true
    logger.warn({ err: error, folder }, 'a models folder cannot be watched for changes; it is only polled')
  }

  function add(folder: string): boolean {
    try {
      const watcher = watch(folder, { persistent: false }, changed)
      watcher.on('error', (error) => {
        // Windows reports the removal of a watched folder this way.
        if ((error as NodeJS.ErrnoException).code !== 'EPERM') warn(folder, error)
        drop(folder)
        changed()
      })
      watchers.set(folder, watcher)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') warn(folder, error)
      return false
    }
  }

  return {
    follow(folders) {
      for (const folder of [...watchers.keys()]) if (!folders.has(folder)) drop(folder)
      let isNew = false
      for (const folder of folders) if (!watchers.has(folder) && add(folder)) isNew = true
      return isNew
    },
    close() {
      for (const folder of [...watchers.keys()]) drop(folder)
    },
  }
}
