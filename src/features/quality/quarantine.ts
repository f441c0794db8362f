// Rows that broke a rule, kept in a folder: segments of JSON lines, of which the oldest goes when there are too many. Dropping is
// counted, so the counts stay true. What was put survives the process being killed; a line torn by a kill is left out.
import { createReadStream } from 'node:fs'
import { appendFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Platform } from '../../core/index.js'
import type { QuarantinedRow } from '../stream/types.js'
import type { KeptRow, QuarantineFilter, QuarantineStore } from './types.js'

export interface QuarantineOptions {
  /** Absolute. */
  readonly folder: string
  readonly platform: Platform
  /** Default 100,000. */
  readonly maxRows?: number
  /** Default 64 MiB. */
  readonly maxBytes?: number
}

/** Dropping goes by segments: this many make up the whole, so at most that share of it goes at once. */
const SEGMENTS = 16
const MAX_ROW_CHARS = 64 * 1024

interface Segment {
  readonly number: number
  rows: number
  bytes: number
  /** Rows by source or view, then reason. */
  readonly counts: Counts
}

type Counts = Map<string, { readonly of: string; readonly reason: string; rows: number }>

/** What was dropped, and through which segment: written before the segment goes, so that a kill in between counts it once. */
interface Dropped {
  readonly through: number
  readonly counts: readonly { readonly of: string; readonly reason: string; readonly rows: number }[]
}

/**
 * Opens the quarantine of one process. Metric ml_feature_quarantined_total{of,reason}.
 *
 * ```ts
 * const quarantine = await createQuarantine({ folder: '/data/quarantine', platform })
 * await quarantine.put([{ of: 'orders', reason: 'range amount', problem: 'amount is -1', atMs: 0, row: '{"amount":-1}' }])
 * ```
 */
export async function createQuarantine(options: QuarantineOptions): Promise<QuarantineStore> {
  const quarantine = new FileQuarantine(options)
  await quarantine.open()
  return quarantine
}

