// The batcher: calls of one version become runs of its backend.
//
// It waits for nothing by default. An idle backend gets what is there at the end of this turn of the event loop, so that all
// requests read in one turn share a run; while the backend is busy calls gather, and when it is free those that wait go, up to the
// limit of rows. Everything beyond that is decided by what runs of this version were seen to cost (`cost-model.ts`): who is turned
// away at once because the answer would come too late (`admission.ts`), who runs when not all can be in time, and whether a slot that
// is free should wait a little (`next-batch.ts`). Who is next is the queue's business (`queue.ts`).
//
// Three rules keep calls apart: a call is checked against the signature before it joins anything; outputs are cut by the rows that
// went in, and a model whose outputs have other rows is never batched again (`joining.ts`); a batch that fails is run again by
// halves, and one that is lost with its process call by call, so that only the calls that fail alone fail (`endings.ts`).
import type { Clock, HeadraceError, Logger, VersionRef } from '../core/index.js'
import { Deadline } from '../flow/index.js'
import type { ModelManifest, TensorMap } from '../tensor/index.js'
import { Admission } from './admission.js'
import { Alarm, isDue } from './alarm.js'
import { CostModels } from './cost-model.js'
import { Endings } from './endings.js'
import { unionOutputs } from './joined.js'
import { Joining } from './joining.js'
import { Load } from './load.js'
import { Margin } from './margin.js'
import { Member, Whole } from './member.js'
import type { VersionMetrics } from './metrics.js'
import { type Batch, NextBatch } from './next-batch.js'
import { Queue } from './queue.js'
import { RowLimit } from './row-limit.js'
import { type Run, Runs } from './runs.js'
import { TurnEnd } from './turn-end.js'
import type { Backend, Leaf, LeafInput, LeafResult } from './types.js'
import { VersionErrors } from './version-errors.js'
import { laneOf } from './waiting.js'

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

const DEFAULT_MAX_WAIT_MS = 5000
/** The process that ran it has ended, by some member's fault or nobody's. */
const RUN_LOST = 'MODEL_PROCESS_ENDED'

export class Batcher implements Leaf {
  readonly version: VersionRef
  readonly #backend: Backend
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #metrics: VersionMetrics
  readonly #timeoutMs: number
  readonly #maxPartRows: number
  readonly #onReadiness: (reason: string | undefined) => void
  readonly #errors: VersionErrors
  readonly #joining: Joining
  readonly #queue: Queue
  readonly #runs: Runs
  readonly #costs = new CostModels()
  readonly #endings: Endings
  readonly #admission: Admission
  readonly #next: NextBatch
  readonly #turnEnd: TurnEnd
  /** Rings when somebody's time is up. */
  readonly #alarm: Alarm
  /** That came since the last dispatch. */
  #newCalls = 0
  #isDispatchDue = false
  #unreadyReason: string | undefined = undefined
  readonly #idle: (() => void)[] = []
  #isClosed = false

