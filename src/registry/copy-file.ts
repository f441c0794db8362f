// Copies a file so that it survives a power loss.
import { constants } from 'node:fs'
import { chmod, copyFile, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Rejects when there is a file already. */
export async function copyDurably(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true })
  // A clone of the file's blocks where the file system can: instant for a model of gigabytes.
  await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
  // The copy has the mode of the original, which may be read-only; Windows syncs only what is open for writing.
  await chmod(to, 0o644)
  const handle = await open(to, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
