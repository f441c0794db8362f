// Releases on one node, in the process that owns the data folder: it asks the metadata store once a second what is active (which is what
// leases rest on), watches each release's guards, stops a bad candidate before anything else, and says what this node does.
import type { Clock, Metrics, Platform, Timer } from '../core/index.js'
import { HeadraceError } from '../core/index.js'
import type { Actor, Change, Decision, Evidence } from '../decisions/index.js'
import type { StoredRecord } from '../log/index.js'
import type { Sql } from '../store/index.js'
import type { DroppedJournal } from './dropped-journal.js'
import { writeLooks } from './evidence.js'
import type { GuardSettings } from './guards/settings.js'
import type { GuardReport, GuardThresholds } from './guards/types.js'
import { LEASE_MS } from './leases.js'
import { weightOf } from './release-tree.js'
import type { CandidateReport, Grant } from './service.js'
import {
  activeRows,
  findRow,
  fromRow,
  isActive,
  type ReleaseRow,
  type ReleaseTables,
  stepOf,
  thresholdsOf,
} from './tables.js'
import type { Release } from './types.js'
import { ReleaseWatcher } from './watcher.js'

/** The store is asked so often while a release is active. */
const LOOK_MS = 1_000
/** A process that has not said anything for so long is gone. */
const REPORT_MS = 5_000
const RULE: Actor = { kind: 'rule', name: 'release' }

export interface ReleaseNodeOptions {
  readonly sql: Sql
  readonly platform: Platform
  readonly node: string
  /** Processes of this node that serve. */
  readonly processes: number
  readonly journal: DroppedJournal
  readonly log: {
    durableThrough(): number
    subscribe(from: number, batch: (records: StoredRecord[]) => Promise<void>): () => void
  }
  decide(change: Change, evidence: Evidence, by: Actor): Promise<Decision>
  /** Takes back the completion of a release, if that is what it ended with. */
  undoCompletion(release: Release): Promise<void>
}

/** What one node does about a release. */
export interface NodeReport {
  /** Grows each time: who reads it sees that the node lives, on the reader's own clock. */
  readonly beat: number
  readonly revision: number | null
  readonly isWarm: boolean
  readonly holdsLease: boolean
  readonly weight: number
  readonly reason: string | null
}

interface Known {
  row: ReleaseRow
  /** Names what this process's watcher learned of the shadow step. */
  readonly run: string
  watcher: ReleaseWatcher | undefined
  opening: Promise<void> | undefined
  readonly reports: Map<string, CandidateReport & { readonly atMs: number }>
  isRollingBack: boolean
}

export class ReleaseKeeper {
  readonly #options: ReleaseNodeOptions
  readonly #clock: Clock
  readonly #known = new Map<string, Known>()
  readonly #metrics: ReturnType<typeof createMetrics>
  #confirmedMs = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined
  #looking: Promise<void> | undefined
  #isClosed = false
  #beat = 0

  constructor(options: ReleaseNodeOptions) {
    this.#options = options
    this.#clock = options.platform.clock
    this.#metrics = createMetrics(options.platform.metrics)
  }

