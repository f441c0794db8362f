// The stored format. A log is a folder of segments, `<first position, 16 digits>.ndjson`; a segment is a sequence of
// blocks; a block is record lines and one commit line, written with one write and one sync:
//
//   {"seq":41,"kind":"prediction","timeMs":…,"endpoint":"fraud",…}
//   {"seq":42,"kind":"outcome","timeMs":…,"endpoint":"fraud",…}
//   {"seq":42,"kind":"commit","bytes":617,"timeMs":…,"crc":"1c291ca3"}
//
// `seq` of a commit line is the last position its block covers; `bytes` counts the record lines since the previous commit
// line; `crc` is the CRC-32 of those lines and of the commit line up to `,"crc"`. A block counts only when its CRC is right.
// Blocks find themselves again after damage: `bytes` says where a block begins.
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { LogFiles } from './files.js'
import type { LogPosition } from './types.js'

/** Room for any commit line: 16-digit numbers three times and the fixed text. */
export const COMMIT_LINE_BYTES = 128

export interface Commit {
  readonly lastSeq: LogPosition
  /** Bytes of the record lines before it. */
  readonly bytes: number
  readonly timeMs: number
}

export interface Segment {
  readonly name: string
  readonly path: string
  /** No record of this segment has a lower position, none of the segments before a higher one. */
  readonly firstSeq: LogPosition
}

/** The commit line for a block whose record lines are `lines`. */
export function commitLine(lines: Uint8Array, lastSeq: LogPosition, timeMs: number): string {
  const covered = `{"seq":${lastSeq},"kind":"commit","bytes":${lines.length},"timeMs":${Math.round(timeMs)}`
  return `${covered},"crc":"${crcText(crc32(covered, crc32(lines)))}"}\n`
}

const SEQ_DIGITS_AT = '{"seq":'.length
const MAX_SEQ_TEXT = SEQ_DIGITS_AT + 16
const COMMIT_MARK = Buffer.from(',"kind":"commit","bytes":')
const NEWLINE = 10

/**
 * Where the next complete commit line at or after `from` starts and ends (its newline), or undefined. The mark alone proves
 * nothing, a raw payload may contain it: a commit line starts a line, and no payload does.
 */
export function findCommit(buffer: Buffer, from: number): { start: number; end: number } | undefined {
  for (let mark = buffer.indexOf(COMMIT_MARK, from); mark !== -1; mark = buffer.indexOf(COMMIT_MARK, mark + 1)) {
    let start = mark
    while (start > from && buffer[start - 1] !== NEWLINE && mark - start < MAX_SEQ_TEXT) start--
    if (start > 0 && buffer[start - 1] !== NEWLINE) continue
    const end = buffer.indexOf(NEWLINE, mark)
    return end === -1 ? undefined : { start, end }
  }
  return undefined
}

const COMMIT_LINE =
  /^(\{"seq":(\d{1,16}),"kind":"commit","bytes":(\d{1,16}),"timeMs":(\d{1,16}).*),"crc":"([0-9a-f]{8})"\}$/

/** Reads the commit line at [start, end) of `buffer` and checks its block, which may not begin before `floor`. */
export function readCommit(buffer: Buffer, floor: number, start: number, end: number): Commit | undefined {
  const match = COMMIT_LINE.exec(buffer.toString('latin1', start, end))
  if (!match) return undefined
  const bytes = Number(match[3])
  if (start - bytes < floor) return undefined
  const crc = crc32(buffer.subarray(start - bytes, start + match[1]!.length))
  return crcText(crc) === match[5] ? { lastSeq: Number(match[2]), bytes, timeMs: Number(match[4]) } : undefined
}

function crcText(crc: number): string {
  return crc.toString(16).padStart(8, '0')
}

export function segmentName(firstSeq: LogPosition): string {
  return `${String(firstSeq).padStart(16, '0')}.ndjson`
}

/** What a segment is called while it is being made; left over by a crash, it is removed at the next open. */
export function unfinishedName(name: string): string {
  return `${name}.tmp`
}

/** The folder's segments in order; none when there is no folder. */
export async function listSegments(files: LogFiles, folder: string): Promise<Segment[]> {
  const names = await files.list(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return names
    .filter((name) => /^\d{16}\.ndjson$/.test(name))
    .sort()
    .map((name) => ({ name, path: join(folder, name), firstSeq: Number(name.slice(0, 16)) }))
}

/** What a record line says about itself in its first bytes. */
export interface LinePrefix {
  readonly kind: string
  readonly timeMs: number
  /** JSON text between the quotes; undefined for a decision, which has none. */
  readonly endpoint: string | undefined
}

const PREFIX = /^\{"seq":\d+,"kind":"(\w+)","timeMs":(\d+)(?:\.\d+)?(?:,"endpoint":"((?:[^"\\]|\\.)*)")?/
const PREFIX_BYTES = 512

/** Undefined when the bytes do not begin with a record line. */
export function readPrefix(buffer: Buffer, start: number, end: number): LinePrefix | undefined {
  const match = PREFIX.exec(buffer.toString('utf8', start, Math.min(end, start + PREFIX_BYTES)))
  return match ? { kind: match[1]!, timeMs: Number(match[2]), endpoint: match[3] } : undefined
}

/** The position of the line at `start`; 0 when there is none. */
export function lineSeq(buffer: Buffer, start: number): LogPosition {
  let seq = 0
  for (let at = start + SEQ_DIGITS_AT; at < buffer.length; at++) {
    const digit = buffer[at]! - 48
    if (digit < 0 || digit > 9) break
    seq = seq * 10 + digit
  }
  return seq
}

/** Whether a sealed segment ends with a commit of records before `next`: not after a failed write that could not be cut off. */
export async function endsBefore(files: LogFiles, segment: Segment, next: LogPosition): Promise<boolean> {
  const { sizeBytes, commit } = await endOf(files, segment)
  return sizeBytes === 0 || (commit !== undefined && commit.lastSeq < next)
}

/** The first of some segments that something was written to at `sinceMs` or later; the last one when all are older. */
export async function firstWrittenSince(
  files: LogFiles,
  segments: readonly Segment[],
  sinceMs: number,
): Promise<Segment | undefined> {
  for (const segment of segments.slice(0, -1)) {
    const { commit } = await endOf(files, segment)
    if (commit === undefined || commit.timeMs >= sinceMs) return segment
  }
  return segments.at(-1)
}

/** The commit line that a segment ends with, unchecked; undefined when it ends otherwise. */
async function endOf(files: LogFiles, segment: Segment): Promise<{ sizeBytes: number; commit: Commit | undefined }> {
  const bytes = Buffer.alloc(COMMIT_LINE_BYTES)
  const file = await files.open(segment.path, 'r')
  try {
    const sizeBytes = await file.size()
    const read = await file.read(bytes, 0, bytes.length, Math.max(0, sizeBytes - bytes.length))
    const tail = bytes.toString('latin1', 0, read)
    const line = tail.slice(tail.lastIndexOf('\n', tail.length - 2) + 1, -1)
    const match = COMMIT_LINE.exec(line)
    const commit = match && { lastSeq: Number(match[2]), bytes: Number(match[3]), timeMs: Number(match[4]) }
    return { sizeBytes, commit: commit ?? undefined }
  } finally {
    await file.close()
  }
}
