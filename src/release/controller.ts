// Moves releases on, on the node that leads. It counts a step's time on its own monotonic clock and stores it, so restarts, other leaders
// and clocks that jump change nothing; every decision carries its term and the revision it looked at, so two controllers never fight.
import type { Transaction } from 'kysely'
import type { Clock, Platform, Timer } from '../core/index.js'
import { HeadraceError } from '../core/index.js'
import type { Actor, Change, Decision, Evidence } from '../decisions/index.js'
import type { Sql } from '../store/index.js'
import type { CheckTerm } from './changes.js'
import { writeLooks } from './evidence.js'
import { compareShadow } from './guards/compare-shadow.js'
import type { GuardSettings } from './guards/settings.js'
import type { ShadowReport, ShadowState } from './guards/shadow-types.js'
import type { NodeReport, ReleaseKeeper } from './node.js'
import { stepText } from './plan.js'
import { weightOf } from './release-tree.js'
import { findRow, fromRow, type ReleaseRow, type ReleaseTables, stepOf } from './tables.js'
import type { Release } from './types.js'
import { unitsOf } from './watcher.js'

const TURN_MS = 500
/** Time of a step is stored so often. */
const SAVE_MS = 5_000
/** Guards are kept for plots so often, at first; they are thinned as they grow. */
const LOOK_MS = 5_000
/** A node that has not shown a sign of life for so long is not waited for. */
const NODE_MS = 6_000
/** More than this between two turns was no time the controller saw pass: a machine that slept. */
const MAX_TURN_MS = 10_000
const RULE: Actor = { kind: 'rule', name: 'release' }

export interface ControllerOptions {
  readonly sql: Sql
  readonly platform: Platform
  readonly keeper: ReleaseKeeper
  term(): number | undefined
  readonly checkTerm: CheckTerm
  /** What took the ground from under a release: a moved alias, a changed configuration. It is aborted with this reason. */
  obstacle(release: Release): string | undefined
  decide(change: Change, evidence: Evidence, by: Actor): Promise<Decision>
}

/** What the controller knows of a release between two turns. */
interface Course {
  readonly step: number
  elapsedMs: number
  savedMs: number
  lookedMs: number
  atMs: number
}

export class ReleaseController {
  readonly #options: ControllerOptions
  readonly #clock: Clock
  readonly #courses = new Map<string, Course>()
  /** Signs of life of nodes, by release and node. */
  readonly #beats = new Map<string, { beat: number; atMs: number }>()
  /** That the courses were counted in. */
  #term: number | undefined
  #timer: Timer | undefined
  #turning: Promise<void> | undefined
  #isClosed = false

  constructor(options: ControllerOptions) {
    this.#options = options
    this.#clock = options.platform.clock
  }

