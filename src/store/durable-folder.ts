// A file that was renamed or made is only sure to be there after a power loss when its folder was synced as well.
import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Makes a folder, and those above it that are missing, readable by their owner only. `folder` is absolute. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made))
}

export async function syncFolder(folder: string): Promise<void> {
  // Windows has no such thing, and needs none: NTFS journals its folders.
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
