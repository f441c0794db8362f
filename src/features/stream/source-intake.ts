// One stream source: a bounded queue of pushes, and turns that write a batch to the event log and feed it to the tables.
import type { Platform } from '../../core/index.js'
import type { WindowEngine } from '../aggregate/types.js'
import type { CompiledView, CompiledWindowView, FeatureProject } from '../compiled.js'
import type { StreamSource } from '../definitions/source.js'
import { FeatureErrors } from '../errors.js'
import type { Tables } from '../materialise/tables.js'
import { Turns } from '../online/turns.js'
import type { OnlineStore } from '../online/types.js'
import type { createEventRules } from '../quality/row-rules.js'
import { createEventCheck, problemOf } from './check-event.js'
import type { PositionedEventLog } from './event-log.js'
import { keyOf } from './feed.js'
import type { StreamMetrics } from './stream-metrics.js'
import { streamOf, TableFeed } from './table-feed.js'
import type {
  ArrivedEvent,
  IngestReport,
  LoggedEvent,
  PlacedEvent,
  Quarantine,
  QuarantinedRow,
  StreamEvent,
} from './types.js'

export interface IngestorOptions {
  readonly platform: Platform
  readonly project: FeatureProject
  readonly store: OnlineStore
  readonly tables: Tables
  readonly log: PositionedEventLog
  readonly quarantine: Pick<Quarantine, 'put'>
  readonly metrics: StreamMetrics
  readonly engineOf: (view: CompiledWindowView) => WindowEngine
  /** The store came back empty under a table of this view; asked for once per loss. */
  readonly onLost?: (view: CompiledView) => void
  /** Events of one source that may wait; default 50,000. */
  readonly maxWaiting?: number
}

export interface IntakeOptions extends IngestorOptions {
  readonly rules: ReturnType<typeof createEventRules>
}

export interface SourceIntake {
  push(events: readonly ArrivedEvent[]): Promise<IngestReport>
  take(partition: string, events: readonly PlacedEvent[], through: number): Promise<IngestReport>
  position(partition: string): Promise<number | undefined>
  catchUp(tableName: string): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

/** Events that one write and sync of the log take at most, unless one push has more. */
const BATCH = 4_000
/** Events checked before others get a turn. */
const CHECK_SLICE = 250
const RETRY_AFTER_MS = 1_000
const MAX_PROBLEMS = 10
const MAX_ROW_CHARS = 64 * 1024

interface Problem {
  readonly index: number
  readonly code: string
  readonly problem: string
}

interface Waiting {
  readonly events: readonly StreamEvent[]
  readonly done: (duplicates: ReadonlySet<StreamEvent>) => void
  readonly failed: (error: unknown) => void
}

export function createSourceIntake(
  options: IntakeOptions,
  source: StreamSource,
  views: readonly CompiledView[],
): SourceIntake {
  return new Intake(options, source, views)
}

class Intake implements SourceIntake {
  readonly #check
  readonly #feeds = new Map<string, TableFeed>()
  readonly #stop: () => void
  #queue: Waiting[] = []
  #waiting = 0
  #isTurning = false
  #isClosed = false
  /** Work of the source one after the other: batches, and the last step of catching up. */
  #line: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly options: IntakeOptions,
    private readonly source: StreamSource,
    private readonly views: readonly CompiledView[],
  ) {
    this.#check = createEventCheck(source)
    this.#stop = options.tables.watch(() => this.#follow())
    this.#follow()
  }

