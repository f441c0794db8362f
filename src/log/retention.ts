// Retention: rewrites sealed segments without what has expired. An endpoint's share of a segment goes when the last record
// of it has expired, so a segment is rewritten once per endpoint and term, not bit by bit. Positions stay; a segment is
// replaced in one step, and readers that have the old one open finish it.
import { dirname, join } from 'node:path'
import type { Logger } from '../core/index.js'
import { type Block, BlockReader, type Damage } from './block-reader.js'
import type { LogFile, LogFiles } from './files.js'
import { nextTurn } from './next-turn.js'
import { DEFAULT_POLICY } from './options.js'
import { commitLine, listSegments, readPrefix, type Segment, unfinishedName } from './segment.js'
import { createFresh } from './segment-writer.js'
import type { LogPolicy, LogPosition, RetentionReport } from './types.js'

const NEWLINE = 10
const DAY_MS = 24 * 60 * 60_000
const WRITE_BYTES = 256 * 1024
// A line costs about a microsecond to look at; blocks can have tens of thousands.
const LINES_PER_TURN = 1000
// Quotes inside a record's strings are escaped, so the first occurrence in a line is the payload itself.
const PAYLOAD_MARK = Buffer.from(',"payload":{')
const PAYLOAD_GONE = Buffer.from(',"payload":null,"payloadDropped":"retention"}\n')

/** What one endpoint has in a segment. */
interface Share {
  records: number
  payloads: number
  newestMs: number
}

interface Summary {
  /** By endpoint as it stands in the lines (JSON text); decisions, which have none, are under ''. */
  readonly shares: ReadonlyMap<string, Share>
  /** A damaged segment is evidence: it is not rewritten, only removed when all that can be read has expired. */
  readonly isDamaged: boolean
}

type Action = 'keep' | 'strip' | 'remove'

export interface RetentionParts {
  readonly files: LogFiles
  readonly folder: string
  readonly logger: Logger
  policy(endpoint: string): LogPolicy
  onDamage(damage: Damage): void
}

export class Retention {
  /** A sealed segment changes only here, so it is read once. */
  readonly #summaries = new Map<string, Summary>()
  #isStopped = false

  constructor(private readonly parts: RetentionParts) {}

  /** One pass over all segments but the newest. */
  async run(nowMs: number): Promise<RetentionReport> {
    const report = { removedSegments: 0, rewrittenSegments: 0, removedRecords: 0, removedPayloads: 0 }
    const segments = await listSegments(this.parts.files, this.parts.folder)
    for (const segment of segments.slice(0, -1)) {
      if (this.#isStopped) break
      try {
        await this.#runOn(segment, nowMs, report)
      } catch (error) {
        // The others may still be done, and this one is tried again in the next pass.
        this.parts.logger.error({ err: error, segment: segment.name }, 'Applying retention to a log segment failed')
      }
    }
    return report
  }

  /** A pass that is running ends after the segment it is at. */
  stop(): void {
    this.#isStopped = true
  }

  async #runOn(
    segment: Segment,
    nowMs: number,
    report: { -readonly [K in keyof RetentionReport]: number },
  ): Promise<void> {
    const summary = this.#summaries.get(segment.name) ?? (await this.#summarize(segment))
    this.#summaries.set(segment.name, summary)
    const actions = this.#plan(summary, nowMs)
    const isEmptied = [...actions.values()].every((action) => action === 'remove')
    const isChanged = [...actions.values()].some((action) => action !== 'keep')
    if (!isEmptied && (!isChanged || summary.isDamaged)) return

    if (isEmptied) {
      await this.parts.files.remove(segment.path)
      await this.parts.files.syncFolder(this.parts.folder)
      report.removedSegments++
    } else {
      await this.#rewrite(segment, actions)
      report.rewrittenSegments++
    }
    this.#summaries.delete(segment.name)
    for (const [endpoint, action] of actions) {
      const share = summary.shares.get(endpoint)!
      if (action === 'remove') report.removedRecords += share.records
      if (action !== 'keep') report.removedPayloads += share.payloads
    }
  }

