// What happened to one prediction. Its id says when it was made, so older segments are not read, and the rest is searched
// as bytes: only lines that hold the id are parsed.
import { idTimeMs } from '../core/index.js'
import { BlockReader } from './block-reader.js'
import { type LogFiles, realFiles } from './files.js'
import { ignore } from './read.js'
import { listSegments, readPrefix, type Segment } from './segment.js'
import { parseRecord } from './stored-record.js'
import type { LogPosition, PredictionTrace, StoredLateCall, StoredOutcome, StoredPrediction } from './types.js'

const NEWLINE = 10
// A record is written after its request was answered, and wall clocks are set back now and then.
const SLACK_MS = 10 * 60_000

/** The prediction with its late calls and outcomes, of any of its rows; undefined when the log holds nothing of it. */
export async function findPrediction(
  folder: string,
  id: string,
  files: LogFiles = realFiles,
): Promise<PredictionTrace | undefined> {
  let prediction: StoredPrediction | undefined
  const calls: StoredLateCall[] = []
  const outcomes: StoredOutcome[] = []
  const needle = Buffer.from(JSON.stringify(id).slice(0, -1))
  const seen = new Set<LogPosition>()

  for (const segment of await segmentsSince(files, folder, idTimeMs(id))) {
    const reader = await BlockReader.open(files, segment, ignore)
    try {
      for (let block = await reader?.next(); block; block = await reader?.next()) {
        const { lines } = block
        for (let at = lines.indexOf(needle); at !== -1; ) {
          const end = lines.indexOf(NEWLINE, at)
          const record = parseRecord(lines, lines.lastIndexOf(NEWLINE, at) + 1, end)
          if (record && !seen.has(record.seq)) {
            seen.add(record.seq)
            if (record.kind === 'prediction' && record.id === id) prediction = record
            else if (record.kind === 'call' && record.prediction === id) calls.push(record)
            else if (record.kind === 'outcome' && isOf(record, id)) outcomes.push(record)
          }
          at = lines.indexOf(needle, end)
        }
      }
    } finally {
      await reader?.close()
    }
  }
  return prediction || calls.length > 0 || outcomes.length > 0 ? { prediction, calls, outcomes } : undefined
}

/** An outcome names the prediction, or one row of it as `id#row`. */
function isOf(outcome: StoredOutcome, id: string): boolean {
  return outcome.prediction === id || outcome.prediction.startsWith(`${id}#`)
}

/** Segments that can hold records made at `timeMs` or later, in order; all of them when the time is unknown. */
async function segmentsSince(files: LogFiles, folder: string, timeMs: number | undefined): Promise<Segment[]> {
  const segments = await listSegments(files, folder)
  if (timeMs === undefined) return segments
  for (let i = segments.length - 1; i > 0; i--) {
    const startedMs = await firstTimeMs(files, segments[i]!)
    if (startedMs !== undefined && startedMs < timeMs - SLACK_MS) return segments.slice(i)
  }
  return segments
}

/** When a segment's first record was made; undefined for an empty segment. */
async function firstTimeMs(files: LogFiles, segment: Segment): Promise<number | undefined> {
  const bytes = Buffer.alloc(512)
  let file: Awaited<ReturnType<LogFiles['open']>> | undefined
  try {
    file = await files.open(segment.path, 'r')
    const read = await file.read(bytes, 0, bytes.length, 0)
    return readPrefix(bytes, 0, read)?.timeMs
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  } finally {
    await file?.close()
  }
}
