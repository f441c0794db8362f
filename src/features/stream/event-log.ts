// The events of stream sources, as they were taken in. It is what windows are rebuilt from, and what offline reads of a source that has
// no batch source.
//
// The stored format. A source has a folder, `<folder>/<source>/`, with
//   log.json                    {"id":"…","madeMs":…}: made with the folder; the partition that pushed events have, so that a folder that was
//                               lost and made again is not taken for the old one
//   0000000000000001.ndjson     segments, in order; one event a line, as DuckDB reads with
//       read_json(files, format = 'newline_delimited', columns = {partition: 'VARCHAR', "offset": 'BIGINT', event_ms: 'BIGINT',
//                 known_ms: 'BIGINT', id: 'VARCHAR', "row": 'STRUCT(amount DOUBLE, …)'})
//   0000000000000001.json       where the segment begins: {"<partition>":<offset of its next event>}
// and a line is
//   {"partition":"…","offset":12,"event_ms":…,"known_ms":…,"id":"p-17","row":{"amount":9.5}}
// `id` is null without an `eventId` column. `row` has every declared column, null where there is none; whole numbers beyond 2^53 are
// decimal text, infinities are "Infinity" and "-Infinity", timestamps are milliseconds, lists and vectors are arrays. Offsets of a
// partition rise, with gaps. Late events are in it (who reads counts those with known_ms - event_ms <= lateness), and so is an event
// that was pushed twice (of one id, the one with the smallest known_ms counts, then the smallest offset).
import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  stat,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises'
import path from 'node:path'
import type { Platform } from '../../core/index.js'
import { FeatureErrors } from '../errors.js'
import { Turns } from '../online/turns.js'
import { decodeEvent, encodeEvent } from './event-line.js'
import type { EventLog, LoggedEvent, StreamPositions } from './types.js'

export interface EventLogOptions {
  readonly platform: Platform
  /** `<dataDir>/features/events`. */
  readonly folder: string
  /** How long the events of a source stay; undefined keeps them. Whole segments go, so they stay up to a segment longer. */
  readonly retentionMs: (source: string) => number | undefined
  /** Default 64 MiB. */
  readonly segmentBytes?: number
  /** Default 1 day. */
  readonly segmentMs?: number
}

/** What the ingestor needs beyond appending and listing. */
export interface PositionedEventLog extends EventLog {
  /** The partition of events that have none of their own. */
  partition(source: string): Promise<string>
  /** Offsets that come next, by partition. */
  head(source: string): Promise<StreamPositions>
  /** Appends events that know their place. Those that the log has already, by partition and offset, are left out. */
  appendAt(source: string, events: readonly LoggedEvent[]): Promise<void>
  /** Events from positions on, in the order they were appended, in batches; partitions that are not named from their beginning. Ends at what was the head when it began. */
  read(source: string, from: StreamPositions): AsyncIterable<readonly LoggedEvent[]>
  /** Every event that was known since then is in it. */
  sinceMs(source: string): Promise<number>
  /** Of the newest event by event time in the last segment; undefined without any. */
  newestEventMs(source: string): Promise<number | undefined>
}

/** Opens lazily: a source's folder is made, and its torn tail cut, when the source is first used. */
export function createEventLog(options: EventLogOptions): PositionedEventLog {
  const sources = new Map<string, Promise<SourceLog>>()
  const open = (source: string) => {
    let opened = sources.get(source)
    if (!opened) {
      opened = SourceLog.open(options, source)
      // A folder that could not be opened is tried again.
      opened.catch(() => sources.delete(source))
      sources.set(source, opened)
    }
    return opened
  }
  return {
    async append(source, events) {
      const log = await open(source)
      await log.append(
        events.map((event) => ({ ...event, partition: log.id, offset: -1 })),
        true,
      )
    },
    appendAt: async (source, events) => (await open(source)).append(events, false),
    partition: async (source) => (await open(source)).id,
    head: async (source) => ({ ...(await open(source)).head }),
    async *read(source, from) {
      yield* (await open(source)).read(from)
    },
    sinceMs: async (source) => (await open(source)).sinceMs(),
    newestEventMs: async (source) => (await open(source)).newestEventMs,
    files: async (source) => (await open(source)).files(),
    async close() {
      for (const log of sources.values()) await log.then((opened) => opened.close()).catch(() => undefined)
    },
  }
}

const SEGMENT = /^\d{16}\.ndjson$/
/** Lines that are parsed in one turn: a few milliseconds of work. */
const READ_BYTES = 128 << 10
const NEWLINE = 10
const NO_BYTES = Buffer.alloc(0)
/** Of the memory for what is being written, what stays between two appends. */
const KEPT_BYTES = 4 << 20

interface Segment {
  readonly number: number
  /** Offsets that its first events have, by partition. */
  readonly begins: Record<string, number>
  sizeBytes: number
}