  #plan(summary: Summary, nowMs: number): Map<string, Action> {
    const actions = new Map<string, Action>()
    for (const [endpoint, share] of summary.shares) {
      // The metadata store keeps the decisions themselves; their copies here go by the default term.
      const policy = endpoint === '' ? DEFAULT_POLICY : this.parts.policy(JSON.parse(`"${endpoint}"`) as string)
      const ageDays = (nowMs - share.newestMs) / DAY_MS
      const { retentionDays = Number.POSITIVE_INFINITY } = policy
      const { payloadRetentionDays = retentionDays } = policy
      if (ageDays >= retentionDays) actions.set(endpoint, 'remove')
      else actions.set(endpoint, share.payloads > 0 && ageDays >= payloadRetentionDays ? 'strip' : 'keep')
    }
    return actions
  }

  async #summarize(segment: Segment): Promise<Summary> {
    const shares = new Map<string, Share>()
    let isDamaged = false
    await this.#eachBlock(
      segment,
      (damage) => {
        isDamaged = true
        this.parts.onDamage(damage)
      },
      (block) =>
        eachLine(block.lines, (start, end) => {
          const prefix = readPrefix(block.lines, start, end)
          if (!prefix) return
          const endpoint = prefix.endpoint ?? ''
          let share = shares.get(endpoint)
          if (!share) {
            share = { records: 0, payloads: 0, newestMs: 0 }
            shares.set(endpoint, share)
          }
          share.records++
          if (block.lines.subarray(start, end).includes(PAYLOAD_MARK)) share.payloads++
          if (prefix.timeMs > share.newestMs) share.newestMs = prefix.timeMs
        }),
    )
    return { shares, isDamaged }
  }

  async #rewrite(segment: Segment, actions: ReadonlyMap<string, Action>): Promise<void> {
    const { files, folder } = this.parts
    const unfinished = join(dirname(segment.path), unfinishedName(segment.name))
    const file = await createFresh(files, unfinished)
    try {
      const out = new SequentialWriter(file)
      let last: Block | undefined
      let writtenSeq: LogPosition = -1
      const writeBlock = async (lines: Buffer, block: Block): Promise<void> => {
        await out.add(lines)
        await out.add(Buffer.from(commitLine(lines, block.lastSeq, block.timeMs)))
        writtenSeq = block.lastSeq
      }
      await this.#eachBlock(segment, this.parts.onDamage, async (block) => {
        last = block
        const lines = await keptLines(block.lines, actions)
        if (lines.length > 0) await writeBlock(lines, block)
      })
      // Positions must never be given out twice, so the end of the segment is stated even when its last records are gone.
      if (last && last.lastSeq !== writtenSeq) await writeBlock(Buffer.alloc(0), last)
      await out.finish()
    } finally {
      await file.close()
    }
    await files.rename(unfinished, segment.path)
    await files.syncFolder(folder)
  }

  async #eachBlock(
    segment: Segment,
    onDamage: (damage: Damage) => void,
    visit: (block: Block) => Promise<void>,
  ): Promise<void> {
    const reader = await BlockReader.open(this.parts.files, segment, onDamage)
    try {
      for (let block = await reader?.next(); block; block = await reader?.next()) await visit(block)
      await reader?.reportTail()
    } finally {
      await reader?.close()
    }
  }
}

/** Visits each line, [start, end) without its newline, letting the event loop serve others in between. */
async function eachLine(lines: Buffer, visit: (start: number, end: number) => void): Promise<void> {
  let count = 0
  for (let start = 0, end = 0; start < lines.length; start = end + 1) {
    end = lines.indexOf(NEWLINE, start)
    visit(start, end)
    if (++count % LINES_PER_TURN === 0) await nextTurn()
  }
}

/** A copy of the lines that stay, without the payloads that go. */
async function keptLines(lines: Buffer, actions: ReadonlyMap<string, Action>): Promise<Buffer> {
  const parts: Buffer[] = []
  await eachLine(lines, (start, end) => {
    const prefix = readPrefix(lines, start, end)
    const action = prefix ? actions.get(prefix.endpoint ?? '') : 'keep'
    if (action === 'remove') return
    const line = lines.subarray(start, end + 1)
    const payloadAt = action === 'strip' ? line.indexOf(PAYLOAD_MARK) : -1
    if (payloadAt === -1) parts.push(line)
    else parts.push(line.subarray(0, payloadAt), PAYLOAD_GONE)
  })
  return Buffer.concat(parts)
}

/** Gathers small pieces into larger writes, then syncs. */
class SequentialWriter {
  #pieces: Buffer[] = []
  #bytes = 0
  #position = 0

  constructor(private readonly file: LogFile) {}

  async add(piece: Buffer): Promise<void> {
    this.#pieces.push(piece)
    this.#bytes += piece.length
    if (this.#bytes >= WRITE_BYTES) await this.#flush()
  }

  async finish(): Promise<void> {
    await this.#flush()
    await this.file.datasync()
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#bytes = 0
    for (let done = 0; done < bytes.length; ) {
      const written = await this.file.write(bytes, done, bytes.length - done, this.#position)
      if (written === 0) throw new Error('the disk accepted no bytes')
      done += written
      this.#position += written
    }
  }
}
