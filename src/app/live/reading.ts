// The live window of this node, kept by reading the log, so that requests pay nothing for it; and only while somebody looks: the first
// question starts the reading, two minutes without one end it. Who belongs to a tenant has a window of that tenant's records, which
// begins with its first question.
import type { Platform, Stop, Timer } from '../../core/index.js'
import type { FileLog, StoredRecord } from '../../log/index.js'
import { AppErrors } from '../errors.js'
import type { EndpointCounts, EndpointDetails } from './counts.js'
import { LiveWindow, windowStart } from './live-window.js'

export interface Counted {
  readonly nowMs: number
  readonly sinceMs: number
  readonly isCatchingUp: boolean
}

export interface CountedOverview extends Counted {
  readonly endpoints: readonly EndpointCounts[]
  readonly uncounted: number
}

export interface CountedEndpoint extends Counted {
  readonly endpoint: EndpointDetails
}

/** Of all records with the tenant `''`. Throws APP_LIVE_BUSY. */
export interface Reading {
  overview(tenant: string): Promise<CountedOverview>
  endpoint(tenant: string, name: string): Promise<CountedEndpoint>
  close(): void
}

export interface ReadingOptions {
  readonly platform: Pick<Platform, 'clock'>
  readonly log: Pick<FileLog, 'durableThrough' | 'subscribe'>
}

interface Audience {
  readonly window: LiveWindow
  /** Wall time from which on every record was counted. */
  startedMs: number
  /** There were none before. */
  isWhole: boolean
  /** On the monotonic clock. */
  askedMs: number
  /** What was written before its first question is still being read. */
  catchingUp: Stop | undefined
}

const IDLE_MS = 120_000
/** After so long all that was counted is older than the window. */
const FORGET_MS = 15 * 60_000
/** Records that are read when somebody begins to look: of more, only the newest. A fifth of a second's work, in pieces of a millisecond. */
const MAX_BEHIND = 20_000
/** A question waits so long for the reading to catch up, so that the first answer says something. */
const MAX_WAIT_MS = 500
/** What is durable but not read yet is no news while it is less than this. */
const NEARLY = 500
/** Tenants that are looked at within two minutes. */
const MAX_TENANTS = 20
const MAX_ENDPOINTS_OF_TENANT = 200

