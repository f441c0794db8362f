// Reading a log's folder without opening the log: for the CLI, tests, and whoever runs beside a server.
import type { Damage } from './block-reader.js'
import { LogCursor } from './cursor.js'
import { type LogFiles, realFiles } from './files.js'
import { nextTurn } from './next-turn.js'
import { firstWrittenSince, lineSeq, listSegments } from './segment.js'
import { parseRecord } from './stored-record.js'
import type { LogPosition, StoredRecord } from './types.js'

const NEWLINE = 10
// Parsing this much takes about a millisecond.
const BYTES_PER_TURN = 256 * 1024

export interface ReadOptions {
  /** First position to read; default 1. */
  readonly from?: LogPosition
  /** Passes over segments that nothing was written to since this moment; default none. Records of the others may be older. */
  readonly writtenSinceMs?: number
  /** Hears of bytes that failed their checksum and are left out; default nobody. */
  readonly onDamage?: (damage: Damage) => void
  readonly files?: LogFiles
}

/** Records in order, up to the last whole commit. To follow a log that is being written, use `subscribe`. */
export async function* readRecords(folder: string, options: ReadOptions = {}): AsyncGenerator<StoredRecord, void> {
  const { onDamage = ignore, files = realFiles } = options
  const from = await firstPosition(folder, files, options)
  const cursor = new LogCursor(files, folder, from, onDamage)
  let position = from
  let bytes = 0
  try {
    for (let block = await cursor.next(); block; block = await cursor.next()) {
      const { lines } = block
      for (let start = 0, end = 0; start < lines.length; start = end + 1) {
        end = lines.indexOf(NEWLINE, start)
        const seq = lineSeq(lines, start)
        // A block whose first writing failed may be there twice.
        if (seq < position) continue
        position = seq + 1
        const record = parseRecord(lines, start, end)
        if (record) yield record
        bytes += end - start
        if (bytes > BYTES_PER_TURN) {
          bytes = 0
          await nextTurn()
        }
      }
    }
  } finally {
    await cursor.close()
  }
}

async function firstPosition(folder: string, files: LogFiles, options: ReadOptions): Promise<LogPosition> {
  const { from = 1, writtenSinceMs } = options
  if (writtenSinceMs === undefined) return from
  try {
    const first = await firstWrittenSince(files, await listSegments(files, folder), writtenSinceMs)
    return Math.max(from, first?.firstSeq ?? from)
  } catch (error) {
    // Retention may have removed a segment between listing and reading.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return from
    throw error
  }
}

export function ignore(): void {}
