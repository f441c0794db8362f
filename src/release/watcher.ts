// Watches one release on one node: reads the node's log from where it was left, keeps what guards look for, and judges it together with
// what all nodes have stored. What it finds it acts on before it is stored, so that a store that is down delays no rollback.
import { hash } from 'node:crypto'
import type { Clock, Logger, Stop, Timer } from '../core/index.js'
import type { StoredRecord } from '../log/index.js'
import type { Sql } from '../store/index.js'
import {
  addUnit,
  readCounts,
  readEventKeys,
  readPosition,
  readSketches,
  readUnits,
  type SeenUnit,
  sketchRows,
  type UnitCount,
  type UnitSketch,
  writeEvidence,
} from './evidence.js'
import { guardCounts } from './guards/counts.js'
import { judge } from './guards/judge.js'
import { createGuardReader, type GuardReader, LEASE_EXPIRED, RELEASE_NODE } from './guards/reader.js'
import { SeenUnits } from './guards/seen-units.js'
import type { GuardSettings } from './guards/settings.js'
import { createShadowReader, type ShadowReader } from './guards/shadow-reader.js'
import type { ShadowState } from './guards/shadow-types.js'
import type { ArmCount, GuardArm, GuardEvent, GuardReport, GuardThresholds } from './guards/types.js'
import type { ReleaseTables } from './tables.js'
import type { Release } from './types.js'

/** Evidence is written so often. */
const FLUSH_MS = 250
/** Between two judgements. */
const JUDGE_MS = 100
/** Kept back while the store is down; beyond it the log is read no further, and the rest is read when the store is back. */
const MAX_PENDING = 50_000

/** The store has so long to say whether evidence that would roll back is new; then the node acts on what it has. */
const CONFIRM_MS = 200
/** Events that are known to be stored: beyond it they are stored again, which changes nothing. */
const EVENTS_REMEMBERED = 2 ** 18

/** Units of a step and arm that are counted exactly, as rows; beyond it by sketch. */
const EXACT_UNITS = 100_000

export interface WatcherOptions {
  readonly sql: Sql
  readonly clock: Clock
  readonly logger: Logger
  readonly node: string
  /** Names what this watcher learned of a shadow step. */
  readonly run: string
  readonly subscribe: (from: number, batch: (records: StoredRecord[]) => Promise<void>) => Stop
  /** Where a release that this node has not read before is read from. */
  readonly startAt: number
  readonly release: Release
  readonly settings: GuardSettings
  readonly minUnits: number
  /** Default 100,000. */
  readonly exactUnits?: number
  readonly thresholds: GuardThresholds | undefined
  /** A guard failed. Called at each judgement that says so. */
  readonly onFailed: (failed: GuardReport, reports: readonly GuardReport[]) => void
}

export class ReleaseWatcher {
  /** By what all nodes stored, as read last, and what this one has not stored yet. */
  reports: readonly GuardReport[] = []
  /** What all nodes stored, as read last. */
  units: readonly UnitCount[] = []
  readonly #options: WatcherOptions
  readonly #reader: GuardReader
  /** Undefined when the plan has no shadow step. */
  readonly #shadow: ShadowReader | undefined
  readonly #known: SeenUnits
  /** Units of the present step, while they are counted exactly. */
  readonly #seen = new Set<string>()
  /** Of steps and arms whose units are too many for rows. */
  readonly #sketches = new Map<string, UnitSketch>()
  readonly #changedSketches = new Set<string>()
  #release: Release
  #thresholds: GuardThresholds | undefined
  #stored: ArmCount[] = []
  #events: GuardEvent[] = []
  #newUnits: SeenUnit[] = []
  #position: number
  #savedPosition: number
  #flushing: Promise<void> | undefined
  #timer: Timer | undefined
  #judgedMs = Number.NEGATIVE_INFINITY
  #isConfirming = false
  #isStopped = false
  #stop: Stop | undefined

  /** Reads what is stored, then follows the log. */
  static async open(options: WatcherOptions): Promise<ReleaseWatcher> {
    const db = options.sql.db<ReleaseTables>()
    const { id } = options.release
    const saved = await readPosition(db, id, options.node)
    // Saved before anything is read, so that a node that is killed now begins at the same place.
    if (saved === undefined)
      await writeEvidence(options.sql, { release: id, node: options.node, position: options.startAt }, [], [])
    const known = new SeenUnits(EVENTS_REMEMBERED)
    await readEventKeys(db, id, EVENTS_REMEMBERED / 2, (guard, unit) => known.add(`${guard} ${unit}`))
    const watcher = new ReleaseWatcher(options, saved ?? options.startAt, known)
    for (const one of await readSketches(db, id, options.node)) watcher.#sketches.set(`${one.step} ${one.arm}`, one)
    await watcher.refresh()
    watcher.#follow()
    return watcher
  }