  constructor(options: BatcherOptions) {
    const { version, backend, manifest, clock, logger, metrics, defer } = options
    const batching = backend.joinsCalls === false ? { ...manifest.batching, enabled: false } : manifest.batching
    this.version = version
    this.#backend = backend
    this.#clock = clock
    this.#logger = logger
    this.#metrics = metrics
    this.#timeoutMs = manifest.timeoutMs
    this.#onReadiness = options.onReadiness
    this.#turnEnd = new TurnEnd(defer, options.soon ?? defer)
    this.#alarm = new Alarm(clock, (nowMs) => this.#expire(nowMs))
    const limit = new RowLimit({
      maxBatchSize: batching.maxBatchSize,
      maxBatchSizeUnderPressure: batching.maxBatchSizeUnderPressure ?? 2 * batching.maxBatchSize,
      allowedBatchSizes: batching.allowedBatchSizes ?? [],
    })
    this.#maxPartRows = limit.rows
    const load = new Load()
    const costs = this.#costs
    const errors = new VersionErrors(version)
    const joining = new Joining(backend.signature, batching, errors, logger)
    const runs = new Runs(backend)
    const { maxQueueRows, maxWaitMs = DEFAULT_MAX_WAIT_MS } = batching
    const queue = new Queue(maxWaitMs, maxQueueRows, joining, metrics.waitingRows)
    const margin = new Margin()
    const endings = new Endings(queue, joining, errors, metrics, margin)
    this.#errors = errors
    this.#joining = joining
    this.#runs = runs
    this.#queue = queue
    this.#endings = endings
    metrics.statistics.queues.add(queue)
    this.#admission = new Admission({ queue, runs, joining, endings, costs, load, limit, margin, errors })
    this.#next = new NextBatch({
      queue,
      runs,
      joining,
      endings,
      costs,
      load,
      limit,
      errors,
      rowsLimit: metrics.rowsLimit,
      preferredSizes: batching.preferredBatchSizes ?? [],
      maxDelayMs: batching.maxDelayMs,
      holdAlarm: new Alarm(clock, this.#onTurnEnd),
    })
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
        const refusal = this.#isClosed ? 'it has been unloaded' : (this.#unreadyReason ?? this.#backend.refusal)
        const rows = this.#admission.check(input, deadline, lane, refusal, nowMs)
        const tensors = this.#joining.complete(input.tensors)
        const member = new Member(input, tensors, rows, deadline, lane, nowMs, resolve, reject, undefined)
        member.isExpectedInTime = this.#admission.wasForecast
        this.#admit(member, nowMs)
      } catch (error) {
        const { code } = error as HeadraceError
        this.#metrics.ended(code).inc()
        if (input.isTest !== true) this.#metrics.statistics.failed(code, this.#clock.monotonicMs() - nowMs)
        reject(error)
      }
    })
  }

  /** Nothing is queued or running. */
  get isIdle(): boolean {
    return this.#queue.isEmpty && this.#runs.isQuiet
  }

  dropCancelled(): void {
    const nowMs = this.#clock.monotonicMs()
    this.#queue.removeWhere((member) => this.#endings.drops(member, nowMs))
    this.#queue.eachRerun((member) => this.#endings.drops(member, nowMs))
    if (this.#backend.abandon !== undefined)
      for (const { members, context } of this.#runs.underWay) if (members.every(isGone)) this.#backend.abandon(context)
    this.#settleIdle()
  }

  /** How long a call of this many rows made now should take; undefined until enough runs were seen. */
  expectedMs(rows: number): number | undefined {
    return this.#admission.expectedMs(rows, laneOf('normal'), this.#clock.monotonicMs())
  }

  /** Resolves when every call has its answer; calls that arrive meanwhile are still taken. Refuses all after that. */
  async close(): Promise<void> {
    if (!this.isIdle) await new Promise<void>((resolve) => this.#idle.push(resolve))
    this.#isClosed = true
    this.#metrics.statistics.queues.delete(this.#queue)
  }

  #admit(member: Member, nowMs: number): void {
    this.#newCalls++
    this.#queue.addRows(member.rows)
    const isLarge = member.rows > this.#maxPartRows && this.#joining.canJoin
    this.#queue.push(isLarge ? new Whole(member, this.#maxPartRows).nextPart()! : member, nowMs)
    this.#alarm.by(member.deadline.atMs)
    this.#dispatchSoon()
  }

  #dispatchSoon(): void {
    if (this.#isDispatchDue || !this.#runs.hasFreeSlot) return
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
    while (this.#runs.hasFreeSlot && !this.#queue.isEmpty) {
      const nowMs = this.#clock.monotonicMs()
      const batch = this.#next.take(nowMs)
      if (batch === undefined) break
      this.#start(batch, nowMs)
    }
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
    this.#metrics.batchRows.observe(rows)
    this.#metrics.dispatched[reason].inc()
    const joining = this.#joining
    const size = joining.canJoin ? joining.sizeOf(rows) : rows
    const outputs = unionOutputs(members)
    const expectedMs = cost.ms(size)
    const length = joining.lengthOf(members)
    const limitMs = startedMs + this.#timeoutMs
    const deadline = latest.atMs <= limitMs ? latest : Deadline.at(this.#clock, limitMs)
    // A batch of one is the caller's own tensors, which the log still reads after the run.
    const ownsBatch = members.length > 1 || size > rows
    const { priority } = members[0]!.input
    const run: Run = {
      members,
      rows,
      size,
      length,
      cost,
      expectedMs,
      outputs,
      context: { deadline, outputs, ownsBatch, priority },
      startedMs,
      inputMs: 0,
      isHeldUp: this.#backend.refusal !== undefined,
      isAbandoned: false,
    }
    this.#runs.start(run)
    this.#alarm.by(limitMs)
    let answer: Promise<TensorMap>
    try {
      const inputs = joining.inputsOf(run)
      run.inputMs = this.#clock.monotonicMs() - startedMs
      answer = this.#backend.run(inputs, run.context)
    } catch (error) {
      answer = Promise.reject(error)
    }
    answer.then(
      (outputs) => this.#finished(run, outputs),
      (error: unknown) => this.#failed(run, error),
    )
  }

  #finished(run: Run, outputs: TensorMap): void {
    this.#release(run)
    if (!run.isAbandoned) {
      const nowMs = this.#clock.monotonicMs()
      if (!run.isHeldUp) this.#learn(run, nowMs - run.startedMs)
      // A backend elsewhere gets its next batch first and works while these answers are cut.
      if (this.#backend.isolation !== 'inline') this.#dispatch()
      try {
        this.#answer(run, outputs, nowMs)
      } catch (error) {
        this.#endings.failAll(run.members, this.#errors.runFailed(error), nowMs)
      }
    }
    this.#continue()
  }

  #learn(run: Run, ms: number): void {
    const { cost, size } = run
    this.#runs.took(run, ms)
    cost.observe(size, ms)
    this.#metrics.costRowMs.set(cost.rowMs)
    this.#metrics.costRunMs.set(cost.fixedMs)
    this.#metrics.costError.set(cost.spread)
  }

  #answer(run: Run, outputs: TensorMap, nowMs: number): void {
    const { members, rows, startedMs } = run
    if (!this.#joining.check(run, outputs)) {
      for (let i = members.length - 1; i >= 0; i--) this.#endings.rerunAlone(members[i]!)
      return
    }
    const computeMs = nowMs - startedMs
    let start = 0
    let answers = 0
    for (let i = 0; i < members.length; i++) {
      const member = members[i]!
      if (!member.isAnswered) {
        answers++
        const own = this.#joining.cut(run, outputs, member, start)
        const queueMs = startedMs - member.arrivedMs
        this.#endings.succeed(member, { outputs: own, queueMs, computeMs, batchRows: rows }, nowMs)
      }
      start += member.rows
    }
    const outputMs = this.#clock.monotonicMs() - nowMs
    if (members[0]!.input.isTest !== true)
      this.#metrics.statistics.ran(rows, answers, run.inputMs, computeMs - run.inputMs, outputMs, nowMs)
  }

  #failed(run: Run, reason: unknown): void {
    this.#release(run)
    if (!run.isAbandoned) {
      const nowMs = this.#clock.monotonicMs()
      const error = this.#errors.runFailed(reason)
      if (error.code === RUN_LOST) this.#endings.rerunLost(run.members, error, nowMs)
      // What another try may cure is the backend's trouble, a lost thread for instance, and no member's fault.
      else if (run.members.length === 1 || error.retry) this.#endings.failAll(run.members, error, nowMs)
      else this.#endings.rerunByHalves(run.members, nowMs)
    }
    this.#continue()
  }

  #release(run: Run): void {
    this.#runs.release(run)
    if (run.isAbandoned && !this.#runs.allHang) this.#becomeReady()
  }

  #continue(): void {
    // What an inline backend kept from being read during its run is read before the next run starts.
    if (this.#backend.isolation !== 'inline') this.#dispatch()
    else if (!this.#queue.isEmpty) this.#dispatchSoon()
    this.#settleIdle()
  }

  /** Answers everyone whose time is up, and gives up runs that have had theirs. */
  #expire(nowMs: number): void {
    let nextMs = Number.POSITIVE_INFINITY
    const expires = (member: Member, phase: 'queued' | 'running'): boolean => {
      nextMs = Math.min(nextMs, this.#endings.expires(member, nowMs, phase))
      return member.isAnswered
    }
    this.#queue.removeWhere((member) => expires(member, 'queued'))
    this.#queue.eachRerun((member) => expires(member, 'queued'))
    for (const run of this.#runs.underWay) {
      if (run.isAbandoned) continue
      for (const member of run.members) expires(member, 'running')
      const limitMs = run.startedMs + this.#timeoutMs
      if (isDue(limitMs, nowMs)) this.#abandon(run, nowMs)
      else if (limitMs < nextMs) nextMs = limitMs
    }
    if (!this.#runs.allHang) this.#becomeReady()
    else {
      if (this.#unreadyReason === undefined) this.#becomeUnready(nowMs)
      // An instance that was lost and is there again does not say so.
      if (!this.#isClosed) nextMs = Math.min(nextMs, nowMs + this.#timeoutMs)
    }
    this.#alarm.by(nextMs)
    this.#settleIdle()
  }

  #abandon(run: Run, nowMs: number): void {
    this.#runs.abandon(run)
    const error = this.#errors.runTimeout(this.#timeoutMs, run.rows)
    this.#logger.error({ err: error }, error.message)
    this.#endings.failAll(run.members, error, nowMs)
  }

  /**
   * Every slot hangs. Calls are refused from here on, and those waiting are answered: nobody knows when a hung run ends, and a
   * caller who hears of it at once can fall back to another version while there is time.
   */
  #becomeUnready(nowMs: number): void {
    const reason = `a run has been going for more than its limit of ${this.#timeoutMs} ms`
    const error = this.#errors.unready(reason)
    this.#unreadyReason = reason
    for (let again = this.#queue.nextRerun(); again !== undefined; again = this.#queue.nextRerun())
      this.#endings.failAll(again, error, nowMs)
    this.#queue.removeWhere((member) => {
      this.#endings.fail(member, error, nowMs)
      return true
    })
    this.#onReadiness(reason)
  }

  #becomeReady(): void {
    if (this.#unreadyReason === undefined) return
    this.#unreadyReason = undefined
    this.#onReadiness(undefined)
  }

  #settleIdle(): void {
    if (this.#idle.length > 0 && this.isIdle) for (const resolve of this.#idle.splice(0)) resolve()
  }
}

/** Nobody waits for it. */
function isGone(member: Member): boolean {
  return member.isAnswered || member.input.cancelled === true
}
