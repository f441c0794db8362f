// The batcher: calls of one version become runs of its backend.
//
// It waits for nothing by default. An idle backend gets what is there at the end of this turn of the event loop, so that all
// requests read in one turn share a run; while the backend is busy calls gather, and when it is free those that wait go, up to the
// limit of rows. Everything beyond that is decided by what runs of this version were seen to cost (`cost-model.ts`): who is turned
// away at once because the answer would come too late, who runs when not all can be in time, and whether a slot that is free should
// wait a little (`choice.ts`). Who is next is the queue's business (`waiting.ts`).
//
// Three rules keep calls apart: a call is checked against the signature before it joins anything; outputs are cut by the rows that
// went in, and a model whose outputs have other rows is never batched again; a batch that fails is run again by halves, so that
// only the calls that fail alone fail.
import { type Clock, type Counter, HeadraceError, type Logger, type VersionRef } from '../core/index.js'
import type { Deadline } from '../flow/index.js'
import {
  type ModelManifest,
  type Signature,
  shapeText,
  type TensorMap,
  validateInputs,
  validateOutputNames,
} from '../tensor/index.js'
import { Alarm, isDue } from './alarm.js'
import { type ChoiceOptions, chooseMembers, holdMs, isHopeless, rowsToWeigh, safeMs } from './choice.js'
import { type CostModel, CostModels } from './cost-model.js'
import { ServingErrors } from './errors.js'
import { brokenOutput, cutOutputs, joinInputs, pickOutputs, unbatchedOutput, unionOutputs } from './joined.js'
import { Load } from './load.js'
import { Member, Whole } from './member.js'
import type { DispatchReason, VersionMetrics } from './metrics.js'
import { Padding } from './padding.js'
import { RowLimit } from './row-limit.js'
import { createShapeKey, type ShapeKey } from './shape-key.js'
import { TurnEnd } from './turn-end.js'
import type { Backend, Leaf, LeafInput, LeafResult } from './types.js'
import { ALL_WEIGHTS, type Group, laneOf, PRIORITIES, Waiting, WEIGHTS } from './waiting.js'

export interface BatcherOptions {
  readonly version: VersionRef
  readonly backend: Backend
  readonly manifest: Pick<ModelManifest, 'batching' | 'timeoutMs'>
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: VersionMetrics
  /** Runs a callback at the end of this turn of the event loop; `setImmediate` outside tests. */
  readonly defer: (callback: () => void) => void
  /** Runs a callback once the call that is being made has returned; `process.nextTick` outside tests, where it is `defer`. */
  readonly soon?: (callback: () => void) => void
  /** Called with a reason when every slot of the backend hangs, and with undefined when one came back. */
  readonly onReadiness: (reason: string | undefined) => void
}

/** One batch in the backend. */
interface Run {
  readonly members: readonly Member[]
  readonly rows: number
  /** Rows that the backend was given, with those that only fill it up. */
  readonly size: number
  /** What inputs of different lengths were made as long as; 0 where none are. */
  readonly length: number
  readonly cost: CostModel
  /** What the cost model said when it started. */
  readonly expectedMs: number
  /** What the backend was asked for; undefined means everything. */
  readonly outputs: readonly string[] | undefined
  readonly startedMs: number
  /** It took longer than `timeoutMs`: its members have been answered, and its slot is lost until it returns. */
  isAbandoned: boolean
}

/** Batches in a row that failed though each of their members then succeeded alone: after these, members run alone. */
const BASELESS_FAILURES = 2
/** What a caller is told to wait when nothing has been measured yet. */
const RETRY_AFTER_MS = 1000
const LONGEST_RETRY_AFTER_MS = 60_000
const DEFAULT_MAX_WAIT_MS = 5000

/** Members about to run, and why now. */
interface Batch {
  readonly members: readonly Member[]
  readonly reason: DispatchReason
  readonly cost: CostModel
}

const NOT_HELD = Number.NEGATIVE_INFINITY
/** Shorter waits are not worth their timer. */
const LEAST_HOLD_MS = 0.5
/** A call that has to wait for full runs is let in if it is in time even when they take this many spreads of one of them longer. */
const SURE_SPREADS = 3