  /** Turns go on while a release is active. */
  wake(): void {
    if (this.#timer === undefined && this.#turning === undefined && !this.#isClosed) this.#schedule(0)
  }

  /** Looks at every release once; joins the turn that is under way. */
  turn(): Promise<void> {
    this.#turning ??= this.#turn().finally(() => {
      this.#turning = undefined
      // A store that was down at the start may have releases that this node has not seen yet.
      if (!this.#isClosed && this.#options.keeper.isBusy) this.#schedule(TURN_MS)
    })
    return this.#turning
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#turning
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel()
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timer = undefined
      void this.turn()
    })
  }

  async #turn(): Promise<void> {
    const { keeper, platform } = this.#options
    const rows = keeper.rows()
    for (const id of this.#courses.keys()) if (!rows.some((row) => row.id === id)) this.#courses.delete(id)
    if (rows.length === 0) this.#beats.clear()
    const term = this.#options.term()
    // Whoever led meanwhile counted; what is stored is what counts when it is this one's turn again.
    if (term !== this.#term) this.#courses.clear()
    this.#term = term
    if (term === undefined) return
    for (const row of rows) {
      try {
        await this.#lead(row, term)
      } catch (error) {
        // Somebody else changed it meanwhile, or the store is down: the next turn looks again.
        const isExpected = error instanceof HeadraceError && error.status === 409
        if (!isExpected) platform.logger.warn({ err: error, release: row.id }, 'a release could not be moved on')
      }
    }
  }

  async #lead(row: ReleaseRow, term: number): Promise<void> {
    const { keeper, sql } = this.#options
    const watcher = keeper.watcher(row.id)
    if (watcher === undefined) return
    const release = fromRow(row)
    const nowMs = this.#clock.monotonicMs()
    const course = await this.#courseOf(row, nowMs)
    if (course === undefined) return
    const passedMs = Math.min(nowMs - course.atMs, MAX_TURN_MS)
    course.atMs = nowMs
    const obstacle = this.#options.obstacle(release)
    if (obstacle !== undefined) {
      await this.#decide('release.abort', row, term, obstacle, { term })
      return
    }
    const isApplied = await this.#isApplied(row)
    if (release.state === 'running' && isApplied) course.elapsedMs += passedMs * row.time_scale
    const isDue = nowMs - course.lookedMs >= LOOK_MS
    if (isDue) {
      course.lookedMs = nowMs
      if (watcher.reports.length > 0)
        await writeLooks(sql, row.id, Math.round(this.#clock.nowMs()), row.step, watcher.reports)
      await this.#reportShadow(row)
    }
    if (nowMs - course.savedMs >= SAVE_MS) {
      course.savedMs = nowMs
      await this.#save(row, term, course.elapsedMs)
    }
    if (release.state !== 'running' || !isApplied) return
    const failed = watcher.reports.find(({ verdict }) => verdict === 'failed')
    if (failed !== undefined) {
      await keeper.rollBack(row.id, `guard "${failed.guard}" failed: ${failed.summary}`, {
        guard: failed.guard,
        reports: watcher.reports,
      })
      return
    }
    const units = unitsOf(watcher.units, row.step, 'candidate')
    const evidence = { elapsedMs: Math.round(course.elapsedMs), units, term, guards: watcher.reports }
    const step = stepOf(release)
    const needed = unitsNeeded(row)
    const isLong = course.elapsedMs >= (step.length.durationMs ?? 0)
    if (isLong && units >= needed) {
      await this.#save(row, term, course.elapsedMs)
      await this.#advance(row, term, evidence)
    } else if (step.kind === 'shadow' && step.maySkip && units >= row.min_units) {
      const shadow = isDue ? await this.#reportShadow(row) : undefined
      if (shadow?.verdict === 'indistinguishable')
        await this.#advance(row, term, { ...evidence, skipped: true, shadow })
    }
  }

  async #advance(row: ReleaseRow, term: number, evidence: Evidence): Promise<void> {
    const { plan, step } = fromRow(row)
    const isLast = step + 1 >= plan.steps.length
    await this.#decide(
      isLast ? 'release.complete' : 'release.step',
      row,
      term,
      isLast ? null : stepText(plan.steps[step]!),
      evidence,
    )
  }

  async #decide(kind: string, row: ReleaseRow, term: number, reason: string | null, evidence: Evidence): Promise<void> {
    await this.#options.decide(
      {
        kind,
        subject: row.endpoint,
        detail: { release: row.id, revision: row.revision, term, atMs: Math.round(this.#clock.nowMs()), reason },
      },
      evidence,
      RULE,
    )
  }

  /** undefined when the row that this node read last is of a step that is over. */
  async #courseOf(row: ReleaseRow, nowMs: number): Promise<Course | undefined> {
    const known = this.#courses.get(row.id)
    if (known?.step === row.step) return known
    // A new step, or a release that this controller has not led: it goes on from what is stored now, which another may have counted since
    // this node read the row.
    const stored = await findRow(this.#options.sql.db<ReleaseTables>(), row.id)
    if (stored?.step !== row.step) return undefined
    const course: Course = {
      step: row.step,
      elapsedMs: stored.step_elapsed_ms,
      savedMs: nowMs,
      lookedMs: Number.NEGATIVE_INFINITY,
      atMs: nowMs,
    }
    this.#courses.set(row.id, course)
    return course
  }

  /** One that stood still and does not know yet that another leads would take back what that one has counted. */
  async #save({ id, step }: ReleaseRow, term: number, elapsedMs: number): Promise<void> {
    await this.#options.sql.transaction(async (tx: Transaction<unknown>) => {
      await this.#options.checkTerm(tx, term)
      await tx
        .withTables<ReleaseTables>()
        .updateTable('releases')
        .set({ step_elapsed_ms: Math.round(elapsedMs) })
        .where('id', '=', id)
        .where('step', '=', step)
        .where('active_endpoint', 'is not', null)
        .execute()
    })
  }

  /** Whether every node that lives has loaded the candidate and applied this revision: before that nothing was tried. */
  async #isApplied(row: ReleaseRow): Promise<boolean> {
    const nodes = await this.#options.sql
      .db<ReleaseTables>()
      .selectFrom('release_nodes')
      .selectAll()
      .where('release', '=', row.id)
      .execute()
    const nowMs = this.#clock.monotonicMs()
    let applied = 0
    for (const { node, report } of nodes) {
      const { beat, isWarm, revision } = JSON.parse(report) as NodeReport
      const key = `${row.id} ${node}`
      const seen = this.#beats.get(key)
      if (seen?.beat !== beat) this.#beats.set(key, { beat, atMs: nowMs })
      else if (nowMs - seen.atMs > NODE_MS) continue
      if (!isWarm || revision === null || revision < row.revision) return false
      applied++
    }
    return applied > 0
  }

  async #reportShadow(row: ReleaseRow): Promise<ShadowReport | undefined> {
    if (stepOf(fromRow(row)).kind !== 'shadow') return undefined
    const db = this.#options.sql.db<ReleaseTables>()
    const states = await db.selectFrom('release_shadows').select('state').where('release', '=', row.id).execute()
    if (states.length === 0) return undefined
    const report = compareShadow(
      states.map(({ state }) => JSON.parse(state) as ShadowState),
      JSON.parse(row.guards) as GuardSettings,
    )
    await db
      .updateTable('releases')
      .set({ shadow: JSON.stringify(report) })
      .where('id', '=', row.id)
      .where('step', '=', row.step)
      .execute()
    return report
  }
}

/** Units of the candidate that a step waits for; the last step is waited for only as its own length says. */
export function unitsNeeded(row: ReleaseRow): number {
  const { plan, step } = fromRow(row)
  const { units } = plan.steps[step]!.length
  const isLast = step + 1 >= plan.steps.length
  return Math.max(units ?? 0, isLast && weightOf(plan.steps[step]!) === 1 ? 0 : row.min_units)
}