class FileQuarantine implements QuarantineStore {
  readonly #folder: string
  readonly #maxRows: number
  readonly #maxBytes: number
  readonly #total
  readonly #dropped: Counts = new Map()
  #droppedThrough = 0
  #segments: Segment[] = []
  #nextId = 1
  /** Changes and readings one after the other: a reading never meets a segment that is being written anew. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: QuarantineOptions) {
    this.#folder = options.folder
    this.#maxRows = options.maxRows ?? 100_000
    this.#maxBytes = options.maxBytes ?? 64 * 1024 * 1024
    this.#total = options.platform.metrics.counter({
      name: 'ml_feature_quarantined_total',
      help: 'Rows put into quarantine',
      labels: ['of', 'reason'],
    })
  }

  async open(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const text = await readFile(this.#droppedPath, 'utf8').catch(() => undefined)
    if (text !== undefined) {
      const dropped = JSON.parse(text) as Dropped
      this.#droppedThrough = dropped.through
      for (const { of, reason, rows } of dropped.counts) add(this.#dropped, of, reason, rows)
    }
    const numbers = (await readdir(this.#folder))
      .flatMap((name) => /^(\d+)\.ndjson$/.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b)
    this.#nextId = 1
    for (const number of numbers) {
      if (number <= this.#droppedThrough) {
        await rm(this.#path(number), { force: true })
        continue
      }
      const segment: Segment = { number, rows: 0, bytes: 0, counts: new Map() }
      for await (const row of this.#read(segment)) {
        count(segment, row)
        segment.bytes += lineOf(row).length
        this.#nextId = Math.max(this.#nextId, row.id + 1)
      }
      this.#segments.push(segment)
    }
    // A segment that a kill may have torn is not written on.
    if (this.#segments.length > 0) this.#addSegment()
  }

  put(rows: readonly QuarantinedRow[]): Promise<void> {
    return this.#inTurn(async () => {
      for (let from = 0; from < rows.length; ) {
        const segment = this.#room()
        let text = ''
        let at = from
        for (; at < rows.length && this.#fits(segment); at++) {
          const kept: KeptRow = { ...rows[at]!, row: rows[at]!.row.slice(0, MAX_ROW_CHARS), id: this.#nextId++ }
          const line = lineOf(kept)
          text += line
          segment.bytes += line.length
          count(segment, kept)
          this.#total.with(kept.of, kept.reason).inc()
        }
        await appendFile(this.#path(segment.number), text)
        from = at
        await this.#dropOldest()
      }
    })
  }

  list(filter: QuarantineFilter & { readonly limit?: number }): Promise<readonly KeptRow[]> {
    return this.#inTurn(async () => {
      const { limit = 100 } = filter
      const takes = predicate(filter)
      const out: KeptRow[] = []
      for (let i = this.#segments.length - 1; i >= 0 && out.length < limit; i--) {
        const found: KeptRow[] = []
        for await (const row of this.#read(this.#segments[i]!)) if (takes(row)) found.push(row)
        found.reverse()
        out.push(...found.slice(0, limit - out.length))
      }
      return out
    })
  }

  counts(): ReturnType<QuarantineStore['counts']> {
    return this.#inTurn(async () => {
      const kept: Counts = new Map()
      for (const segment of this.#segments) {
        for (const { of, reason, rows } of segment.counts.values()) add(kept, of, reason, rows)
      }
      const all = new Map([...this.#dropped, ...kept])
      return [...all.entries()]
        .map(([key, { of, reason }]) => ({
          of,
          reason,
          rows: kept.get(key)?.rows ?? 0,
          dropped: this.#dropped.get(key)?.rows ?? 0,
        }))
        .sort((a, b) => (a.of === b.of ? compare(a.reason, b.reason) : compare(a.of, b.of)))
    })
  }

  remove(filter: QuarantineFilter): Promise<number> {
    return this.#inTurn(async () => {
      const takes = predicate(filter)
      let removed = 0
      for (let i = 0; i < this.#segments.length; i++) {
        const segment = this.#segments[i]!
        const after: Segment = { number: segment.number, rows: 0, bytes: 0, counts: new Map() }
        let text = ''
        for await (const row of this.#read(segment)) {
          if (takes(row)) continue
          const line = lineOf(row)
          text += line
          after.bytes += line.length
          count(after, row)
        }
        if (after.rows === segment.rows) continue
        removed += segment.rows - after.rows
        await replace(this.#path(segment.number), text)
        this.#segments[i] = after
      }
      return removed
    })
  }

  async close(): Promise<void> {
    await this.#turn
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => undefined)
    return result
  }

  #fits(segment: Segment): boolean {
    return segment.rows < Math.ceil(this.#maxRows / SEGMENTS) && segment.bytes < this.#maxBytes / SEGMENTS
  }

  #room(): Segment {
    const last = this.#segments.at(-1)
    return last && this.#fits(last) ? last : this.#addSegment()
  }

  #addSegment(): Segment {
    const number = (this.#segments.at(-1)?.number ?? this.#droppedThrough) + 1
    const segment: Segment = { number, rows: 0, bytes: 0, counts: new Map() }
    this.#segments.push(segment)
    return segment
  }

  async #dropOldest(): Promise<void> {
    for (;;) {
      const rows = this.#segments.reduce((sum, segment) => sum + segment.rows, 0)
      const bytes = this.#segments.reduce((sum, segment) => sum + segment.bytes, 0)
      if ((rows <= this.#maxRows && bytes <= this.#maxBytes) || this.#segments.length < 2) return
      const oldest = this.#segments[0]!
      for (const { of, reason, rows: gone } of oldest.counts.values()) add(this.#dropped, of, reason, gone)
      this.#droppedThrough = oldest.number
      const dropped: Dropped = { through: oldest.number, counts: [...this.#dropped.values()] }
      await replace(this.#droppedPath, JSON.stringify(dropped))
      await rm(this.#path(oldest.number), { force: true })
      this.#segments.shift()
    }
  }

  async *#read(segment: Segment): AsyncGenerator<KeptRow> {
    const lines = createInterface({
      input: createReadStream(this.#path(segment.number)),
      crlfDelay: Number.POSITIVE_INFINITY,
    })
    try {
      for await (const line of lines) {
        try {
          yield JSON.parse(line) as KeptRow
        } catch {
          // The last line of a killed process: it was never acknowledged.
        }
      }
    } catch (error) {
      // A segment is made by its first row.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }

  #path(number: number): string {
    return join(this.#folder, `${String(number).padStart(8, '0')}.ndjson`)
  }

  get #droppedPath(): string {
    return join(this.#folder, 'dropped.json')
  }
}

const lineOf = (row: KeptRow): string => `${JSON.stringify(row)}\n`

function predicate(filter: QuarantineFilter): (row: KeptRow) => boolean {
  const ids = filter.ids && new Set(filter.ids)
  return (row) =>
    (filter.of === undefined || row.of === filter.of) &&
    (filter.reason === undefined || row.reason === filter.reason) &&
    (ids === undefined || ids.has(row.id))
}

function add(counts: Counts, of: string, reason: string, rows: number): void {
  const key = JSON.stringify([of, reason])
  const known = counts.get(key)
  if (known) known.rows += rows
  else counts.set(key, { of, reason, rows })
}

function count(segment: Segment, row: KeptRow): void {
  segment.rows++
  add(segment.counts, row.of, row.reason, 1)
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Whole or not at all. */
async function replace(path: string, text: string): Promise<void> {
  const beside = `${path}.new`
  await writeFile(beside, text, { flush: true })
  await rename(beside, path)
}