  /** Looks at once, and then each second while there is something to look after. Called when releases may have changed. */
  async changed(): Promise<void> {
    // One that is under way may have read before the change.
    await this.#looking
    await this.look()
  }

  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  /** What processes may call now. A release that this node found bad is none of them, whatever the store says. */
  grants(): Grant[] {
    const ageMs = this.#clock.monotonicMs() - this.#confirmedMs
    const grants: Grant[] = []
    for (const id of this.#known.keys()) if (!this.#options.journal.has(id)) grants.push({ release: id, ageMs })
    return grants
  }

  /** There is a release to look after, or nobody knows yet. */
  get isBusy(): boolean {
    return this.#known.size > 0 || this.#confirmedMs === Number.NEGATIVE_INFINITY
  }

  rows(): ReleaseRow[] {
    return [...this.#known.values()].map(({ row }) => row)
  }

  watcher(id: string): ReleaseWatcher | undefined {
    return this.#known.get(id)?.watcher
  }

  async report(report: CandidateReport): Promise<void> {
    const known = this.#known.get(report.release)
    if (!known) return
    known.reports.set(report.process, { ...report, atMs: this.#clock.monotonicMs() })
    if (report.failure === null) return
    const { model, to_version: to } = known.row
    await this.rollBack(
      report.release,
      `${model}/${to} could not be loaded on node ${this.#options.node}: ${report.failure}`,
      {
        node: this.#options.node,
        failure: report.failure,
      },
    )
  }

  /** Acts first: processes hear of it at their next question; then it is journalled, and decided as soon as the store answers. */
  async rollBack(id: string, reason: string, evidence: Evidence): Promise<void> {
    const { journal, platform } = this.#options
    const known = this.#known.get(id)
    if (!known || journal.has(id)) return
    const detectedMs = Math.round(this.#clock.nowMs())
    platform.logger.error({ release: id, endpoint: known.row.endpoint }, `a release's candidate is stopped: ${reason}`)
    this.#metrics.stopped.with(known.row.endpoint).inc()
    try {
      await journal.add({ release: id, reason, evidence: { ...evidence, detectedMs } })
    } catch (error) {
      // It is stopped all the same; only a node that is killed before the decision is made would not know.
      platform.logger.error({ err: error, release: id }, 'that a candidate was stopped could not be journalled')
    }
    await this.#decideRollback(known)
  }

  /** Of one release, what this node does. */
  #state({ row, reports }: Known): NodeReport {
    const nowMs = this.#clock.monotonicMs()
    const fresh = [...reports.values()].filter(({ atMs }) => nowMs - atMs < REPORT_MS)
    const isWarm = fresh.length >= this.#options.processes && fresh.every((report) => report.isWarm)
    const isStopped = this.#options.journal.has(row.id)
    const isLeased = nowMs - this.#confirmedMs < LEASE_MS && !isStopped
    const revision = fresh.length === 0 ? null : Math.min(...fresh.map((report) => report.revision))
    return {
      beat: this.#beat,
      revision,
      isWarm,
      holdsLease: isLeased && isWarm,
      weight: isLeased && isWarm ? weightOf(stepOf(fromRow(row))) : 0,
      reason: isStopped
        ? 'a guard failed here'
        : fresh.length === 0
          ? 'no process of it serves'
          : isWarm
            ? isLeased
              ? null
              : 'the metadata store did not answer'
            : 'the candidate is not loaded yet',
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#looking?.catch(() => undefined)
    for (const { watcher, opening } of this.#known.values()) {
      await opening?.catch(() => undefined)
      await watcher?.stop()
    }
  }

  async #look(): Promise<void> {
    if (this.#isClosed) return
    this.#timer?.cancel()
    let hasFailed = false
    try {
      const { sql } = this.#options
      const askedMs = this.#clock.monotonicMs()
      const rows = await activeRows(sql.db<ReleaseTables>())
      this.#confirmedMs = Math.max(this.#confirmedMs, askedMs)
      this.#beat++
      await this.#take(rows)
      await this.#tell()
    } catch (error) {
      hasFailed = true
      this.#options.platform.logger.warn({ err: error }, 'the metadata store was not asked about releases')
    } finally {
      const isNeeded = hasFailed || this.#known.size > 0 || this.#options.journal.list().length > 0
      if (isNeeded && !this.#isClosed) this.#timer = this.#clock.after(LOOK_MS, () => void this.look())
    }
  }

  async #take(rows: readonly ReleaseRow[]): Promise<void> {
    const { journal } = this.#options
    const ids = new Set(rows.map(({ id }) => id))
    const over = [...this.#known.values()].filter(({ row }) => !ids.has(row.id))
    // All at once, before anything is waited for: what is known is granted.
    for (const { row } of over) {
      this.#known.delete(row.id)
      this.#metrics.weight.remove(row.endpoint)
    }
    for (const { watcher } of over) await watcher?.stop()
    for (const { release } of journal.list()) if (!ids.has(release)) await this.#settle(release)
    for (const row of rows) {
      const known = this.#known.get(row.id) ?? this.#add(row)
      known.row = row
      this.#metrics.weight.with(row.endpoint).set(weightOf(stepOf(fromRow(row))))
      const thresholds = thresholdsOf(row)
      known.watcher?.follow(fromRow(row), thresholds)
      if (known.watcher === undefined) known.opening ??= this.#open(known)
      else {
        await this.#learn(known, thresholds)
        await known.watcher.refresh()
      }
      if (journal.has(row.id)) void this.#decideRollback(known)
    }
  }

  #add(row: ReleaseRow): Known {
    const run = `${this.#options.node}/${this.#options.platform.ids.next()}`
    const known: Known = { row, run, watcher: undefined, opening: undefined, reports: new Map(), isRollingBack: false }
    this.#known.set(row.id, known)
    return known
  }

  /**
   * A candidate that was stopped here and whose release is over elsewhere. Was it completed, by somebody who did not know, then every
   * node sends it everything: that is taken back.
   */
  async #settle(id: string): Promise<void> {
    const { sql, journal, platform, undoCompletion } = this.#options
    const row = await findRow(sql.db<ReleaseTables>(), id)
    if (row?.state === 'completed')
      try {
        await undoCompletion(fromRow(row))
      } catch (error) {
        // Another release, or a person, has changed what is served meanwhile: that stands.
        if (!(error instanceof HeadraceError && error.status < 500)) throw error
        platform.logger.error({ err: error, release: id }, 'a release was completed although its candidate was stopped')
      }
    await journal.remove(id)
  }

  async #open(known: Known): Promise<void> {
    const { sql, platform, node, log } = this.#options
    const { row } = known
    try {
      const watcher = await ReleaseWatcher.open({
        sql,
        clock: this.#clock,
        logger: platform.logger,
        node,
        run: known.run,
        subscribe: (from, batch) => log.subscribe(from, batch),
        startAt: log.durableThrough(),
        release: fromRow(row),
        settings: settingsOf(row),
        minUnits: row.min_units,
        thresholds: thresholdsOf(row),
        onFailed: (failed, reports) => void this.#failed(known, failed, reports),
      })
      if (this.#known.get(row.id) === known && !this.#isClosed) known.watcher = watcher
      else await watcher.stop()
    } catch (error) {
      platform.logger.warn({ err: error, release: row.id }, "a release's guards could not be started; trying again")
    } finally {
      known.opening = undefined
    }
  }

  async #failed(known: Known, failed: GuardReport, reports: readonly GuardReport[]): Promise<void> {
    await this.rollBack(known.row.id, `guard "${failed.guard}" failed: ${failed.summary}`, {
      node: this.#options.node,
      guard: failed.guard,
      reports,
    })
  }

  async #decideRollback(known: Known): Promise<void> {
    const { journal, decide, platform } = this.#options
    const { row } = known
    const dropped = journal.list().find(({ release }) => release === row.id)
    if (!dropped || known.isRollingBack) return
    known.isRollingBack = true
    try {
      await decide(
        {
          kind: 'release.rollback',
          subject: row.endpoint,
          detail: {
            release: row.id,
            revision: null,
            term: null,
            atMs: Math.round(this.#clock.nowMs()),
            reason: dropped.reason.slice(0, 500),
          },
        },
        dropped.evidence,
        RULE,
      )
      const { watcher } = known
      if (watcher)
        await writeLooks(this.#options.sql, row.id, Math.round(this.#clock.nowMs()), row.step, watcher.reports)
    } catch (error) {
      // Somebody else was faster, or the store is down: then it is tried again at the next look.
      if (!(error instanceof HeadraceError && error.code === 'RELEASE_NOT_ACTIVE'))
        platform.logger.warn(
          { err: error, release: row.id },
          'a rollback waits for the metadata store; the candidate gets no traffic',
        )
    } finally {
      known.isRollingBack = false
    }
  }

  /** The first node that knows what is usual says so for all. */
  async #learn(known: Known, stored: GuardThresholds | undefined): Promise<void> {
    if (stored !== undefined) return
    const learned = known.watcher?.learned()
    if (learned === undefined) return
    await this.#options.sql
      .db<ReleaseTables>()
      .updateTable('releases')
      .set({ thresholds: JSON.stringify(learned) })
      .where('id', '=', known.row.id)
      .where('thresholds', 'is', null)
      .execute()
    const row = await findRow(this.#options.sql.db<ReleaseTables>(), known.row.id)
    if (row && isActive(row)) {
      known.row = row
      known.watcher?.follow(fromRow(row), thresholdsOf(row))
    }
  }

  async #tell(): Promise<void> {
    const { sql, node } = this.#options
    const at_ms = Math.round(this.#clock.nowMs())
    for (const known of this.#known.values()) {
      const report = JSON.stringify(this.#state(known))
      await sql
        .db<ReleaseTables>()
        .insertInto('release_nodes')
        .values({ release: known.row.id, node, at_ms, report })
        .onConflict((conflict) => conflict.columns(['release', 'node']).doUpdateSet({ at_ms, report }))
        .execute()
    }
  }
}

/** Windows are time of the plan, which may run faster than clocks. */
function settingsOf({ guards, time_scale: timeScale }: ReleaseRow): GuardSettings {
  const settings = JSON.parse(guards) as GuardSettings
  return { ...settings, windowMs: Math.max(1, settings.windowMs / timeScale) }
}

function createMetrics(metrics: Metrics) {
  return {
    weight: metrics.gauge({
      name: 'ml_release_weight',
      help: 'Share of units that the candidate of an active release has, 0 to 1.',
      labels: ['endpoint'],
      together: 'max',
    }),
    stopped: metrics.counter({
      name: 'ml_release_stopped_total',
      help: 'Releases whose candidate this node stopped by itself, because a guard failed or it could not be loaded.',
      labels: ['endpoint'],
    }),
  }
}
