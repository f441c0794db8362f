// One of several servers leads: it runs what must run once, such as the releases' controller. No wall clock is asked, because those
// of two machines need not agree. The leader raises a counter in the metadata store; another takes over once it has seen the same
// counter for a whole lease on its own monotonic clock, by compare-and-set. The leader counts its lease from before it asked for the
// counter to be raised, so it has given up before anybody else can have waited that long, however slow its question was.
//
// A leader that stood still may wake with work half done: whatever it writes carries its term and is refused when another leads
// (`requireTerm`). So two may think that they lead for a moment when clocks run at different speeds, but only one can act.
import { HeadraceError, type Platform, type Stop } from '../core/index.js'
import type { Sql } from '../store/index.js'
import { type LeaseRow, type LeaseStore, leaderMigrations, sqlLeaseStore } from './leader-table.js'

export interface LeaderLeaseOptions {
  readonly sql: Sql
  readonly platform: Pick<Platform, 'clock' | 'ids' | 'logger'>
  /** What is led: `releases`. */
  readonly name: string
  /** Who this is, for people: the node's id. Another process of the same holder is another contender. */
  readonly holder: string
  /** Default 6,000. How long it takes at least until another leads when a leader is gone. */
  readonly leaseMs?: number
}

export interface LeaderLease {
  /** While this process leads: the number of its leadership, which grows with every change of leader. Asks the clock each time. */
  term(): number | undefined
  /** Told when this process begins to lead and when it ceases to. */
  watch(change: (term: number | undefined) => void): Stop
  /** Gives up at once, so that another need not wait. */
  close(): Promise<void>
}

const LEASE_MS = 6_000
/** Clocks may run this much apart in speed. */
const DRIFT = 0.1
/** A leader asks so often within a lease. */
const ASKS = 4

/** Resolves when the table is there and the first question was asked. */
export async function createLeaderLease(options: LeaderLeaseOptions): Promise<LeaderLease> {
  const { sql, platform, name, holder, leaseMs } = options
  await sql.migrate('leader', leaderMigrations)
  const contender = new Contender(sqlLeaseStore(sql, name), platform, name, `${holder}/${platform.ids.next()}`, leaseMs)
  await contender.start()
  return contender
}

/** The rule alone, on whatever keeps the row. */
export class Contender implements LeaderLease {
  readonly #watchers = new Set<(term: number | undefined) => void>()
  /** What is in the store as far as this process knows, and since when it has known. */
  #seen: LeaseRow | undefined
  #seenSinceMs = 0
  /** The lease of `#ownTerm` ends then. */
  #untilMs = Number.NEGATIVE_INFINITY
  #ownTerm: number | undefined
  #told: number | undefined
  #isClosed = false
  #asking: Promise<void> | undefined
  #timer: { cancel(): void } | undefined
  #expiry: { cancel(): void } | undefined

  constructor(
    private readonly store: LeaseStore,
    private readonly platform: Pick<Platform, 'clock' | 'logger'>,
    private readonly name: string,
    private readonly self: string,
    private readonly leaseMs = LEASE_MS,
  ) {}

  async start(): Promise<void> {
    await this.#turn()
  }

  term(): number | undefined {
    if (this.#ownTerm === undefined || this.platform.clock.monotonicMs() >= this.#untilMs) return undefined
    return this.#ownTerm
  }

  watch(change: (term: number | undefined) => void): Stop {
    const watcher = (term: number | undefined) => change(term)
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timer?.cancel()
    this.#expiry?.cancel()
    await this.#asking
    const seen = this.#seen
    const wasLeading = this.#ownTerm !== undefined
    this.#ownTerm = undefined
    this.#tell()
    if (!wasLeading || seen?.holder !== this.self) return
    // Whoever waits takes over when the lease has ended, if this does not arrive.
    await this.store.swap(seen, { ...seen, holder: '', counter: seen.counter + 1 }).catch(() => false)
  }

  async #turn(): Promise<void> {
    const { clock, logger } = this.platform
    this.#asking = this.#ask().catch((error: unknown) => {
      if (!(error instanceof HeadraceError && error.retry))
        logger.warn({ err: error, lease: this.name }, 'the leader could not be asked for')
      // Whether the counter was raised is not known: it is read before it is raised again.
      this.#seen = undefined
    })
    await this.#asking
    this.#asking = undefined
    this.#tell()
    if (!this.#isClosed) this.#timer = clock.after(this.leaseMs / ASKS, () => void this.#turn())
  }

  async #ask(): Promise<void> {
    const { clock } = this.platform
    const askedMs = clock.monotonicMs()
    const known = this.#seen
    if (known?.holder === this.self && this.#ownTerm === known.term) {
      const next = { ...known, counter: known.counter + 1 }
      if (await this.store.swap(known, next)) {
        this.#lead(next, askedMs)
        return
      }
    }
    const row = await this.store.read()
    if (known === undefined || !isSame(row, known)) this.#seenSinceMs = clock.monotonicMs()
    this.#seen = row
    // One that was its own before an answer got lost is so still: nobody else has raised the term.
    const isOwn = row.holder === this.self && row.term === this.#ownTerm
    if (!isOwn) this.#ownTerm = undefined
    if (this.#isClosed) return
    const isFree = row.holder === '' || clock.monotonicMs() - this.#seenSinceMs >= this.leaseMs
    if (!isOwn && !isFree) return
    const next = { holder: this.self, term: isOwn ? row.term : row.term + 1, counter: row.counter + 1 }
    const tookMs = clock.monotonicMs()
    if (await this.store.swap(row, next)) this.#lead(next, tookMs)
    else this.#seen = undefined
  }

  #lead(row: LeaseRow, askedMs: number): void {
    this.#seen = row
    this.#seenSinceMs = askedMs
    this.#ownTerm = row.term
    this.#untilMs = askedMs + this.leaseMs * (1 - DRIFT)
    this.#expiry?.cancel()
    this.#expiry = this.platform.clock.after(this.#untilMs - this.platform.clock.monotonicMs(), () => this.#tell())
  }

  #tell(): void {
    const term = this.term()
    if (term === this.#told) return
    this.#told = term
    for (const watcher of [...this.#watchers]) watcher(term)
  }
}

function isSame(one: LeaseRow, other: LeaseRow): boolean {
  return one.term === other.term && one.counter === other.counter && one.holder === other.holder
}