export function openReading({ platform: { clock }, log }: ReadingOptions): Reading {
  let everybody = audience()
  const tenants = new Map<string, Audience>()
  /** The next record to read. */
  let position = 1
  /** What was durable when the reading began is worth waiting for to the last record. */
  let wanted = 0
  let reading: { readonly stop: Stop } | undefined
  let waiting: { readonly who: Audience; done(): void }[] = []
  let forgetting: Timer | undefined
  let idling: Timer | undefined

  const isBehind = (who: Audience): boolean => who.catchingUp !== undefined || log.durableThrough() - position >= NEARLY
  const isDue = (who: Audience): boolean => isBehind(who) || position <= wanted

  function audience(maxEndpoints?: number): Audience {
    const askedMs = clock.monotonicMs()
    const window = new LiveWindow(maxEndpoints)
    return { window, startedMs: Number.POSITIVE_INFINITY, isWhole: false, askedMs, catchingUp: undefined }
  }

  function read(): void {
    forgetting?.cancel()
    wanted = log.durableThrough()
    const first = Math.max(1, wanted + 1 - MAX_BEHIND)
    if (first > position) {
      // What was counted before the gap would be followed by minutes without requests that never were.
      everybody = audience()
      position = first
    } else if (position === 1) everybody.isWhole = true
    const mine = { stop: log.subscribe(position, take) }
    reading = mine

    async function take(records: StoredRecord[]): Promise<void> {
      // A batch that was on its way when the reading stopped comes again with the next one.
      if (reading !== mine) return
      begin(everybody, records)
      everybody.window.take(records, clock.nowMs())
      if (tenants.size > 0) share(records)
      position = records.at(-1)!.seq + 1
      wake()
    }
  }

  function share(records: readonly StoredRecord[]): void {
    const byTenant = new Map<string, StoredRecord[]>()
    for (const record of records) {
      if (!('tenant' in record) || !tenants.has(record.tenant)) continue
      const some = byTenant.get(record.tenant)
      if (some) some.push(record)
      else byTenant.set(record.tenant, [record])
    }
    for (const who of tenants.values()) begin(who, records)
    for (const [tenant, some] of byTenant) tenants.get(tenant)!.window.take(some, clock.nowMs())
  }

  function begin(who: Audience, records: readonly StoredRecord[]): void {
    if (who.startedMs === Number.POSITIVE_INFINITY) who.startedMs = records[0]!.timeMs
  }

  /** Throws APP_LIVE_BUSY. */
  function add(tenant: string): Audience {
    for (const [name, { askedMs, catchingUp }] of tenants)
      if (clock.monotonicMs() - askedMs >= IDLE_MS) {
        catchingUp?.()
        tenants.delete(name)
      }
    if (tenants.size >= MAX_TENANTS) throw AppErrors.LIVE_BUSY({ most: MAX_TENANTS })
    const who = audience(MAX_ENDPOINTS_OF_TENANT)
    tenants.set(tenant, who)
    // The reading brings all from here on.
    const until = position
    const first = Math.max(1, until - MAX_BEHIND)
    who.isWhole = first === 1
    if (first >= until) return who
    const stop = log.subscribe(first, async (records) => {
      if (who.catchingUp === undefined) return
      begin(who, records)
      who.startedMs = Math.min(who.startedMs, records[0]!.timeMs)
      const mine = records.filter((record) => record.seq < until && 'tenant' in record && record.tenant === tenant)
      who.window.take(mine, clock.nowMs())
      if (records.at(-1)!.seq < until - 1) return
      who.catchingUp = undefined
      stop()
      wake()
    })
    who.catchingUp = stop
    return who
  }

  function wake(): void {
    const ready = waiting.filter(({ who }) => !isDue(who))
    waiting = waiting.filter(({ who }) => isDue(who))
    for (const { done } of ready) done()
  }

  function stopWhenIdle(): void {
    idling = clock.after(IDLE_MS, () => {
      if (reading === undefined) return
      const askedMs = Math.max(everybody.askedMs, ...[...tenants.values()].map((who) => who.askedMs))
      if (clock.monotonicMs() - askedMs >= IDLE_MS) stop()
      else stopWhenIdle()
    })
  }

  function stop(): void {
    reading?.stop()
    reading = undefined
    for (const { catchingUp } of tenants.values()) catchingUp?.()
    tenants.clear()
    for (const { done } of waiting) done()
    waiting = []
    forgetting = clock.after(FORGET_MS, () => {
      everybody = audience()
    })
  }

  async function asked(tenant: string): Promise<Audience> {
    if (reading === undefined) {
      read()
      stopWhenIdle()
    }
    const who = tenant === '' ? everybody : (tenants.get(tenant) ?? add(tenant))
    who.askedMs = clock.monotonicMs()
    if (isDue(who))
      await new Promise<void>((resolve) => {
        const timer = clock.after(MAX_WAIT_MS, done)
        waiting.push({ who, done })
        function done(): void {
          timer.cancel()
          resolve()
        }
      })
    return who
  }

  function about(who: Audience): Counted {
    const nowMs = clock.nowMs()
    return { nowMs, sinceMs: windowStart(nowMs, who.startedMs), isCatchingUp: isBehind(who) }
  }

  const wholeMs = (who: Audience): number => (who.isWhole ? Number.NEGATIVE_INFINITY : who.startedMs)

  return {
    async overview(tenant) {
      const who = await asked(tenant)
      const counted = about(who)
      const endpoints = who.window.endpoints(counted.nowMs, who.startedMs, wholeMs(who))
      return { ...counted, endpoints, uncounted: who.window.uncounted }
    },
    async endpoint(tenant, name) {
      const who = await asked(tenant)
      const counted = about(who)
      return { ...counted, endpoint: who.window.endpoint(name, counted.nowMs, who.startedMs, wholeMs(who)) }
    },
    close() {
      stop()
      forgetting?.cancel()
      idling?.cancel()
    },
  }
}