  private constructor(options: WatcherOptions, position: number, known: SeenUnits) {
    this.#options = options
    this.#release = options.release
    this.#thresholds = options.thresholds
    this.#position = position
    this.#savedPosition = position
    this.#known = known
    const { release, settings, thresholds } = options
    this.#reader = createGuardReader({ release, settings, ...(thresholds && { thresholds }) })
    const hasShadow = release.plan.steps.some(({ kind }) => kind === 'shadow')
    this.#shadow = hasShadow ? createShadowReader({ release, settings }) : undefined
  }

  /** What this node learned and nobody stored yet. */
  learned(): GuardThresholds | undefined {
    return this.#thresholds === undefined ? this.#reader.learned() : undefined
  }

  /** What the shadow step showed since this watcher was opened; undefined outside of one. */
  shadow(): ShadowState | undefined {
    const isShadow = this.#release.plan.steps[this.#release.step]!.kind === 'shadow'
    return isShadow ? this.#shadow?.state() : undefined
  }

  follow(release: Release, thresholds: GuardThresholds | undefined): void {
    if (release.step !== this.#release.step) {
      this.#reader.enter(release.step)
      this.#seen.clear()
    }
    this.#release = release
    if (thresholds !== undefined && this.#thresholds === undefined) {
      this.#thresholds = thresholds
      this.#reader.use(thresholds)
    }
  }

  /** Reads what all nodes stored, and judges it. */
  async refresh(): Promise<void> {
    const db = this.#options.sql.db<ReleaseTables>()
    const { id } = this.#release
    this.#stored = await readCounts(db, id)
    this.units = await readUnits(db, id)
    this.#judge()
  }

