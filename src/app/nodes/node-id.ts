// What a server is known by among others: an id made once and kept in its data folder, whatever its address.
import { readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Platform } from '../../core/index.js'

const ID = /^[A-Za-z0-9-]{8,64}$/

/** The caller has the data folder's lock. A file that is damaged is replaced: the node is then a new one. */
export async function readNodeId(dataDir: string, platform: Pick<Platform, 'ids'>): Promise<string> {
  const file = path.join(dataDir, 'node-id')
  const kept = await readFile(file, 'utf8').catch(() => '')
  if (ID.test(kept.trim())) return kept.trim()
  const id = platform.ids.next()
  await writeFile(`${file}.new`, `${id}\n`)
  await rename(`${file}.new`, file)
  return id
}
