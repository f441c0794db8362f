// Who runs next, and why now: pieces of failed batches first, then the queue in its order. When not all of those in front can be in
// time, `choice.ts` says who, and whether a slot that is free waits for more instead.
import type { Gauge } from '../core/index.js'
import type { Alarm } from './alarm.js'
import { type ChoiceOptions, chooseMembers, holdMs, isHopeless, rowsToWeigh, safeMs } from './choice.js'
import type { CostModel, CostModels } from './cost-model.js'
import type { Endings } from './endings.js'
import type { Joining } from './joining.js'
import type { Load } from './load.js'
import type { Member } from './member.js'
import type { DispatchReason } from './metrics.js'
import type { Queue } from './queue.js'
import type { RowLimit } from './row-limit.js'
import type { Runs } from './runs.js'
import type { VersionErrors } from './version-errors.js'
import type { Group } from './waiting.js'

/** Members about to run, and why now. */
export interface Batch {
  readonly members: readonly Member[]
  readonly reason: DispatchReason
  readonly cost: CostModel
}

export interface NextBatchOptions {
  readonly queue: Queue
  readonly runs: Runs
  readonly joining: Joining
  readonly endings: Endings
  readonly costs: CostModels
  readonly load: Load
  readonly limit: RowLimit
  readonly rowsLimit: Gauge
  readonly errors: VersionErrors
  readonly preferredSizes: readonly number[]
  readonly maxDelayMs: number
  /** Ends the wait of a free slot. */
  readonly holdAlarm: Alarm
}

const NOT_HELD = Number.NEGATIVE_INFINITY
/** Shorter waits are not worth their timer. */
const LEAST_HOLD_MS = 0.5

export class NextBatch {
  readonly #queue: Queue
  readonly #runs: Runs
  readonly #joining: Joining
  readonly #endings: Endings
  readonly #costs: CostModels
  readonly #load: Load
  readonly #limit: RowLimit
  readonly #rowsLimit: Gauge
  readonly #errors: VersionErrors
  readonly #preferredSizes: readonly number[]
  readonly #maxDelayMs: number
  readonly #holdAlarm: Alarm
  /** Until when a free slot waits for company, and since when it has. */
  #heldUntilMs = NOT_HELD
  #heldSinceMs = NOT_HELD

  constructor(options: NextBatchOptions) {
    this.#queue = options.queue
    this.#runs = options.runs
    this.#joining = options.joining
    this.#endings = options.endings
    this.#costs = options.costs
    this.#load = options.load
    this.#limit = options.limit
    this.#rowsLimit = options.rowsLimit
    this.#rowsLimit.set(this.#limit.rows)
    this.#errors = options.errors
    this.#preferredSizes = options.preferredSizes
    this.#maxDelayMs = options.maxDelayMs
    this.#holdAlarm = options.holdAlarm
  }

  /** Takes them out of the queue. Undefined when nobody is to run now. */
  take(nowMs: number): Batch | undefined {
    return this.#rerun(nowMs) ?? this.#fromQueue(nowMs)
  }