export class Batcher implements Leaf {
  readonly version: VersionRef
  readonly #backend: Backend
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #metrics: VersionMetrics
  readonly #turnEnd: TurnEnd
  /** That came since the last dispatch. */
  #newCalls = 0
  readonly #onReadiness: (reason: string | undefined) => void
  readonly #shapeKey: (tensors: TensorMap) => ShapeKey
  readonly #padding: Padding | undefined
  /** What callers send: the backend's, but for what padding fills in. */
  readonly #signature: Signature
  readonly #outputNames: readonly string[]
  readonly #maxPartRows: number
  readonly #limit: RowLimit
  readonly #preferredSizes: readonly number[]
  readonly #allowedSizes: readonly number[]
  readonly #repeatsRows: boolean
  readonly #maxQueueRows: number
  readonly #maxDelayMs: number
  readonly #timeoutMs: number
  readonly #succeeded: Counter
  readonly #alarm: Alarm
  /** Ends the wait of a free slot. */
  readonly #holdAlarm: Alarm
  readonly #costs = new CostModels()
  readonly #load = new Load()
  readonly #waiting: Waiting
  readonly #runs: Run[] = []
  /** Pieces of failed batches; they have waited already, so they go before the queue. */
  readonly #reruns: (readonly Member[])[] = []
  readonly #hasOneShape: boolean
  #canJoin: boolean
  #waitingRows = 0
  #isDispatchDue = false
  #hungRuns = 0
  #unreadyReason: string | undefined = undefined
  /** Until when a free slot waits for company, and since when it has. */
  #heldUntilMs = NOT_HELD
  #heldSinceMs = NOT_HELD
  #baselessFailures = 0
  /** Rows and milliseconds of recent runs, older ones fading: the rate at which the queue drains. */
  #drainedRows = 0
  #drainedMs = 0
  readonly #idle: (() => void)[] = []
  #isClosed = false