  /** Everything read so far is stored when it resolves. */
  async flush(): Promise<void> {
    if (this.#flushing) return this.#flushing
    this.#flushing = this.#write().finally(() => {
      this.#flushing = undefined
    })
    return this.#flushing
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stop?.()
    this.#timer?.cancel()
    await this.flush().catch(() => undefined)
  }

  #follow(): void {
    this.#stop = this.#options.subscribe(this.#position + 1, (records) => this.#take(records))
  }

  async #take(records: readonly StoredRecord[]): Promise<void> {
    if (this.#isStopped) return
    while (this.#events.length + this.#newUnits.length > MAX_PENDING && !this.#isStopped) await this.#pause()
    for (const event of this.#reader.read(records)) {
      if (this.#known.add(`${event.guard} ${event.unit}`)) this.#events.push(event)
    }
    if (this.#release.plan.steps[this.#release.step]!.kind === 'shadow') this.#shadow?.read(records)
    for (const record of records) this.#count(record)
    this.#position = records.at(-1)!.seq
    this.#timer ??= this.#options.clock.after(FLUSH_MS, () => {
      this.#timer = undefined
      // What came too soon after the last judgement is judged now, whether the store answers or not.
      this.#judge()
      void this.flush().catch(() => undefined)
    })
    if (this.#options.clock.monotonicMs() - this.#judgedMs >= JUDGE_MS) this.#judge()
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.after(FLUSH_MS, () => {
        void this.flush()
          .catch(() => undefined)
          .then(resolve)
      })
    })
  }

  #count(record: StoredRecord): void {
    const { endpoint, id, step, plan } = this.#release
    if (record.kind !== 'prediction' || record.endpoint !== endpoint || record.flags.includes(LEASE_EXPIRED)) return
    const choice = record.route.find(({ node }) => node === RELEASE_NODE)
    const arm = choice?.arm === 'shadow' ? 'candidate' : choice?.arm
    if (arm !== 'candidate' && arm !== 'control') return
    // A record of the step before, written while the release went on, counts for neither.
    const weight = plan.steps[step]!
    if ((weight.kind === 'shadow') !== (choice!.arm === 'shadow')) return
    if (weight.kind === 'canary' && arm === 'candidate' && Math.abs(weight.weight - choice!.probability) > 1e-6) return
    const unit = hash('sha256', `${id}\u0000${record.unit ?? record.id}`, 'hex').slice(0, 16)
    const group = `${step} ${arm}`
    const key = `${group} ${unit}`
    if (this.#sketches.has(group)) this.#sketch(group, unit)
    else if (!this.#seen.has(key)) {
      this.#seen.add(key)
      this.#newUnits.push({ step, arm, unit })
    }
  }

  #sketch(group: string, unit: string): void {
    addUnit(this.#sketches.get(group)!.sketch, unit)
    this.#changedSketches.add(group)
  }

  /** From here on units of full steps and arms are sketched, beginning with those that are there. */
  async #sketchFull(): Promise<void> {
    const { id } = this.#release
    for (const { step, arm, units } of this.units) {
      const group = `${step} ${arm}`
      if (units < (this.#options.exactUnits ?? EXACT_UNITS) || step !== this.#release.step || this.#sketches.has(group))
        continue
      const sketch = await sketchRows(this.#options.sql.db<ReleaseTables>(), id, step, arm as GuardArm)
      this.#sketches.set(group, { step, arm: arm as GuardArm, sketch })
      for (const seen of this.#newUnits) if (`${seen.step} ${seen.arm}` === group) this.#sketch(group, seen.unit)
      this.#newUnits = this.#newUnits.filter((seen) => `${seen.step} ${seen.arm}` !== group)
      for (const key of this.#seen) if (key.startsWith(`${group} `)) this.#seen.delete(key)
    }
  }

  async #write(): Promise<void> {
    if (this.#position === this.#savedPosition) return
    await this.#sketchFull().catch(() => undefined)
    const events = this.#events
    const units = this.#newUnits
    const position = this.#position
    const { sql, node, run, logger } = this.#options
    const eventCount = events.length
    const unitCount = units.length
    const sketches = [...this.#changedSketches].map((group) => this.#sketches.get(group)!)
    this.#changedSketches.clear()
    const shadow = this.shadow()
    try {
      await writeEvidence(
        sql,
        { release: this.#release.id, node, position },
        events,
        units,
        sketches,
        shadow && { run, state: shadow },
      )
    } catch (error) {
      for (const { step, arm } of sketches) this.#changedSketches.add(`${step} ${arm}`)
      logger.warn({ release: this.#release.id, err: error }, "a release's evidence waits for the metadata store")
      this.#timer ??= this.#options.clock.after(1_000, () => {
        this.#timer = undefined
        void this.flush().catch(() => undefined)
      })
      throw error
    }
    // More may have come meanwhile.
    this.#events = this.#events.slice(eventCount)
    this.#newUnits = this.#newUnits.slice(unitCount)
    this.#savedPosition = position
    await this.refresh()
  }

  #judge(): void {
    this.#judgedMs = this.#options.clock.monotonicMs()
    const { settings, minUnits } = this.#options
    const judged = (rows: readonly ArmCount[]) =>
      judge(guardCounts(rows, this.#release.plan.steps, settings, this.#thresholds), settings, {
        units: { candidate: unitsOf(this.units, this.#release.step, 'candidate'), minUnits },
      })
    const isStored = this.#events.length === 0
    this.reports = judged(isStored ? this.#stored : withPending(this.#stored, this.#events))
    const failed = this.reports.find(isFailed)
    if (failed === undefined || this.#isStopped) return
    if (isStored || judged(this.#stored).some(isFailed)) this.#options.onFailed(failed, this.reports)
    else this.#confirm(failed, this.reports)
  }

  /** What is not stored yet may have been stored by another node, which the same unit asked too: the store counts it once. */
  #confirm(failed: GuardReport, reports: readonly GuardReport[]): void {
    if (this.#isConfirming) return
    this.#isConfirming = true
    let isOver = false
    const ends = (): boolean => {
      if (isOver) return false
      isOver = true
      this.#isConfirming = false
      timer.cancel()
      return !this.#isStopped
    }
    const act = () => {
      if (ends()) this.#options.onFailed(failed, reports)
    }
    const timer = this.#options.clock.after(CONFIRM_MS, act)
    // Storing ends with a judgement; more may have come meanwhile.
    this.flush().then(() => {
      if (ends() && this.#events.length > 0) this.#judge()
    }, act)
  }
}

function isFailed({ verdict }: GuardReport): boolean {
  return verdict === 'failed'
}

export function unitsOf(units: readonly UnitCount[], step: number, arm: GuardArm): number {
  return units.find((count) => count.step === step && count.arm === arm)?.units ?? 0
}

function withPending(stored: readonly ArmCount[], events: readonly GuardEvent[]): ArmCount[] {
  const counts = new Map<string, { guard: string; step: number; arm: GuardArm; units: number }>()
  for (const count of stored) counts.set(`${count.guard} ${count.step} ${count.arm}`, { ...count })
  for (const { guard, step, arm } of events) {
    const key = `${guard} ${step} ${arm}`
    const count = counts.get(key)
    if (count) count.units++
    else counts.set(key, { guard, step, arm, units: 1 })
  }
  return [...counts.values()]
}