  #rerun(nowMs: number): Batch | undefined {
    for (let rerun = this.#queue.nextRerun(); rerun !== undefined; rerun = this.#queue.nextRerun()) {
      const members = rerun.filter((member) => !this.#endings.drops(member, nowMs))
      if (members.length === 0) continue
      const { tensors, rows } = members[0]!
      return { members, reason: 'rerun', cost: this.#costs.of(this.#joining.bucketOf(tensors, rows)) }
    }
    return undefined
  }

  #fromQueue(nowMs: number): Batch | undefined {
    const { waiting } = this.#queue
    if (waiting.isEmpty) return undefined
    if (this.#limit.onRun(this.#queue.rows)) this.#rowsLimit.set(this.#limit.rows)
    for (let group = waiting.next(nowMs); group !== undefined; group = waiting.next(nowMs)) {
      const batch = this.#fromGroup(group, nowMs)
      if (batch === 'held') return undefined
      if (batch !== undefined) return batch
    }
    return undefined
  }

  /** `held` when the slot waits for more, undefined when those in front were not to run at all. */
  #fromGroup(group: Group, nowMs: number): Batch | 'held' | undefined {
    const cost = this.#costs.of(group.bucket)
    const maxRows = this.#joining.canJoin ? this.#limit.rows : 1
    const { waiting } = this.#queue
    const count = waiting.order(group, nowMs, maxRows)
    let members: Member[] = []
    let rows = 0
    let soonestMs = Number.POSITIVE_INFINITY
    for (let i = 0; i < count; i++) {
      const member = waiting.ordered(i)
      if (this.#endings.drops(member, nowMs)) continue
      if (rows > 0 && rows + member.rows > maxRows) break
      // An array that grows from nothing takes room for 17.
      if (rows === 0) members = [member]
      else members.push(member)
      rows += member.rows
      if (member.deadline.atMs < soonestMs) soonestMs = member.deadline.atMs
    }
    // Those it was held for have left otherwise.
    if (this.#heldUntilMs !== NOT_HELD && members.every(({ arrivedMs }) => arrivedMs > this.#heldSinceMs))
      this.#heldUntilMs = NOT_HELD
    let reason: DispatchReason | undefined
    if (cost.isTrusted && soonestMs < nowMs + safeMs(cost, this.#joining.sizeOf(rows))) {
      const full = members.length
      members = this.#choose(group, cost, nowMs)
      if (members.length < full) reason = 'deadline'
    } else if (cost.isTrusted && this.#isHeld(cost, rows, soonestMs, nowMs)) {
      this.#queue.leave(group, [], nowMs)
      return 'held'
    } else if (this.#preferredSizes.length > 0) cutToPreferred(members, rows, this.#preferredSizes)
    const wasHeld = this.#heldUntilMs !== NOT_HELD
    this.#heldUntilMs = NOT_HELD
    this.#queue.leave(group, members, nowMs)
    if (members.length === 0) return undefined
    reason ??= !group.isEmpty ? 'full' : wasHeld ? 'delay' : waiting.isEmpty ? 'idle' : 'shape'
    return { members, reason, cost }
  }

  /** Who runs when not everybody can be in time; who cannot in any case is told so. */
  #choose(group: Group, cost: CostModel, nowMs: number): Member[] {
    const { waiting } = this.#queue
    const { canJoin } = this.#joining
    const options = this.#choiceOptions(cost, nowMs)
    const order: Member[] = []
    const count = waiting.order(group, nowMs, canJoin ? rowsToWeigh(options.maxRows) : 1)
    for (let i = 0; i < count; i++) if (!this.#endings.drops(waiting.ordered(i), nowMs)) order.push(waiting.ordered(i))
    const chosen = canJoin ? chooseMembers(order, options) : []
    if (chosen.length === 0) {
      const hopeful = order.find((member) => !isHopeless(member, options))
      // A backend that would be idle runs one in any case: if the cost model is wrong, this run corrects it.
      const last = this.#runs.isNoneUnderWay && order.length === waiting.length ? order.at(-1) : undefined
      if (hopeful !== undefined || last !== undefined) chosen.push((hopeful ?? last)!)
    }
    for (const member of chosen) member.isTaken = true
    for (const member of order)
      if (!member.isTaken && isHopeless(member, options)) {
        const error = this.#errors.overloaded(cost.ms(options.sizeOf(member.rows)), member.deadline.atMs - nowMs)
        this.#endings.late(member, error, nowMs)
      }
    return chosen
  }

  /** Whether the last free slot waits for more calls. */
  #isHeld(cost: CostModel, rows: number, soonestMs: number, nowMs: number): boolean {
    const leftMs = this.#load.tightMs
    if (this.#maxDelayMs === 0 || !this.#joining.canJoin || leftMs >= 2 * cost.ms(this.#joining.sizeOf(rows)))
      return false
    if (rows >= this.#limit.rows || this.#queue.waiting.shapes > 1 || !this.#runs.isLastSlot) return false
    if (this.#heldUntilMs === NOT_HELD) this.#heldSinceMs = nowMs
    const maxDelayMs = this.#heldSinceMs + this.#maxDelayMs - nowMs
    const ms = holdMs({ ...this.#choiceOptions(cost, nowMs), rows, soonestMs, leftMs, maxDelayMs })
    if (ms < LEAST_HOLD_MS) return false
    this.#heldUntilMs = nowMs + ms
    this.#holdAlarm.by(this.#heldUntilMs)
    return true
  }

  #choiceOptions(cost: CostModel, nowMs: number): ChoiceOptions {
    return {
      nowMs,
      maxRows: this.#limit.rows,
      cost,
      sizeOf: this.#joining.sizeOf,
      slots: this.#runs.slots,
      rowsPerMs: this.#load.rowsPerMs(nowMs),
    }
  }
}

/** Ends a batch at the largest preferred size that its members reach exactly; the rest goes next. */
function cutToPreferred(members: Member[], rows: number, preferred: readonly number[]): void {
  let kept = rows
  for (let i = members.length; i > 0; i--) {
    if (preferred.includes(kept)) {
      members.length = i
      return
    }
    kept -= members[i - 1]!.rows
  }
}
