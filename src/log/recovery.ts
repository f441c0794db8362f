// Opening a folder: the newest segment is checked block by block and what a crash left after its last whole block is cut
// off. Only that tail can be torn, because a block is synced before the next one is written; a broken block with good ones
// behind it is damage to acknowledged records, so it is reported and nothing is cut.
import { mkdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { BlockReader, type Damage } from './block-reader.js'
import type { LogFiles } from './files.js'
import { listSegments, readPrefix, type Segment } from './segment.js'
import type { LogPosition } from './types.js'

export interface Recovered {
  /** The newest segment, to be continued; undefined in an empty folder. */
  readonly newest: { segment: Segment; sizeBytes: number; startedMs: number | undefined } | undefined
  readonly lastSeq: LogPosition
  /** What was cut off. */
  readonly trimmedBytes: number
}

export async function recover(files: LogFiles, folder: string, onDamage: (damage: Damage) => void): Promise<Recovered> {
  await makeFolder(files, folder)
  for (const name of await files.list(folder)) {
    if (name.endsWith('.ndjson.tmp')) await files.remove(join(folder, name))
  }
  const segment = (await listSegments(files, folder)).at(-1)
  if (!segment) return { newest: undefined, lastSeq: 0, trimmedBytes: 0 }

  let lastSeq = segment.firstSeq - 1
  let startedMs: number | undefined
  let endOffset = 0
  const reader = await BlockReader.open(files, segment, onDamage)
  try {
    for (let block = await reader?.next(); block; block = await reader?.next()) {
      lastSeq = block.lastSeq
      endOffset = block.endOffset
      startedMs ??= readPrefix(block.lines, 0, block.lines.length)?.timeMs ?? block.timeMs
    }
  } finally {
    await reader?.close()
  }

  const file = await files.open(segment.path, 'r+')
  try {
    const sizeBytes = await file.size()
    if (sizeBytes > endOffset) await file.truncate(endOffset)
    // Also without a torn tail: a killed process may have written whole blocks and not synced them.
    await file.datasync()
    await files.syncFolder(folder)
    return {
      newest: { segment, sizeBytes: endOffset, startedMs },
      lastSeq,
      trimmedBytes: sizeBytes - endOffset,
    }
  } finally {
    await file.close()
  }
}

/** A new folder survives power loss only when the folders it was made in are synced too. */
async function makeFolder(files: LogFiles, folder: string): Promise<void> {
  const path = resolve(folder)
  const firstMade = await mkdir(path, { recursive: true })
  if (firstMade === undefined) return
  for (let made = path; ; made = dirname(made)) {
    await files.syncFolder(dirname(made))
    if (made === firstMade) return
  }
}
