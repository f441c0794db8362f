// What this process has admitted of each caller: counted exactly, and taken from blocks that the owner of the data folder hands out,
// so that nearly every request is admitted without waiting for anybody.
import type { Counter, Family, Platform, Timer } from '../../core/index.js'
import { AccessErrors } from '../errors.js'
import type { StoredKey } from '../keys.js'
import type { Caller, Meter } from '../types.js'
import type { Days } from './days.js'
import type { Limits, UsageCount } from './types.js'

export interface MetersOptions {
  readonly platform: Pick<Platform, 'clock' | 'logger' | 'metrics'>
  readonly days: Days
  readonly limits: Limits
}

/** Counts are handed over, and what is not used is given back, so often. */
const TICK_MS = 1000
/** Requests of a rate that are fetched at once: those of a fiftieth of a second. */
const FETCHES_PER_SECOND = 50
/** Requests that were fetched and not used by then are worth nothing: else an idle process would save them up. */
const REQUESTS_KEEP_MS = 1000
/** Metrics with more series than that are of no use to anybody. */
const MAX_TENANTS = 100
/** Who was told that nothing is left is told so again without asking. */
const DENIED_MS = 200

export class Meters {
  readonly #open = new Set<CallerMeter>()
  readonly #tenants = new Set<string>()
  readonly #rows: Family<Counter>
  #isAway = false
  readonly limited: { readonly rate: Counter; readonly quota: Counter }
  #tick: Timer | undefined
  #isClosed = false