  async push(arrived: readonly ArrivedEvent[]): Promise<IngestReport> {
    const { maxWaiting = 50_000 } = this.options
    // One push alone may be larger: it is bounded where it came in.
    if (this.#isClosed || (this.#waiting > 0 && this.#waiting + arrived.length > maxWaiting)) {
      const params = { source: this.source.name, waiting: this.#waiting, retryAfterMs: RETRY_AFTER_MS }
      throw FeatureErrors.INGEST_OVERLOADED(params)
    }
    this.#waiting += arrived.length
    try {
      const { events, problems } = await this.#checked(arrived)
      const duplicates =
        events.length === 0
          ? new Set<StreamEvent>()
          : await new Promise<ReadonlySet<StreamEvent>>((done, failed) => {
              this.#queue.push({ events, done, failed })
              void this.#turns()
            })
      return this.#report(events, problems, duplicates)
    } finally {
      this.#waiting -= arrived.length
    }
  }

  async take(partition: string, placed: readonly PlacedEvent[], through: number): Promise<IngestReport> {
    const { events, problems, indexes } = await this.#checked(placed)
    const logged = events.map((event, i) => ({ ...event, partition, offset: placed[indexes[i]!]!.offset }))
    const duplicates = await this.#exclusive(async () => {
      await this.options.log.appendAt(this.source.name, logged)
      return this.#feed(logged, partition, undefined, through, true)
    })
    return this.#report(logged, problems, duplicates)
  }

  async position(partition: string): Promise<number | undefined> {
    const { log, store } = this.options
    let lowest: number | undefined
    for (const { table } of this.#feeds.values()) {
      const stored = (await store.position(table, streamOf(this.source.name, partition)))?.[partition]
      // A table that has nothing yet takes in what the log has.
      const offset = stored === undefined ? (await log.head(this.source.name))[partition] : Number(stored)
      if (offset === undefined) return undefined
      if (lowest === undefined || offset < lowest) lowest = offset
    }
    return lowest
  }

  async catchUp(tableName: string): Promise<void> {
    await this.#feeds.get(tableName)?.catchUp()
  }

  async start(): Promise<void> {
    const { log, metrics, store, tables } = this.options
    const newest = await log.newestEventMs(this.source.name)
    for (const view of this.views) if (newest !== undefined && tables.live(view)) metrics.saw(view.name, newest)
    // A topic's records come again from where the tables are, to whichever replica has the partition. Tables that no other replica has take
    // from the own log what it has: the topic may have it no more, nor does a table know its position before its first checkpoint.
    if (this.source.kind === 'kafka' && store.kind === 'redis') return
    // Those that fail are tried again by themselves.
    await Promise.allSettled([...this.#feeds.values()].map((feed) => feed.catchUp()))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#line
    this.#stop()
    for (const feed of this.#feeds.values()) feed.close()
  }

  /** Feeds for the tables that are written to now. */
  #follow(): void {
    const { tables, onLost } = this.options
    const wanted = new Set<string>()
    for (const view of this.views) {
      for (const table of tables.writing(view)) {
        wanted.add(table.name)
        if (this.#feeds.has(table.name)) continue
        const feed = new TableFeed({
          ...this.options,
          source: this.source.name,
          check: this.#check,
          table,
          seamMs: tables.generation(table.name)?.row.seam_ms ?? null,
          onLost: () => {
            tables.lost(table.name)
            onLost?.(view)
          },
          exclusive: (work) => this.#exclusive(work),
        })
        this.#feeds.set(table.name, feed)
      }
    }
    for (const [name, feed] of this.#feeds) {
      if (wanted.has(name)) continue
      feed.close()
      this.#feeds.delete(name)
    }
  }

  async #checked(arrived: readonly ArrivedEvent[]) {
    const { platform, quarantine, rules } = this.options
    const refused: QuarantinedRow[] = []
    const problems: Problem[] = []
    const events: StreamEvent[] = []
    const indexes: number[] = []
    const refuse = (index: number, code: string, reason: string, problem: string) => {
      problems.push({ index, code, problem })
      const row = rowText(arrived[index]!.row)
      refused.push({ of: this.source.name, reason, problem, atMs: platform.clock.nowMs(), row })
    }
    for (let from = 0; from < arrived.length; from += CHECK_SLICE) {
      if (from > 0) await new Promise((resolve) => setImmediate(resolve))
      const until = Math.min(from + CHECK_SLICE, arrived.length)
      const slice: { readonly event: StreamEvent; readonly index: number }[] = []
      for (let index = from; index < until; index++) {
        try {
          const event = this.#check.check(arrived[index]!)
          if (this.views.length > 0 && this.views.every((view) => keyOf(view, event) === undefined)) {
            const keys = [...new Set(this.views.map((view) => view.keys.map(({ name }) => name).join(' and ')))]
            throw FeatureErrors.EVENT_KEY_MISSING({ source: this.source.name, keys: keys.join(', or ') })
          }
          slice.push({ event, index })
        } catch (error) {
          const { code, problem } = problemOf(error)
          refuse(index, code, code, problem)
        }
      }
      const rows = slice.map(({ event }) => event.row)
      const breaches = new Map(rules(this.source, rows).map((breach) => [breach.index, breach]))
      slice.forEach(({ event, index }, i) => {
        const breach = breaches.get(i)
        if (breach) refuse(index, 'FEATURE_EXPECTATION_BROKEN', breach.reason, breach.problem)
        else {
          events.push(event)
          indexes.push(index)
        }
      })
    }
    if (refused.length > 0) await quarantine.put(refused)
    return { events, problems, indexes }
  }

  async #turns(): Promise<void> {
    if (this.#isTurning) return
    this.#isTurning = true
    while (this.#queue.length > 0) {
      const batch: Waiting[] = []
      let size = 0
      while (this.#queue.length > 0 && (batch.length === 0 || size + this.#queue[0]!.events.length <= BATCH)) {
        const next = this.#queue.shift()!
        batch.push(next)
        size += next.events.length
      }
      await this.#exclusive(() => this.#turn(batch))
    }
    this.#isTurning = false
  }

  async #turn(batch: readonly Waiting[]): Promise<void> {
    try {
      const { log, platform } = this.options
      const { name } = this.source
      const partition = await log.partition(name)
      let offset = (await log.head(name))[partition] ?? 0
      const from = offset
      const logged: LoggedEvent[] = []
      const turns = new Turns(platform.clock)
      for (const { events } of batch) {
        for (const event of events) {
          const { eventMs, knownMs, id, row } = event
          logged.push({ eventMs, knownMs, id, row, partition, offset: offset++ })
          const pause = turns.next()
          if (pause) await pause
        }
      }
      await log.appendAt(name, logged)
      const duplicates = await this.#feed(logged, partition, from, offset, false)
      let at = 0
      for (const { events, done } of batch) {
        const own = new Set<StreamEvent>()
        for (const event of events) if (duplicates.has(logged[at++]!)) own.add(event)
        done(own)
      }
    } catch (error) {
      for (const { failed } of batch) failed(error)
    }
  }

  async #feed(
    logged: readonly LoggedEvent[],
    partition: string,
    from: number | undefined,
    head: number,
    redelivered: boolean,
  ): Promise<Set<StreamEvent>> {
    const duplicates = new Set<StreamEvent>()
    for (const feed of this.#feeds.values()) {
      for (const event of await feed.take(logged, partition, from, head, redelivered)) duplicates.add(event)
    }
    return duplicates
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#line.then(work)
    this.#line = done.catch(() => undefined)
    return done
  }

  #report(
    events: readonly StreamEvent[],
    problems: readonly Problem[],
    duplicates: ReadonlySet<StreamEvent>,
  ): IngestReport {
    const late = events.reduce((n, event) => n + (this.#check.isLate(event) ? 1 : 0), 0)
    const accepted = events.length - late - duplicates.size
    const { metrics } = this.options
    const { name } = this.source
    metrics.count(name, 'accepted', accepted)
    metrics.count(name, 'late', late)
    metrics.count(name, 'duplicate', duplicates.size)
    metrics.count(name, 'refused', problems.length)
    return {
      accepted,
      late,
      duplicates: duplicates.size,
      refused: problems.length,
      problems: problems.slice(0, MAX_PROBLEMS),
    }
  }
}

function rowText(row: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(row, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)) ?? ''
  return text.slice(0, MAX_ROW_CHARS)
}
