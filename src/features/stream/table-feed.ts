// One table and one stream: how far the table has taken it in. The position in the online store, committed with what it led to, is the truth:
// it is read before every batch, so that nothing is taken in twice or left out after a crash, a failed write or a store that came back empty.
import type { Platform, Timer } from '../../core/index.js'
import type { WindowEngine } from '../aggregate/types.js'
import type { CompiledWindowView } from '../compiled.js'
import type { OnlineStore, OnlineTable } from '../online/types.js'
import type { EventCheck } from './check-event.js'
import type { LoggedEvent, PositionedEventLog } from './event-log.js'
import { feedTable, fromStored, toStored } from './feed.js'
import type { StreamMetrics } from './stream-metrics.js'
import type { StreamPositions } from './types.js'

export interface TableFeedOptions {
  readonly platform: Platform
  readonly store: OnlineStore
  readonly log: PositionedEventLog
  readonly engineOf: (view: CompiledWindowView) => WindowEngine
  readonly metrics: StreamMetrics
  /** Name of the stream source. */
  readonly source: string
  readonly check: EventCheck
  readonly table: OnlineTable
  /** Events before it are the batch source's. */
  readonly seamMs: number | null
  /** The store has nothing of the table any more. */
  readonly onLost: () => void
  /** Runs work while no batch of the source is taken in. */
  readonly exclusive: <T>(work: () => Promise<T>) => Promise<T>
}

/** Events taken in at once: a few milliseconds of work. */
const SLICE = 500
const RETRY_MS = 1_000

/** `current`: takes batches as they come. `behind`: catches up from the log. `lost`: nothing more is written. */
type Standing = 'current' | 'behind' | 'lost' | 'closed'

export class TableFeed {
  #standing: Standing = 'current'
  #catchingUp: Promise<void> | undefined
  #retry: Timer | undefined

  constructor(private readonly options: TableFeedOptions) {}

  get table(): OnlineTable {
    return this.options.table
  }

  /** Newly logged events that begin at the positions `from`. Never rejects: what fails now is caught up with from the log. */
  async take(
    events: readonly LoggedEvent[],
    from: StreamPositions,
    head: StreamPositions,
  ): Promise<readonly LoggedEvent[]> {
    if (this.#standing !== 'current') return []
    try {
      const stored = await this.#position()
      if (stored === undefined) return []
      if (isBefore(stored, from)) {
        this.#fallBehind()
        return []
      }
      return await this.#feed(events, stored, head)
    } catch (error) {
      this.options.platform.logger.warn(
        { err: error, table: this.table.name },
        'events could not be taken into the online store; they are in the event log and are caught up with',
      )
      this.#fallBehind()
      return []
    }
  }

  /** Resolves when the table has everything that was in the log when it was asked. Rejects when the store fails. */
  async catchUp(): Promise<void> {
    if (this.#standing === 'lost' || this.#standing === 'closed') return
    this.#standing = 'behind'
    this.#catchingUp ??= this.#catchUpAll().finally(() => {
      this.#catchingUp = undefined
    })
    await this.#catchingUp
  }

  close(): void {
    this.#standing = 'closed'
    this.#retry?.cancel()
    this.options.metrics.forget(this.table.name)
  }

  #fallBehind(): void {
    if (this.#standing !== 'current' && this.#standing !== 'behind') return
    this.#standing = 'behind'
    const attempt = () =>
      this.catchUp().catch((error: unknown) => {
        if (this.#standing === 'closed') return
        this.options.platform.logger.warn({ err: error, table: this.table.name }, 'catching up failed; trying again')
        this.#retry = this.options.platform.clock.after(RETRY_MS, attempt)
      })
    void attempt()
  }

  async #catchUpAll(): Promise<void> {
    const { source, log, exclusive } = this.options
    // What is far behind is read while new events go on arriving, the rest while they wait.
    for (let round = 0; round < 3; round++) await this.#catchUpOnce()
    await exclusive(async () => {
      await this.#catchUpOnce()
      if (this.#standing !== 'behind') return
      this.#standing = 'current'
      this.#tellLag(await log.head(source), (await this.#position()) ?? {})
    })
  }

  async #catchUpOnce(): Promise<void> {
    const { log, source, check } = this.options
    const stored = await this.#position()
    if (stored === undefined) return
    const head = await log.head(source)
    if (!isBefore(stored, head)) return
    this.#tellLag(head, stored)
    let at: StreamPositions = stored
    for await (const logged of log.read(source, stored)) {
      for (let i = 0; i < logged.length; i += SLICE) {
        if (this.#standing !== 'behind') return
        const slice = logged.slice(i, i + SLICE).map((event) => check.restore(event))
        await this.#feed(slice, at, after(slice))
        at = { ...at, ...after(slice) }
        await nextTurn()
      }
    }
  }

  async #feed(
    events: readonly LoggedEvent[],
    stored: StreamPositions,
    head: StreamPositions,
  ): Promise<readonly LoggedEvent[]> {
    const { store, engineOf, source, check, table, seamMs, platform, metrics } = this.options
    const duplicates: LoggedEvent[] = []
    let at = stored
    for (let i = 0; i < Math.max(events.length, 1); i += SLICE) {
      const isLast = i + SLICE >= events.length
      const slice = events.slice(i, i + SLICE)
      const counting = slice.filter(
        (event) =>
          event.offset >= (stored[event.partition] ?? 0) &&
          !check.isLate(event) &&
          (seamMs === null || event.eventMs >= seamMs),
      )
      // Positions never go back: another partition may be further than what this batch knows.
      at = furthest(at, isLast ? head : after(slice))
      const position = { stream: source, at: toStored(at) }
      const fed = await feedTable(store, engineOf, table, counting, position, platform.clock.nowMs())
      duplicates.push(...fed.duplicates)
      for (const { eventMs } of counting) metrics.saw(table.view.name, eventMs)
      if (!isLast) await nextTurn()
    }
    metrics.lag(table.name, 0)
    return duplicates
  }

  /** undefined: the store lost the table, which has been told. */
  async #position(): Promise<StreamPositions | undefined> {
    const { store, table, source, onLost } = this.options
    const stored = await store.position(table, source)
    if (stored !== undefined) return fromStored(stored)
    // Nothing was ever taken in, or nothing is there any more: the mark, which is as old as the table, says which.
    if ((await store.readMark(table)) !== undefined) return {}
    if (this.#standing !== 'closed') {
      this.#standing = 'lost'
      onLost()
    }
    return undefined
  }

  #tellLag(head: StreamPositions, stored: StreamPositions): void {
    let events = 0
    for (const partition in head) events += Math.max(0, head[partition]! - (stored[partition] ?? 0))
    this.options.metrics.lag(this.table.name, events)
  }
}

/** Whether something lies between what was taken in and `from`. */
function isBefore(stored: StreamPositions, from: StreamPositions): boolean {
  for (const partition in from) if ((stored[partition] ?? 0) < from[partition]!) return true
  return false
}

function after(events: readonly LoggedEvent[]): StreamPositions {
  const positions: Record<string, number> = {}
  for (const { partition, offset } of events) positions[partition] = Math.max(positions[partition] ?? 0, offset + 1)
  return positions
}

function furthest(a: StreamPositions, b: StreamPositions): StreamPositions {
  const positions: Record<string, number> = { ...a }
  for (const partition in b) positions[partition] = Math.max(positions[partition] ?? 0, b[partition]!)
  return positions
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