  constructor(readonly options: MetersOptions) {
    const limited = options.platform.metrics.counter({
      name: 'headrace_access_limited_total',
      help: 'Requests and predictions that were refused because a rate or a quota was used up.',
      labels: ['limit'],
    })
    this.#rows = options.platform.metrics.counter({
      name: 'headrace_access_rows_total',
      help: 'Rows that callers were let in with, by tenant: the first hundred by name, the others together.',
      labels: ['tenant'],
    })
    this.limited = { rate: limited.with('rate'), quota: limited.with('quota') }
  }

  of({ id, tenant }: Pick<Caller, 'id' | 'tenant'>, key: StoredKey | undefined): Meter {
    if (this.#tenants.size < MAX_TENANTS) this.#tenants.add(tenant)
    return new CallerMeter(this, id, key, this.#rows.with(this.#tenants.has(tenant) ? tenant : 'other'))
  }

  /** It has something to hand over. */
  opened(meter: CallerMeter): void {
    this.#open.add(meter)
    if (this.#tick !== undefined || this.#isClosed) return
    this.#tick = this.options.platform.clock.after(TICK_MS, () => {
      this.#tick = undefined
      void this.flush(false)
    })
  }

  /** Hands over what was counted; with `everything`, also what is held to be used. Never rejects. */
  async flush(everything: boolean): Promise<void> {
    const counts: UsageCount[] = []
    const meters = [...this.#open]
    this.#open.clear()
    for (const meter of meters) meter.takeCounts(counts)
    const gaveBack = meters.map((meter) => meter.giveBack(everything))
    try {
      if (counts.length > 0) await this.options.limits.count(counts)
      this.#isAway = false
    } catch (error) {
      if (!this.#isAway)
        this.options.platform.logger.warn(
          { err: error },
          'what callers used cannot be counted yet, and is kept until it can',
        )
      this.#isAway = true
      for (const meter of meters) meter.putBack(counts)
    }
    await Promise.all(gaveBack)
    for (const meter of meters) if (!meter.isSettled) this.opened(meter)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#tick?.cancel()
    await this.flush(true)
  }
}

interface Used {
  readonly day: string
  readonly endpoint: string
  predictions: number
  rows: number
}

class CallerMeter implements Meter {
  readonly #name: string
  readonly #perSecond: number | null
  readonly #burst: number
  readonly #quota: number | null
  #requests = 0
  #requestsAtMs = Number.NEGATIVE_INFINITY
  #limitedUntilMs = Number.NEGATIVE_INFINITY
  #fetching: Promise<void> | undefined
  /** Rows reserved of `#day` and not used. */
  #rows = 0
  #day = ''
  #usedMs = Number.NEGATIVE_INFINITY
  /** So many rows were not to be had, until when. */
  #deniedRows = Number.POSITIVE_INFINITY
  #deniedUntilMs = Number.NEGATIVE_INFINITY
  #reserving: Promise<void> | undefined
  #used: Used[] = []

  constructor(
    private readonly meters: Meters,
    private readonly id: string,
    key: StoredKey | undefined,
    private readonly counter: Counter,
  ) {
    this.#name = key?.name ?? id
    this.#perSecond = key?.ratePerSecond ?? null
    this.#burst = key?.burst ?? Math.max(1, key?.ratePerSecond ?? 1)
    this.#quota = key?.quotaPerDay ?? null
  }

  get isSettled(): boolean {
    return this.#used.length === 0 && this.#rows === 0
  }

  admitRequest(): void | Promise<void> {
    if (this.#perSecond === null) return undefined
    if (this.#takeRequest()) return undefined
    return this.#fetchRequests(this.#perSecond)
  }

  admitRows(endpoint: string, rows: number): void | Promise<void> {
    const day = this.meters.options.days.today().name
    if (this.#quota === null) {
      this.#count(day, endpoint, rows)
      return undefined
    }
    if (day === this.#day && this.#rows >= rows) {
      this.#takeRows(endpoint, rows)
      return undefined
    }
    return this.#reserveRows(endpoint, rows, this.#quota)
  }

  takeCounts(counts: UsageCount[]): void {
    for (const { day, endpoint, predictions, rows } of this.#used)
      counts.push({ day, caller: this.id, endpoint, predictions, rows })
    this.#used = []
  }

  /** Of counts that could not be handed over, its own. */
  putBack(counts: readonly UsageCount[]): void {
    for (const { caller, day, endpoint, predictions, rows } of counts)
      if (caller === this.id) this.#add(day, endpoint, predictions, rows)
  }

  /** What was not used for a while, or is of another day. Never rejects. */
  async giveBack(everything: boolean): Promise<void> {
    const { clock, logger } = this.meters.options.platform
    const isIdle = clock.monotonicMs() - this.#usedMs >= TICK_MS
    if (this.#rows === 0 || !(everything || isIdle)) return
    const rows = this.#rows
    this.#rows = 0
    try {
      await this.meters.options.limits.giveBackRows(this.id, this.#day, rows)
    } catch (error) {
      logger.warn({ err: error, key: this.id, rows }, 'rows of a quota could not be given back')
    }
  }

  #takeRequest(): boolean {
    if (this.#requests < 1 || this.#nowMs() - this.#requestsAtMs > REQUESTS_KEEP_MS) return false
    this.#requests--
    return true
  }

  async #fetchRequests(perSecond: number): Promise<void> {
    for (;;) {
      const waitMs = this.#limitedUntilMs - this.#nowMs()
      if (waitMs > 0) {
        this.meters.limited.rate.inc()
        throw AccessErrors.RATE_LIMITED({ name: this.#name, limit: perSecond, retryAfterMs: Math.ceil(waitMs) })
      }
      this.#fetching ??= this.#fetch(perSecond).finally(() => {
        this.#fetching = undefined
      })
      await this.#fetching
      if (this.#takeRequest()) return
    }
  }

  async #fetch(perSecond: number): Promise<void> {
    const burst = this.#burst
    const want = Math.max(1, Math.min(Math.floor(burst / 4), Math.ceil(perSecond / FETCHES_PER_SECOND)))
    const { granted, retryAfterMs } = await this.meters.options.limits.takeRequests({
      key: this.id,
      perSecond,
      burst,
      want,
    })
    this.#requests = granted
    this.#requestsAtMs = this.#nowMs()
    this.#limitedUntilMs = granted > 0 ? Number.NEGATIVE_INFINITY : this.#nowMs() + retryAfterMs
  }

  async #reserveRows(endpoint: string, rows: number, limit: number): Promise<void> {
    const { days, platform } = this.meters.options
    for (;;) {
      const day = days.today()
      if (day.name !== this.#day) {
        await this.giveBack(true)
        if (this.#day !== day.name) {
          this.#day = day.name
          this.#deniedUntilMs = Number.NEGATIVE_INFINITY
        }
      }
      if (this.#rows >= rows) {
        this.#takeRows(endpoint, rows)
        return
      }
      if (rows >= this.#deniedRows && this.#nowMs() < this.#deniedUntilMs) {
        this.meters.limited.quota.inc()
        const retryAfterMs = Math.max(1000, day.endsMs - platform.clock.nowMs())
        throw AccessErrors.QUOTA_EXCEEDED({ name: this.#name, limit, rows, retryAfterMs })
      }
      this.#reserving ??= this.#reserve(rows, limit).finally(() => {
        this.#reserving = undefined
      })
      await this.#reserving
    }
  }

  async #reserve(rows: number, limit: number): Promise<void> {
    const day = this.#day
    const need = rows - this.#rows
    const granted = await this.meters.options.limits.reserveRows({ key: this.id, day, limit, need })
    if (granted > 0 && day !== this.#day) {
      // Midnight has passed meanwhile: they are of the day before.
      await this.meters.options.limits.giveBackRows(this.id, day, granted)
      return
    }
    this.#rows += granted
    this.#usedMs = this.#nowMs()
    if (granted > 0) this.meters.opened(this)
    this.#deniedRows = granted > 0 ? Number.POSITIVE_INFINITY : rows
    this.#deniedUntilMs = granted > 0 ? Number.NEGATIVE_INFINITY : this.#nowMs() + DENIED_MS
  }

  #takeRows(endpoint: string, rows: number): void {
    this.#rows -= rows
    this.#usedMs = this.#nowMs()
    this.#count(this.#day, endpoint, rows)
  }

  #count(day: string, endpoint: string, rows: number): void {
    this.counter.inc(rows)
    this.#add(day, endpoint, 1, rows)
  }

  #add(day: string, endpoint: string, predictions: number, rows: number): void {
    const used = this.#used
    for (let i = 0; i < used.length; i++) {
      const entry = used[i]!
      if (entry.endpoint !== endpoint || entry.day !== day) continue
      entry.predictions += predictions
      entry.rows += rows
      return
    }
    used.push({ day, endpoint, predictions, rows })
    this.meters.opened(this)
  }

  #nowMs(): number {
    return this.meters.options.platform.clock.monotonicMs()
  }
}