  constructor(options: BatcherOptions) {
    const { backend, manifest } = options
    const { signature } = backend
    this.version = options.version
    this.#backend = backend
    this.#clock = options.clock
    this.#logger = options.logger
    this.#metrics = options.metrics
    this.#succeeded = options.metrics.ended('ok')
    this.#alarm = new Alarm(options.clock, (nowMs) => this.#expire(nowMs))
    this.#turnEnd = new TurnEnd(options.defer, options.soon ?? options.defer)
    this.#onReadiness = options.onReadiness
    const { batching } = manifest
    if (batching.padding !== undefined && batching.enabled)
      this.#padding = new Padding(options.version.model, batching.padding, signature)
    this.#signature = this.#padding?.signature ?? signature
    this.#shapeKey = createShapeKey(signature, this.#padding)
    this.#outputNames = signature.outputs.map((spec) => spec.name)
    this.#allowedSizes = batching.allowedBatchSizes ?? []
    this.#preferredSizes = batching.preferredBatchSizes ?? []
    this.#repeatsRows = batching.padRows !== 'zeros'
    this.#limit = new RowLimit({
      maxBatchSize: batching.maxBatchSize,
      maxBatchSizeUnderPressure: batching.maxBatchSizeUnderPressure ?? 2 * batching.maxBatchSize,
      allowedBatchSizes: this.#allowedSizes,
    })
    this.#maxPartRows = this.#limit.rows
    this.#metrics.rowsLimit.set(this.#limit.rows)
    this.#maxQueueRows = batching.maxQueueRows
    this.#maxDelayMs = batching.maxDelayMs
    this.#waiting = new Waiting(batching.maxWaitMs ?? DEFAULT_MAX_WAIT_MS)
    this.#holdAlarm = new Alarm(options.clock, () => this.#onTurnEnd())
    this.#timeoutMs = manifest.timeoutMs
    this.#hasOneShape = signature.inputs.every(({ shape }) => shape.every((size, axis) => axis === 0 || size !== -1))
    this.#canJoin =
      manifest.batching.enabled && signature.batchAxis === 0 && signature.inputs.every(({ shape }) => shape[0] === -1)
  }

  /**
   * Rejects with TENSOR_ errors, SERVING_MODEL_UNREADY, SERVING_QUEUE_FULL, SERVING_DISPLACED, SERVING_OVERLOADED,
   * SERVING_DEADLINE_EXCEEDED, SERVING_LENGTHS_DIFFER, SERVING_CANCELLED, SERVING_RUN_TIMEOUT, SERVING_RUN_FAILED,
   * SERVING_OUTPUT_MISMATCH, or what the backend rejected with.
   */
  call(input: LeafInput, deadline: Deadline): Promise<LeafResult> {
    return new Promise((resolve, reject) => {
      const nowMs = this.#clock.monotonicMs()
      try {
        const lane = laneOf(input.priority)
        const rows = this.#check(input, deadline, lane, nowMs)
        const tensors = this.#padding === undefined ? input.tensors : this.#padding.complete(input.tensors)
        this.#admit(new Member(input, tensors, rows, deadline, lane, nowMs, resolve, reject, undefined), nowMs)
      } catch (error) {
        this.#metrics.ended((error as HeadraceError).code).inc()
        reject(error)
      }
    })
  }

  dropCancelled(): void {
    const nowMs = this.#clock.monotonicMs()
    this.#dropWaiting((member) => this.#drops(member, nowMs))
    for (const rerun of this.#reruns) for (const member of rerun) this.#drops(member, nowMs)
    this.#settleIdle()
  }

  /** How long a call of this many rows made now should take; undefined until enough runs were seen. */
  expectedMs(rows: number): number | undefined {
    const cost = this.#costs.nearest(0)
    if (cost === undefined || !cost.isTrusted) return undefined
    return this.#forecastMs(cost, rows, laneOf('normal'), Number.POSITIVE_INFINITY, this.#clock.monotonicMs())
  }

  /** Resolves when every call has its answer; calls that arrive meanwhile are still taken. Refuses all after that. */
  async close(): Promise<void> {
    if (!this.#isIdle()) await new Promise<void>((resolve) => this.#idle.push(resolve))
    this.#isClosed = true
  }

  /** The rows of a call that may come in. */
  #check(input: LeafInput, deadline: Deadline, lane: number, nowMs: number): number {
    const rows = validateInputs(input.tensors, this.#signature)
    validateOutputNames(input.outputs, this.#signature)
    if (this.#isClosed) throw this.#unready('it has been unloaded')
    if (this.#unreadyReason !== undefined) throw this.#unready(this.#unreadyReason)
    const leftMs = deadline.atMs - nowMs
    if (isDue(deadline.atMs, nowMs)) throw this.#deadlineExceeded(nowMs, nowMs, 'queued')
    this.#load.arrived(rows, leftMs)
    if (this.#runs.length > 0 && leftMs !== Number.POSITIVE_INFINITY) this.#checkTime(input, rows, lane, leftMs, nowMs)
    // A request above the limit on its own gets in when nothing waits: told to come back, it would never be let in.
    const overRows = this.#waitingRows === 0 ? 0 : this.#waitingRows + rows - this.#maxQueueRows
    if (overRows > 0 && !this.#displace(overRows, lane, nowMs))
      throw ServingErrors.QUEUE_FULL({
        model: this.version.model,
        rows,
        waitingRows: this.#waitingRows,
        maxQueueRows: this.#maxQueueRows,
        retryAfterMs: this.#retryAfterMs(),
      })
    return rows
  }

  /** Turns a call away whose answer would come too late. Never when a slot is free: that run also shows if the model is wrong. */
  #checkTime(input: LeafInput, rows: number, lane: number, leftMs: number, nowMs: number): void {
    if (this.#runs.length < this.#backend.concurrency && this.#waiting.isEmpty) return
    const cost = this.#costs.nearest(this.#bucketOf(input.tensors, rows))
    if (cost === undefined || !cost.isTrusted) return
    const expectedMs = this.#forecastMs(cost, rows, lane, nowMs + leftMs, nowMs)
    if (expectedMs <= leftMs) return
    throw this.#overloaded(expectedMs, leftMs)
  }

  /**
   * From now to the answer of a call: until a slot is free, the runs before its own, its own. It counts those of its priority who are
   * due no later, and of the others as many as their weights let in meanwhile. Members much larger than it do not count: when not
   * all can be in time, they are the ones that are left out.
   */
  #forecastMs(cost: CostModel, rows: number, lane: number, dueMs: number, nowMs: number): number {
    const own = this.#waiting.rowsBefore(lane, dueMs, rows)
    let before = own
    for (let i = 0; i < PRIORITIES; i++)
      if (i !== lane) before += Math.min(this.#waiting.rowsOf(i), ((own + rows) * WEIGHTS[i]!) / WEIGHTS[lane]!)
    const maxRows = this.#canJoin ? this.#limit.rows : rows
    const slots = Math.max(1, this.#backend.concurrency)
    let fullRuns = Math.floor(before / maxRows)
    let last = before - fullRuns * maxRows + rows
    if (last > maxRows) {
      const more = Math.floor(last / maxRows)
      fullRuns += more
      last -= more * maxRows
    }
    const fullMs = cost.ms(this.#sizeOf(maxRows))
    const waitMs = this.#untilFreeMs(nowMs) + (fullRuns * fullMs) / slots
    if (fullRuns === 0) return waitMs + cost.ms(this.#sizeOf(Math.ceil(last)))
    // Who comes meanwhile joins its run and makes it longer, and what each run takes longer adds up.
    if (this.#canJoin) last = Math.min(maxRows, last + this.#load.rowsPerMs(nowMs) * waitMs)
    return waitMs + cost.ms(this.#sizeOf(Math.ceil(last))) + SURE_SPREADS * cost.spread * fullMs
  }

  #untilFreeMs(nowMs: number): number {
    const runs = this.#runs
    if (runs.length < this.#backend.concurrency) return 0
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < runs.length; i++) {
      const { startedMs, expectedMs, isAbandoned } = runs[i]!
      if (isAbandoned) continue
      const left = startedMs + expectedMs - nowMs
      // A run that should have ended takes the longer the longer it is late.
      least = Math.min(least, left >= 0 ? left : -left / 2)
    }
    return least === Number.POSITIVE_INFINITY ? 0 : least
  }

  /**
   * Makes room in a full queue by taking out members of lower priority, the lowest and the latest due first, but never more than what
   * exceeds their own share of the queue. Nobody is taken out when that is not enough.
   */
  #displace(overRows: number, lane: number, nowMs: number): boolean {
    const spare = (i: number) => this.#waiting.rowsOf(i) - (this.#maxQueueRows * WEIGHTS[i]!) / ALL_WEIGHTS
    let room = 0
    for (let i = lane + 1; i < PRIORITIES; i++) room += Math.max(0, spare(i))
    if (room < overRows) return false
    const enoughRows = this.#waitingRows - overRows
    const error = ServingErrors.DISPLACED({ model: this.version.model, retryAfterMs: this.#retryAfterMs() })
    for (let i = PRIORITIES - 1; i > lane; i--)
      while (this.#waitingRows > enoughRows && spare(i) > 0) {
        const member = this.#waiting.takeLast(i)!
        this.#addWaiting(-member.rows)
        this.#fail(member, error, nowMs)
      }
    return true
  }

  #admit(member: Member, nowMs: number): void {
    this.#newCalls++
    this.#addWaiting(member.rows)
    const isLarge = this.#canJoin && member.rows > this.#maxPartRows
    this.#push(isLarge ? new Whole(member, this.#maxPartRows).nextPart()! : member, nowMs)
    this.#alarm.by(member.deadline.atMs)
    this.#dispatchSoon()
  }

  #push(member: Member, nowMs: number): void {
    // Without joining there are no groups, and only who is due first counts.
    const key = this.#canJoin ? this.#shapeKey(member.tensors) : 0
    this.#waiting.push(key, this.#bucketOf(member.tensors, member.rows), member, nowMs)
  }

  #bucketOf(tensors: TensorMap, rows: number): number {
    if (this.#hasOneShape) return 0
    let elements = 0
    for (const { data } of tensors.values()) elements += data.length
    return CostModels.bucket(elements / rows)
  }

  /** Rows that the backend is given for this many: the next size that is allowed. */
  readonly #sizeOf = (rows: number): number => {
    const allowed = this.#allowedSizes
    for (let i = 0; i < allowed.length; i++) if (allowed[i]! >= rows) return allowed[i]!
    return rows
  }

  #dispatchSoon(): void {
    if (this.#isDispatchDue || this.#runs.length >= this.#backend.concurrency) return
    this.#isDispatchDue = true
    this.#turnEnd.schedule(this.#onTurnEnd)
  }

  readonly #onTurnEnd = (): void => {
    this.#isDispatchDue = false
    this.#turnEnd.sawCalls(this.#newCalls)
    this.#newCalls = 0
    this.#dispatch()
    this.#settleIdle()
  }

  /** Fills every free slot of the backend. */
  #dispatch(): void {
    while (this.#runs.length < this.#backend.concurrency) {
      if (this.#reruns.length === 0 && this.#waiting.isEmpty) break
      const nowMs = this.#clock.monotonicMs()
      const batch = this.#nextBatch(nowMs)
      if (batch === undefined) break
      this.#start(batch, nowMs)
    }
  }

  #nextBatch(nowMs: number): Batch | undefined {
    for (let rerun = this.#reruns.pop(); rerun !== undefined; rerun = this.#reruns.pop()) {
      const members = rerun.filter((member) => !this.#drops(member, nowMs))
      if (members.length === 0) continue
      const { tensors, rows } = members[0]!
      return { members, reason: 'rerun', cost: this.#costs.of(this.#bucketOf(tensors, rows)) }
    }
    if (this.#waiting.isEmpty) return undefined
    if (this.#limit.onRun(this.#waitingRows)) this.#metrics.rowsLimit.set(this.#limit.rows)
    for (let group = this.#waiting.next(nowMs); group !== undefined; group = this.#waiting.next(nowMs)) {
      const batch = this.#take(group, nowMs)
      if (batch === 'held') return undefined
      if (batch !== undefined) return batch
    }
    return undefined
  }

  /**
   * The members of a group that run now, out of the queue; `held` when the slot waits for more, undefined when those in front were not
   * to run at all.
   */
  #take(group: Group, nowMs: number): Batch | 'held' | undefined {
    const cost = this.#costs.of(group.bucket)
    const maxRows = this.#canJoin ? this.#limit.rows : 1
    const order = this.#waiting.inOrder(group, nowMs, maxRows)
    let members: Member[] = []
    let rows = 0
    let soonestMs = Number.POSITIVE_INFINITY
    for (let i = 0; i < order.length; i++) {
      const member = order[i]!
      if (this.#drops(member, nowMs)) continue
      if (rows > 0 && rows + member.rows > maxRows) break
      members.push(member)
      rows += member.rows
      if (member.deadline.atMs < soonestMs) soonestMs = member.deadline.atMs
    }
    const fits = soonestMs >= nowMs + safeMs(cost, this.#sizeOf(rows))
    let reason: DispatchReason | undefined
    if (cost.isTrusted && !fits) {
      const full = members.length
      members = this.#choose(group, cost, nowMs)
      if (members.length < full) reason = 'deadline'
    } else if (cost.isTrusted && this.#isHeld(cost, rows, soonestMs, nowMs)) {
      this.#leaveQueue(group, [], nowMs)
      return 'held'
    } else if (this.#preferredSizes.length > 0) cutToPreferred(members, rows, this.#preferredSizes)
    const wasHeld = this.#heldUntilMs !== NOT_HELD
    this.#heldUntilMs = NOT_HELD
    this.#leaveQueue(group, members, nowMs)
    if (members.length === 0) return undefined
    reason ??= !group.isEmpty ? 'full' : wasHeld ? 'delay' : this.#waiting.isEmpty ? 'idle' : 'shape'
    return { members, reason, cost }
  }

  /** Who runs when not everybody can be in time; who cannot in any case is told so. */
  #choose(group: Group, cost: CostModel, nowMs: number): Member[] {
    const options = this.#choiceOptions(cost, nowMs)
    const order = this.#waiting
      .inOrder(group, nowMs, this.#canJoin ? rowsToWeigh(options.maxRows) : 1)
      .filter((member) => !this.#drops(member, nowMs))
    const chosen = this.#canJoin ? chooseMembers(order, options) : []
    if (chosen.length === 0) {
      const hopeful = order.find((member) => !isHopeless(member, options))
      // A backend that would be idle runs one in any case: if the cost model is wrong, this run corrects it.
      const last = this.#runs.length === 0 && order.length === this.#waiting.length ? order.at(-1) : undefined
      if (hopeful !== undefined || last !== undefined) chosen.push((hopeful ?? last)!)
    }
    for (const member of chosen) member.isTaken = true
    for (const member of order)
      if (!member.isTaken && isHopeless(member, options))
        this.#fail(member, this.#overloaded(cost.ms(member.rows), member.deadline.atMs - nowMs), nowMs)
    return chosen
  }

  #choiceOptions(cost: CostModel, nowMs: number): ChoiceOptions {
    const slots = this.#backend.concurrency
    return {
      nowMs,
      maxRows: this.#limit.rows,
      cost,
      sizeOf: this.#sizeOf,
      slots,
      rowsPerMs: this.#load.rowsPerMs(nowMs),
    }
  }

  /** Whether the last free slot waits for more calls. */
  #isHeld(cost: CostModel, rows: number, soonestMs: number, nowMs: number): boolean {
    if (this.#maxDelayMs === 0 || !this.#canJoin || this.#load.tightMs >= 2 * cost.ms(this.#sizeOf(rows))) return false
    if (rows >= this.#limit.rows || this.#waiting.shapes > 1) return false
    if (this.#runs.length + 1 < this.#backend.concurrency) return false
    if (this.#heldUntilMs === NOT_HELD) this.#heldSinceMs = nowMs
    const maxDelayMs = this.#heldSinceMs + this.#maxDelayMs - nowMs
    const ms = holdMs({ ...this.#choiceOptions(cost, nowMs), rows, soonestMs, leftMs: this.#load.tightMs, maxDelayMs })
    if (ms < LEAST_HOLD_MS) return false
    this.#heldUntilMs = nowMs + ms
    this.#holdAlarm.by(this.#heldUntilMs)
    return true
  }

  /** Takes out of the queue who is going to run and who has an answer; the next part of a large request takes a place at the end. */
  #leaveQueue(group: Group, members: readonly Member[], nowMs: number): void {
    for (let i = 0; i < members.length; i++) {
      const member = members[i]!
      member.isTaken = true
      this.#waiting.serve(member.priority, member.rows)
    }
    this.#addWaiting(-this.#waiting.removeTaken(group))
    for (let i = 0; i < members.length; i++) {
      const next = members[i]!.whole?.nextPart()
      if (next !== undefined) this.#push(next, nowMs)
    }
  }

  /** Takes out of the queue every member for which `leaves` says so. */
  #dropWaiting(leaves: (member: Member) => boolean): void {
    this.#waiting.removeWhere((member) => {
      if (!leaves(member)) return false
      this.#addWaiting(-member.rows)
      return true
    })
  }

  /** Whether a member is not to run: it was answered before, or is answered here because it is cancelled or late. */
  #drops(member: Member, nowMs: number): boolean {
    if (member.isAnswered) return true
    if (member.input.cancelled === true)
      this.#fail(member, ServingErrors.CANCELLED({ model: this.version.model }), nowMs)
    else if (isDue(member.deadline.atMs, nowMs))
      this.#fail(member, this.#deadlineExceeded(member.arrivedMs, nowMs, 'queued'), nowMs)
    return member.isAnswered
  }

  #start({ members, reason, cost }: Batch, startedMs: number): void {
    let rows = 0
    let latest = members[0]!.deadline
    for (let i = 0; i < members.length; i++) {
      const member = members[i]!
      rows += member.rows
      if (member.deadline.atMs > latest.atMs) latest = member.deadline
      this.#metrics.queueSeconds.observe((startedMs - member.arrivedMs) / 1000)
    }
    const size = this.#canJoin ? this.#sizeOf(rows) : rows
    this.#metrics.batchRows.observe(rows)
    this.#metrics.dispatched[reason].inc()
    const outputs = unionOutputs(members)
    const expectedMs = cost.ms(size)
    const length = this.#lengthOf(members)
    const run: Run = { members, rows, size, length, cost, expectedMs, outputs, startedMs, isAbandoned: false }
    this.#runs.push(run)
    this.#alarm.by(startedMs + this.#timeoutMs)
    let answer: Promise<TensorMap>
    try {
      const deadline = latest.atMs <= startedMs + this.#timeoutMs ? latest : latest.atMost(this.#timeoutMs)
      const batch = joinInputs(this.#inputsOf(members, length), size - rows, this.#repeatsRows)
      // A batch of one is the caller's own tensors, which the log still reads after the run.
      answer = this.#backend.run(batch, { deadline, outputs, ownsBatch: members.length > 1 || size > rows })
    } catch (error) {
      answer = Promise.reject(error)
    }
    answer.then(
      (outputs) => this.#finished(run, outputs),
      (error: unknown) => this.#failed(run, error),
    )
  }

  /** How long the inputs of a run are made. */
  #lengthOf(members: readonly Member[]): number {
    const padding = this.#padding
    if (padding === undefined) return 0
    let longest = 0
    for (let i = 0; i < members.length; i++) longest = Math.max(longest, padding.lengthOf(members[i]!.tensors))
    return padding.roundUp(longest)
  }

  #inputsOf(members: readonly Member[], length: number): TensorMap[] {
    const padding = this.#padding
    const inputs: TensorMap[] = new Array(members.length)
    for (let i = 0; i < members.length; i++) {
      const { tensors } = members[i]!
      inputs[i] = padding === undefined ? tensors : padding.stretch(tensors, length)
    }
    return inputs
  }

  #finished(run: Run, outputs: TensorMap): void {
    this.#release(run)
    if (!run.isAbandoned) {
      const nowMs = this.#clock.monotonicMs()
      this.#drainedRows = this.#drainedRows * 0.8 + run.rows
      this.#drainedMs = this.#drainedMs * 0.8 + (nowMs - run.startedMs)
      this.#learn(run, nowMs - run.startedMs)
      // A backend on its own thread gets its next batch first and works while these answers are cut.
      if (this.#backend.isolation === 'thread') this.#dispatch()
      try {
        this.#answer(run, outputs, nowMs)
      } catch (error) {
        this.#failAll(run.members, this.#runFailed(error), nowMs)
      }
    }
    this.#continue()
  }

  #learn({ cost, size }: Run, ms: number): void {
    cost.observe(size, ms)
    this.#metrics.costRowMs.set(cost.rowMs)
    this.#metrics.costRunMs.set(cost.fixedMs)
    this.#metrics.costError.set(cost.spread)
  }

  #failed(run: Run, reason: unknown): void {
    this.#release(run)
    if (!run.isAbandoned) {
      const nowMs = this.#clock.monotonicMs()
      const error = reason instanceof HeadraceError ? reason : this.#runFailed(reason)
      // What another try may cure is the backend's trouble, a lost thread for instance, and no member's fault.
      if (run.members.length === 1 || error.retry) this.#failAll(run.members, error, nowMs)
      else this.#rerunByHalves(run.members, nowMs)
    }
    this.#continue()
  }

  /** At most 2n - 1 runs for n members, each of which ends with its own answer. */
  #rerunByHalves(members: readonly Member[], nowMs: number): void {
    const live = members.filter((member) => !this.#drops(member, nowMs))
    const inquest = live[0]?.inquest ?? { unknown: live.length, guilty: members.length - live.length }
    for (const member of live) member.inquest = inquest
    const half = Math.ceil(live.length / 2)
    if (half < live.length) this.#reruns.push(live.slice(half))
    if (half > 0) this.#reruns.push(live.slice(0, half))
  }

  #release(run: Run): void {
    this.#runs.splice(this.#runs.indexOf(run), 1)
    if (!run.isAbandoned) return
    this.#hungRuns--
    if (this.#unreadyReason === undefined) return
    this.#unreadyReason = undefined
    this.#onReadiness(undefined)
  }

  #continue(): void {
    // What an inline backend kept from being read during its run is read before the next run starts.
    if (this.#backend.isolation === 'thread') this.#dispatch()
    else if (this.#reruns.length > 0 || !this.#waiting.isEmpty) this.#dispatchSoon()
    this.#settleIdle()
  }

  #answer(run: Run, outputs: TensorMap, nowMs: number): void {
    const { members, rows, size, length, startedMs } = run
    const computeMs = nowMs - startedMs
    const names = run.outputs ?? this.#outputNames
    const broken = brokenOutput(outputs, names)
    if (broken !== undefined) throw this.#outputMismatch(broken.output, broken.detail)
    const isAlone = members.length === 1 && size === rows && this.#padding === undefined
    const unbatched = isAlone && members[0]!.whole === undefined ? undefined : unbatchedOutput(outputs, names, size)
    if (unbatched !== undefined) {
      const detail = `${size} rows went in and its shape is ${shapeText(unbatched.shape)}`
      this.#stopJoining(this.#outputMismatch(unbatched.output, detail))
      for (let i = members.length - 1; i >= 0; i--) this.#rerunAlone(members[i]!)
      return
    }
    if (!isAlone) this.#baselessFailures = 0
    let start = 0
    for (let i = 0; i < members.length; i++) {
      const member = members[i]!
      if (!member.isAnswered) {
        const own = member.input.outputs ?? this.#outputNames
        const cut =
          this.#padding !== undefined
            ? this.#padding.cut(outputs, own, start, member.rows, length, this.#padding.lengthOf(member.tensors))
            : isAlone
              ? pickOutputs(outputs, own)
              : cutOutputs(outputs, own, start, member.rows)
        this.#succeed(
          member,
          { outputs: cut, queueMs: startedMs - member.arrivedMs, computeMs, batchRows: rows },
          nowMs,
        )
      }
      start += member.rows
    }
  }

  /** A part goes back into its request, which then runs whole. */
  #rerunAlone(member: Member): void {
    if (member.isAnswered) return
    if (member.whole !== undefined) this.#addWaiting(-member.whole.end())
    this.#reruns.push([member.whole?.member ?? member])
  }

  #stopJoining(cause: HeadraceError): void {
    if (!this.#canJoin) return
    this.#canJoin = false
    this.#logger.warn(
      { err: cause },
      `Model ${this.version.model}/${this.version.version} runs each call alone from now on.`,
    )
  }

  #succeed(member: Member, result: LeafResult, nowMs: number): void {
    if (member.isAnswered) return
    member.isAnswered = true
    this.#closeInquest(member, false)
    member.resolve(result)
    const { whole } = member
    if (whole === undefined) {
      this.#metrics.latencySeconds.observe((nowMs - member.arrivedMs) / 1000)
      this.#succeeded.inc()
      return
    }
    if (!whole.isComplete) return
    const joined = whole.result(nowMs)
    if (joined !== undefined) this.#succeed(whole.member, joined, nowMs)
    else {
      const detail = 'parts of one request gave rows of different shapes'
      this.#stopJoining(this.#outputMismatch(this.#outputNames[0]!, detail))
      this.#reruns.push([whole.member])
    }
  }

  #fail(member: Member, error: HeadraceError, nowMs: number): void {
    if (member.isAnswered) return
    member.isAnswered = true
    this.#closeInquest(member, true)
    if (member.whole !== undefined) {
      this.#addWaiting(-member.whole.end())
      this.#fail(member.whole.member, error, nowMs)
      return
    }
    this.#metrics.latencySeconds.observe((nowMs - member.arrivedMs) / 1000)
    this.#metrics.ended(error.code).inc()
    member.reject(error)
  }

  #failAll(members: readonly Member[], error: HeadraceError, nowMs: number): void {
    for (let i = 0; i < members.length; i++) this.#fail(members[i]!, error, nowMs)
  }

  /** A model that fails in company and never alone has a fixed batch size inside, whatever its signature says. */
  #closeInquest(member: Member, isGuilty: boolean): void {
    const { inquest } = member
    if (inquest === undefined) return
    inquest.unknown--
    if (isGuilty) inquest.guilty++
    if (inquest.unknown > 0 || inquest.guilty > 0 || ++this.#baselessFailures < BASELESS_FAILURES) return
    this.#stopJoining(this.#runFailed('batches fail although every call in them succeeds alone'))
  }

  /** Answers everyone whose time is up, and gives up runs that have had theirs. */
  #expire(nowMs: number): void {
    let nextMs = Number.POSITIVE_INFINITY
    const expires = (member: Member, phase: 'queued' | 'running'): boolean => {
      if (member.isAnswered) return true
      const { atMs } = member.deadline
      if (isDue(atMs, nowMs)) this.#fail(member, this.#deadlineExceeded(member.arrivedMs, nowMs, phase), nowMs)
      else if (atMs < nextMs) nextMs = atMs
      return member.isAnswered
    }
    this.#dropWaiting((member) => expires(member, 'queued'))
    for (const rerun of this.#reruns) for (const member of rerun) expires(member, 'queued')
    for (const run of this.#runs) {
      if (run.isAbandoned) continue
      for (const member of run.members) expires(member, 'running')
      const limitMs = run.startedMs + this.#timeoutMs
      if (isDue(limitMs, nowMs)) this.#abandon(run, nowMs)
      else if (limitMs < nextMs) nextMs = limitMs
    }
    if (this.#hungRuns >= this.#backend.concurrency && this.#unreadyReason === undefined) this.#becomeUnready(nowMs)
    this.#alarm.by(nextMs)
    this.#settleIdle()
  }

  #abandon(run: Run, nowMs: number): void {
    run.isAbandoned = true
    this.#hungRuns++
    const { model, version } = this.version
    const error = ServingErrors.RUN_TIMEOUT({ model, version, timeoutMs: this.#timeoutMs, rows: run.rows })
    this.#logger.error({ err: error }, error.message)
    this.#failAll(run.members, error, nowMs)
  }

  /**
   * Every slot hangs. Calls are refused from here on, and those waiting are answered: nobody knows when a hung run ends, and a
   * caller who hears of it at once can fall back to another version while there is time.
   */
  #becomeUnready(nowMs: number): void {
    const reason = `a run has been going for more than its limit of ${this.#timeoutMs} ms`
    const error = this.#unready(reason)
    this.#unreadyReason = reason
    for (const rerun of this.#reruns.splice(0)) this.#failAll(rerun, error, nowMs)
    this.#dropWaiting((member) => {
      this.#fail(member, error, nowMs)
      return true
    })
    this.#onReadiness(reason)
  }

  #addWaiting(rows: number): void {
    this.#waitingRows += rows
    this.#metrics.waitingRows.set(this.#waitingRows)
  }

  #retryAfterMs(): number {
    if (this.#drainedRows === 0) return RETRY_AFTER_MS
    const rowsPerMs = (this.#drainedRows * this.#backend.concurrency) / this.#drainedMs
    return Math.min(LONGEST_RETRY_AFTER_MS, Math.max(1, Math.ceil(this.#waitingRows / rowsPerMs)))
  }

  #isIdle(): boolean {
    return this.#waiting.isEmpty && this.#reruns.length === 0 && this.#runs.length === this.#hungRuns
  }

  #settleIdle(): void {
    if (this.#idle.length > 0 && this.#isIdle()) for (const resolve of this.#idle.splice(0)) resolve()
  }

  #unready(reason: string): HeadraceError {
    const { model, version } = this.version
    return ServingErrors.MODEL_UNREADY({ model, version, reason, retryAfterMs: RETRY_AFTER_MS })
  }

  #deadlineExceeded(arrivedMs: number, nowMs: number, phase: 'queued' | 'running'): HeadraceError {
    const { model, version } = this.version
    return ServingErrors.DEADLINE_EXCEEDED({ model, version, waitedMs: Math.round(nowMs - arrivedMs), phase })
  }

  #overloaded(expectedMs: number, leftMs: number): HeadraceError {
    const retryAfterMs = Math.min(LONGEST_RETRY_AFTER_MS, Math.max(1, Math.ceil(expectedMs - leftMs)))
    return ServingErrors.OVERLOADED({
      model: this.version.model,
      expectedMs: Math.ceil(expectedMs),
      leftMs: Math.floor(leftMs),
      retryAfterMs,
    })
  }

  #outputMismatch(output: string, detail: string): HeadraceError {
    const { model, version } = this.version
    return ServingErrors.OUTPUT_MISMATCH({ model, version, output, detail })
  }

  #runFailed(reason: unknown): HeadraceError {
    if (reason instanceof HeadraceError) return reason
    const { model, version } = this.version
    const detail = reason instanceof Error ? reason.message : String(reason)
    return ServingErrors.RUN_FAILED({ model, version, detail }, reason)
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