class SourceLog {
  newestEventMs: number | undefined
  head: Record<string, number> = {}
  readonly #segments: Segment[] = []
  #file: FileHandle | undefined
  #startedMs = 0
  /** What is being written; used again, because memory beside the heap makes the collector go over all of the heap. */
  #bytes = NO_BYTES
  #working: Promise<void> = Promise.resolve()

  private constructor(
    private readonly options: EventLogOptions,
    private readonly source: string,
    private readonly folder: string,
    readonly id: string,
    private readonly madeMs: number,
  ) {}

  static async open(options: EventLogOptions, source: string): Promise<SourceLog> {
    const folder = path.join(options.folder, source)
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const { id, madeMs } = await identify(folder, options.platform)
      const log = new SourceLog(options, source, folder, id, madeMs)
      await log.#recover()
      return log
    } catch (error) {
      throw FeatureErrors.EVENT_LOG_FAILED({ source, problem: String(error) }, error)
    }
  }

  /** One at a time, in order. `numbered`: the log gives the offsets. */
  append(events: readonly LoggedEvent[], numbered: boolean): Promise<void> {
    const done = this.#working.then(() => this.#append(events, numbered))
    this.#working = done.catch(() => undefined)
    return done
  }

  async #append(events: readonly LoggedEvent[], numbered: boolean): Promise<void> {
    const head = { ...this.head }
    let newest = this.newestEventMs
    let text = ''
    let sizeBytes = 0
    const turns = new Turns(this.options.platform.clock)
    for (const event of events) {
      const pause = turns.next()
      if (pause) {
        sizeBytes = this.#encode(text, sizeBytes)
        text = ''
        await pause
      }
      const next = head[event.partition] ?? 0
      const offset = numbered ? next : event.offset
      if (offset < next) continue
      head[event.partition] = offset + 1
      if (newest === undefined || event.eventMs > newest) newest = event.eventMs
      text += encodeEvent(event, offset)
    }
    sizeBytes = this.#encode(text, sizeBytes)
    if (sizeBytes === 0) return
    try {
      await this.#roll()
      const segment = this.#segments.at(-1)!
      const file = this.#file!
      for (let done = 0; done < sizeBytes; ) {
        done += (await file.write(this.#bytes, done, sizeBytes - done, segment.sizeBytes + done)).bytesWritten
      }
      await file.datasync()
      segment.sizeBytes += sizeBytes
      this.head = head
      this.newestEventMs = newest
    } catch (error) {
      // After a failed sync the file's pages may be gone: it is closed and its end is read again before the next append.
      await this.#file?.close().catch(() => undefined)
      this.#file = undefined
      throw FeatureErrors.EVENT_LOG_FAILED({ source: this.source, problem: String(error) }, error)
    } finally {
      if (this.#bytes.length > KEPT_BYTES) this.#bytes = NO_BYTES
    }
  }

  /** Puts text behind the first `sizeBytes` of what is to be written; says where it ends. */
  #encode(text: string, sizeBytes: number): number {
    const mostBytes = sizeBytes + 3 * text.length
    if (mostBytes > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(mostBytes, 2 * this.#bytes.length))
      this.#bytes.copy(larger, 0, 0, sizeBytes)
      this.#bytes = larger
    }
    return sizeBytes + this.#bytes.write(text, sizeBytes)
  }

  /** Opens the segment to append to, a new one when the last is full or old. */
  async #roll(): Promise<void> {
    const { segmentBytes = 64 << 20, segmentMs = 86_400_000, platform } = this.options
    const nowMs = platform.clock.nowMs()
    const last = this.#segments.at(-1)
    if (last && last.sizeBytes < segmentBytes && nowMs - this.#startedMs < segmentMs) {
      if (this.#file) return
      await truncate(this.#pathOf(last), last.sizeBytes)
      this.#file = await open(this.#pathOf(last), 'r+')
      return
    }
    await this.#file?.close()
    this.#file = undefined
    const segment: Segment = { number: (last?.number ?? 0) + 1, begins: { ...this.head }, sizeBytes: 0 }
    await writeWhole(this.#beginsOf(segment), JSON.stringify(segment.begins))
    this.#file = await open(this.#pathOf(segment), 'w+', 0o600)
    await syncFolder(this.folder)
    this.#segments.push(segment)
    this.#startedMs = nowMs
    await this.#forget(nowMs)
  }

  /** Removes segments whose last event is past the retention. The newest one stays: it knows the offsets. */
  async #forget(nowMs: number): Promise<void> {
    const retentionMs = this.options.retentionMs(this.source)
    if (retentionMs === undefined) return
    while (this.#segments.length > 1) {
      const oldest = this.#segments[0]!
      const { mtimeMs } = await stat(this.#pathOf(oldest))
      if (mtimeMs > nowMs - retentionMs) return
      await unlink(this.#pathOf(oldest))
      await unlink(this.#beginsOf(oldest))
      this.#segments.shift()
    }
  }

  async *read(from: StreamPositions): AsyncGenerator<readonly LoggedEvent[]> {
    // Those there are now; a retention that removes one while it is read ends this with an error, and its reader starts again.
    const segments = this.#segments.map((segment) => ({ ...segment }))
    for (let i = 0; i < segments.length; i++) {
      const next = segments[i + 1]
      const isBehind =
        next && Object.entries(next.begins).every(([partition, offset]) => offset <= (from[partition] ?? 0))
      if (isBehind) continue
      for await (const lines of readLines(this.#pathOf(segments[i]!), segments[i]!.sizeBytes)) {
        const events: LoggedEvent[] = []
        for (const line of lines) {
          const event = decodeEvent(line)
          if (event.offset >= (from[event.partition] ?? 0)) events.push(event)
        }
        if (events.length > 0) yield events
      }
    }
  }

  async sinceMs(): Promise<number> {
    const oldest = this.#segments[0]
    if (oldest === undefined) return this.madeMs
    for await (const [line] of readLines(this.#pathOf(oldest), oldest.sizeBytes)) {
      const { knownMs } = decodeEvent(line!)
      return oldest.number === 1 ? Math.min(this.madeMs, knownMs) : knownMs
    }
    return this.madeMs
  }

  files(): string[] {
    return this.#segments.filter(({ sizeBytes }) => sizeBytes > 0).map((segment) => this.#pathOf(segment))
  }

  async close(): Promise<void> {
    await this.#working
    await this.#file?.close()
    this.#file = undefined
  }

  async #recover(): Promise<void> {
    const names = await readdir(this.folder)
    for (const name of names.filter((one) => SEGMENT.test(one)).sort()) {
      const number = Number(name.slice(0, 16))
      const begins = JSON.parse(await readFile(path.join(this.folder, `${name.slice(0, 16)}.json`), 'utf8')) as Record<
        string,
        number
      >
      const { size } = await stat(path.join(this.folder, name))
      this.#segments.push({ number, begins, sizeBytes: size })
    }
    const last = this.#segments.at(-1)
    if (!last) return
    this.#startedMs = (await stat(this.#beginsOf(last))).mtimeMs
    this.head = { ...last.begins }
    let whole = 0
    for await (const lines of readLines(this.#pathOf(last), last.sizeBytes)) {
      for (const line of lines) {
        const event = readEvent(line)
        if (event === undefined) {
          await this.#cut(last, whole)
          return
        }
        whole += Buffer.byteLength(line) + 1
        this.head[event.partition] = event.offset + 1
        if (this.newestEventMs === undefined || event.eventMs > this.newestEventMs) this.newestEventMs = event.eventMs
      }
    }
    if (whole < last.sizeBytes) await this.#cut(last, whole)
  }

  async #cut(segment: Segment, sizeBytes: number): Promise<void> {
    this.options.platform.logger.warn(
      { source: this.source, bytes: segment.sizeBytes - sizeBytes },
      'the event log ended in the middle of an event, which was never acknowledged; cut there',
    )
    await truncate(this.#pathOf(segment), sizeBytes)
    segment.sizeBytes = sizeBytes
  }

  #pathOf({ number }: Segment): string {
    return path.join(this.folder, `${String(number).padStart(16, '0')}.ndjson`)
  }

  #beginsOf({ number }: Segment): string {
    return path.join(this.folder, `${String(number).padStart(16, '0')}.json`)
  }
}

function readEvent(line: string): LoggedEvent | undefined {
  try {
    return decodeEvent(line)
  } catch {
    return undefined
  }
}

/** Whole lines in [0, sizeBytes), in batches. */
async function* readLines(file: string, sizeBytes: number): AsyncGenerator<string[]> {
  const handle = await open(file, 'r')
  try {
    let rest = Buffer.alloc(0)
    for (let at = 0; at < sizeBytes; ) {
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, sizeBytes - at))
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at)
      if (bytesRead === 0) return
      at += bytesRead
      const bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
      const end = bytes.lastIndexOf(NEWLINE)
      rest = bytes.subarray(end + 1)
      if (end > 0) yield bytes.toString('utf8', 0, end).split('\n')
    }
  } finally {
    await handle.close()
  }
}

interface Identity {
  readonly id: string
  readonly madeMs: number
}

async function identify(folder: string, { ids, clock }: Platform): Promise<Identity> {
  const file = path.join(folder, 'log.json')
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Identity
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const identity = { id: ids.next(), madeMs: clock.nowMs() }
    await writeWhole(file, JSON.stringify(identity))
    return identity
  }
}

/** There whole or not at all. */
async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600, flush: true })
  await rename(`${file}.new`, file)
}

async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
