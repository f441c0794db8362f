// One table and one stream: how far the table has taken it in. The position in the online store, committed with what it led to, is the truth:
// it is read before every batch, so that nothing is taken in twice or left out after a crash, a failed write or a store that came back empty.
import { HeadraceError, type Platform, type Timer } from '../../core/index.js'
import type { WindowEngine } from '../aggregate/types.js'
import type { CompiledWindowView } from '../compiled.js'
import type { OnlineStore, OnlineTable } from '../online/types.js'
import type { EventCheck } from './check-event.js'
import type { PositionedEventLog } from './event-log.js'
import { feedTable } from './feed.js'
import type { StreamMetrics } from './stream-metrics.js'
import type { LoggedEvent } from './types.js'

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

/** Events taken in at once: some two milliseconds of work. */
const SLICE = 250
const RETRY_MS = 1_000
const ROUNDS = 3

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

  /**
   * Newly logged events of one partition: the log had everything before `from` (undefined: nothing of it), and has everything before `head` now.
   * Gives those that were in already, by their id. Does not reject when the store fails: what is missing is caught up with from the log, unless
   * they can be `redelivered`, by whoever has the partition then.
   */
  async take(
    events: readonly LoggedEvent[],
    partition: string,
    from: number | undefined,
    head: number,
    redelivered: boolean,
  ): Promise<readonly LoggedEvent[]> {
    if (this.#standing !== 'current') return []
    try {
      const stored = await this.#position(partition)
      if (stored === undefined) return []
      if (from !== undefined && stored < from) {
        this.#fallBehind()
        return []
      }
      return await this.#feed(events, partition, stored, head)
    } catch (error) {
      if (redelivered) throw error
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
    do {
      this.#standing = 'behind'
      this.#catchingUp ??= this.#catchUpAll().finally(() => {
        this.#catchingUp = undefined
      })
      await this.#catchingUp
      // One that was about to end when it was joined may have ended for what came before.
    } while (this.#is('behind'))
  }

  #is(standing: Standing): boolean {
    return this.#standing === standing
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
    const { exclusive } = this.options
    // What is far behind is read while new events go on arriving, the rest while they wait.
    for (let round = 0; round < ROUNDS; round++) await this.#catchUpOnce()
    await exclusive(async () => {
      await this.#catchUpOnce()
      if (this.#standing === 'behind') this.#standing = 'current'
    })
  }

  async #catchUpOnce(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#catchUpFromHere()
      } catch (error) {
        // What a process that was killed had sent on its way came in meanwhile: the position is read again.
        const isMoved = error instanceof HeadraceError && error.code === 'FEATURE_POSITION_MOVED'
        if (!isMoved || attempt === ROUNDS) throw error
      }
    }
  }

  async #catchUpFromHere(): Promise<void> {
    const { log, source, check, metrics } = this.options
    const head = await log.head(source)
    const at: Record<string, number> = {}
    let missing = 0
    for (const partition in head) {
      const stored = await this.#position(partition)
      if (stored === undefined) return
      at[partition] = stored
      missing += Math.max(0, head[partition]! - stored)
    }
    metrics.lag(this.table.name, missing)
    if (missing === 0) return
    for await (const logged of log.read(source, at)) {
      for (let i = 0; i < logged.length; i += SLICE) {
        if (this.#standing !== 'behind') return
        for (const [partition, events] of byPartition(logged.slice(i, i + SLICE))) {
          const restored = events.map((event) => check.restore(event))
          const next = events.at(-1)!.offset + 1
          await this.#feed(restored, partition, at[partition] ?? 0, next)
          at[partition] = next
        }
        await nextTurn()
      }
    }
  }

  async #feed(
    events: readonly LoggedEvent[],
    partition: string,
    stored: number,
    head: number,
  ): Promise<readonly LoggedEvent[]> {
    const { store, engineOf, source, check, table, seamMs, platform, metrics } = this.options
    const duplicates: LoggedEvent[] = []
    let before = stored
    for (let i = 0; i < Math.max(events.length, 1); i += SLICE) {
      const slice = events.slice(i, i + SLICE)
      const isLast = i + SLICE >= events.length
      const next = isLast ? Math.max(stored, head) : slice.at(-1)!.offset + 1
      if (next <= stored && !isLast) continue
      const counting = slice.filter(
        (event) => event.offset >= stored && !check.isLate(event) && (seamMs === null || event.eventMs >= seamMs),
      )
      const position = {
        stream: streamOf(source, partition),
        at: { [partition]: String(next) },
        // Whoever had the partition before may still be writing, or have gone on meanwhile.
        after: before === 0 ? null : { [partition]: String(before) },
      }
      const fed = await feedTable(store, engineOf, table, counting, position, platform.clock.nowMs())
      before = next
      duplicates.push(...fed.duplicates)
      for (const { eventMs } of counting) metrics.saw(table.view.name, eventMs)
      if (!isLast) await nextTurn()
    }
    metrics.lag(table.name, 0)
    return duplicates
  }

  /** The offset that comes next; undefined: the store lost the table, which has been told. */
  async #position(partition: string): Promise<number | undefined> {
    const { store, table, source, onLost } = this.options
    const stored = await store.position(table, streamOf(source, partition))
    if (stored !== undefined) return Number(stored[partition])
    // Nothing was ever taken in, or nothing is there any more: the mark, which is as old as the table, says which.
    if ((await store.readMark(table)) !== undefined) return 0
    if (this.#standing !== 'closed') {
      this.#standing = 'lost'
      onLost()
    }
    return undefined
  }
}

/** Each partition has a position of its own, as replicas that share a store have each their partitions. */
export function streamOf(source: string, partition: string): string {
  return `${source}/${partition}`
}

function byPartition(events: readonly LoggedEvent[]): Map<string, LoggedEvent[]> {
  const groups = new Map<string, LoggedEvent[]>()
  for (const event of events) {
    const group = groups.get(event.partition)
    if (group) group.push(event)
    else groups.set(event.partition, [event])
  }
  return groups
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
