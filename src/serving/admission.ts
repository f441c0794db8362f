// Who may come in: what a call must have, the room in the queue, and by the cost model whether its answer can come in time.
import type { Deadline } from '../flow/index.js'
import { type TensorMap, validateInputs, validateOutputNames } from '../tensor/index.js'
import { isDue } from './alarm.js'
import type { CostModel, CostModels } from './cost-model.js'
import type { Endings } from './endings.js'
import type { Joining } from './joining.js'
import type { Load } from './load.js'
import type { Margin } from './margin.js'
import type { Member } from './member.js'
import type { Queue } from './queue.js'
import type { RowLimit } from './row-limit.js'
import type { Runs } from './runs.js'
import type { LeafInput } from './types.js'
import type { VersionErrors } from './version-errors.js'
import { PRIORITIES, WEIGHTS } from './waiting.js'

/** A call that has to wait for full runs is let in if it is in time even when they take this many spreads of one of them longer. */
const SURE_SPREADS = 3

export interface AdmissionOptions {
  readonly queue: Queue
  readonly runs: Runs
  readonly joining: Joining
  readonly endings: Endings
  readonly costs: CostModels
  readonly load: Load
  readonly limit: RowLimit
  readonly margin: Margin
  readonly errors: VersionErrors
}

export class Admission {
  readonly #queue: Queue
  readonly #runs: Runs
  readonly #joining: Joining
  readonly #endings: Endings
  readonly #costs: CostModels
  readonly #load: Load
  readonly #limit: RowLimit
  readonly #margin: Margin
  readonly #errors: VersionErrors
  /** Whether the call that was checked last was let in behind full runs, by a forecast. */
  wasForecast = false

  constructor(options: AdmissionOptions) {
    this.#queue = options.queue
    this.#runs = options.runs
    this.#joining = options.joining
    this.#endings = options.endings
    this.#costs = options.costs
    this.#load = options.load
    this.#limit = options.limit
    this.#margin = options.margin
    this.#errors = options.errors
  }

  /** The rows of a call that may come in. `refusal` says why none may. Throws what `Batcher.call` rejects with before a call waits. */
  check(input: LeafInput, deadline: Deadline, lane: number, refusal: string | undefined, nowMs: number): number {
    const rows = validateInputs(input.tensors, this.#joining.signature)
    validateOutputNames(input.outputs, this.#joining.signature)
    if (refusal !== undefined) throw this.#errors.unready(refusal)
    const leftMs = deadline.atMs - nowMs
    if (isDue(deadline.atMs, nowMs)) throw this.#errors.deadlineExceeded(0, 'queued')
    this.#load.arrived(rows, leftMs)
    this.wasForecast = false
    if (!this.#runs.isNoneUnderWay && leftMs !== Number.POSITIVE_INFINITY)
      this.#checkTime(input.tensors, rows, lane, leftMs, nowMs)
    const overRows = this.#queue.rowsTooMany(rows)
    if (overRows > 0) this.#makeRoom(rows, overRows, lane, nowMs)
    return rows
  }

  /** How long a call of this many rows made now should take; undefined until enough runs were seen. */
  expectedMs(rows: number, lane: number, nowMs: number): number | undefined {
    const cost = this.#costs.nearest(0)
    if (cost === undefined || !cost.isTrusted) return undefined
    return this.#forecastMs(cost, rows, lane, Number.POSITIVE_INFINITY, nowMs)
  }

  /** Turns a call away whose answer would come too late. Never when a slot is free: that run also shows if the model is wrong. */
  #checkTime(tensors: TensorMap, rows: number, lane: number, leftMs: number, nowMs: number): void {
    if (this.#runs.hasFreeSlot && this.#queue.waiting.isEmpty) return
    const cost = this.#costs.nearest(this.#joining.bucketOf(tensors, rows))
    if (cost === undefined || !cost.isTrusted) return
    const expectedMs = this.#forecastMs(cost, rows, lane, nowMs + leftMs, nowMs)
    if (expectedMs > leftMs) throw this.#errors.overloaded(expectedMs, leftMs)
  }

  #makeRoom(rows: number, overRows: number, lane: number, nowMs: number): void {
    const retryAfterMs = this.#runs.retryAfterMs(this.#queue.rows)
    const displace = (member: Member) => this.#endings.fail(member, this.#errors.displaced(retryAfterMs), nowMs)
    if (!this.#queue.displace(overRows, lane, displace))
      throw this.#errors.queueFull(rows, this.#queue.rows, this.#queue.maxRows, retryAfterMs)
  }

  /**
   * From now to the answer of a call: until a slot is free, the runs before its own, its own. It counts those of its priority who are
   * due no later, and of the others as many as their weights let in meanwhile. Members much larger than it do not count: when not
   * all can be in time, they are the ones that are left out.
   */
  #forecastMs(cost: CostModel, rows: number, lane: number, dueMs: number, nowMs: number): number {
    const { waiting } = this.#queue
    const { canJoin, sizeOf } = this.#joining
    const own = waiting.rowsBefore(lane, dueMs, rows)
    let before = own
    for (let i = 0; i < PRIORITIES; i++)
      if (i !== lane) before += Math.min(waiting.rowsOf(i), ((own + rows) * WEIGHTS[i]!) / WEIGHTS[lane]!)
    const maxRows = canJoin ? this.#limit.rows : rows
    let fullRuns = Math.floor(before / maxRows)
    let last = before - fullRuns * maxRows + rows
    if (last > maxRows) {
      const more = Math.floor(last / maxRows)
      fullRuns += more
      last -= more * maxRows
    }
    const fullMs = cost.ms(sizeOf(maxRows))
    const waitMs = this.#runs.untilFreeMs(nowMs) + (fullRuns * fullMs) / this.#runs.slots
    if (fullRuns === 0) return waitMs + cost.ms(sizeOf(Math.ceil(last)))
    // Who comes meanwhile joins its run and makes it longer, and what each run takes longer adds up.
    if (canJoin) last = Math.min(maxRows, last + this.#load.rowsPerMs(nowMs) * waitMs)
    this.wasForecast = true
    return this.#margin.factor(lane) * waitMs + cost.ms(sizeOf(Math.ceil(last))) + SURE_SPREADS * cost.spread * fullMs
  }
}
