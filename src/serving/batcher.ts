// The batcher: calls of one version become runs of its backend.
//
// It never waits for company. An idle backend gets what is there at the end of this turn of the event loop, so that all requests
// read in one turn share a run; while the backend is busy calls gather, and when it is free everything waiting goes, up to
// `maxBatchSize` rows. A backend that is busy all the time therefore runs full batches, and one that is not has time to spare:
// holding a call back then would only save compute that nobody is waiting for. `maxDelayMs` bounds a wait that is always zero.
//
// Three rules keep calls apart: a call is checked against the signature before it joins anything; outputs are cut by the rows that
// went in, and a model whose outputs have other rows is never batched again; a batch that fails is run again by halves, so that
// only the calls that fail alone fail.
import { type Clock, type Counter, HeadraceError, type Logger, type VersionRef } from '../core/index.js'
import type { Deadline } from '../flow/index.js'
import { type ModelManifest, shapeText, type TensorMap, validateInputs, validateOutputNames } from '../tensor/index.js'
import { Alarm, isDue } from './alarm.js'
import { ServingErrors } from './errors.js'
import { brokenOutput, cutOutputs, joinInputs, pickOutputs, unbatchedOutput, unionOutputs } from './joined.js'
import { Member, Whole } from './member.js'
import type { VersionMetrics } from './metrics.js'
import { createShapeKey, type ShapeKey } from './shape-key.js'
import type { Backend, Leaf, LeafInput, LeafResult } from './types.js'
import { Waiting } from './waiting.js'

export interface BatcherOptions {
  readonly version: VersionRef
  readonly backend: Backend
  readonly manifest: Pick<ModelManifest, 'batching' | 'timeoutMs'>
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: VersionMetrics
  /** Runs a callback at the end of this turn of the event loop; `setImmediate` outside tests. */
  readonly defer: (callback: () => void) => void
  /** Called with a reason when every slot of the backend hangs, and with undefined when one came back. */
  readonly onReadiness: (reason: string | undefined) => void
}

/** One batch in the backend. */
interface Run {
  readonly members: readonly Member[]
  readonly rows: number
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

export class Batcher implements Leaf {
  readonly version: VersionRef
  readonly #backend: Backend
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #metrics: VersionMetrics
  readonly #defer: (callback: () => void) => void
  readonly #onReadiness: (reason: string | undefined) => void
  readonly #shapeKey: (tensors: TensorMap) => ShapeKey
  readonly #outputNames: readonly string[]
  readonly #maxBatchRows: number
  readonly #maxQueueRows: number
  readonly #timeoutMs: number
  readonly #succeeded: Counter
  readonly #alarm: Alarm
  readonly #waiting = new Waiting()
  readonly #runs: Run[] = []
  /** Pieces of failed batches; they have waited already, so they go before the queue. */
  readonly #reruns: (readonly Member[])[] = []
  #canJoin: boolean
  #waitingRows = 0
  #isDispatchDue = false
  #hungRuns = 0
  #unreadyReason: string | undefined = undefined
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
    this.#defer = options.defer
    this.#onReadiness = options.onReadiness
    this.#shapeKey = createShapeKey(signature)
    this.#outputNames = signature.outputs.map((spec) => spec.name)
    this.#maxBatchRows = manifest.batching.maxBatchSize
    this.#maxQueueRows = manifest.batching.maxQueueRows
    this.#timeoutMs = manifest.timeoutMs
    this.#canJoin =
      manifest.batching.enabled && signature.batchAxis === 0 && signature.inputs.every(({ shape }) => shape[0] === -1)
  }

  /**
   * Rejects with TENSOR_ errors, SERVING_MODEL_UNREADY, SERVING_QUEUE_FULL, SERVING_DEADLINE_EXCEEDED, SERVING_CANCELLED,
   * SERVING_RUN_TIMEOUT, SERVING_RUN_FAILED, SERVING_OUTPUT_MISMATCH, or what the backend rejected with.
   */
  call(input: LeafInput, deadline: Deadline): Promise<LeafResult> {
    return new Promise((resolve, reject) => {
      const nowMs = this.#clock.monotonicMs()
      try {
        const rows = this.#check(input, deadline, nowMs)
        this.#admit(new Member(input, input.tensors, rows, deadline, nowMs, resolve, reject, undefined))
      } catch (error) {
        this.#metrics.ended((error as HeadraceError).code).inc()
        reject(error)
      }
    })
  }

  dropCancelled(): void {
    const nowMs = this.#clock.monotonicMs()
    this.#waiting.removeWhere((member) => {
      if (!this.#drops(member, nowMs)) return false
      this.#addWaiting(-member.rows)
      return true
    })
    this.#settleIdle()
  }

  /** Resolves when every call has its answer; calls that arrive meanwhile are still taken. Refuses all after that. */
  async close(): Promise<void> {
    if (!this.#isIdle()) await new Promise<void>((resolve) => this.#idle.push(resolve))
    this.#isClosed = true
  }

  /** The rows of a call that may come in. */
  #check(input: LeafInput, deadline: Deadline, nowMs: number): number {
    const rows = validateInputs(input.tensors, this.#backend.signature)
    validateOutputNames(input.outputs, this.#backend.signature)
    if (this.#isClosed) throw this.#unready('it has been unloaded')
    if (this.#unreadyReason !== undefined) throw this.#unready(this.#unreadyReason)
    if (isDue(deadline.atMs, nowMs)) throw this.#deadlineExceeded(nowMs, nowMs, 'queued')
    // A request above the limit on its own gets in when nothing waits: told to come back, it would never be let in.
    if (this.#waitingRows > 0 && this.#waitingRows + rows > this.#maxQueueRows)
      throw ServingErrors.QUEUE_FULL({
        model: this.version.model,
        rows,
        waitingRows: this.#waitingRows,
        maxQueueRows: this.#maxQueueRows,
        retryAfterMs: this.#retryAfterMs(),
      })
    return rows
  }

  #admit(member: Member): void {
    this.#addWaiting(member.rows)
    if (this.#canJoin && member.rows > this.#maxBatchRows) this.#push(new Whole(member, this.#maxBatchRows).nextPart()!)
    else this.#push(member)
    this.#alarm.by(member.deadline.atMs)
    this.#dispatchSoon()
  }

  #push(member: Member): void {
    // Without joining there are no groups, and order of arrival is all that counts.
    this.#waiting.push(this.#canJoin ? this.#shapeKey(member.tensors) : 0, member)
  }

  #dispatchSoon(): void {
    if (this.#isDispatchDue || this.#runs.length >= this.#backend.concurrency) return
    this.#isDispatchDue = true
    this.#defer(this.#onTurnEnd)
  }

  readonly #onTurnEnd = (): void => {
    this.#isDispatchDue = false
    this.#dispatch()
    this.#settleIdle()
  }

  /** Fills every free slot of the backend. */
  #dispatch(): void {
    while (this.#runs.length < this.#backend.concurrency) {
      const members = this.#nextBatch()
      if (members === undefined) break
      this.#start(members)
    }
  }

  #nextBatch(): readonly Member[] | undefined {
    const nowMs = this.#clock.monotonicMs()
    for (let rerun = this.#reruns.pop(); rerun !== undefined; rerun = this.#reruns.pop()) {
      const members = rerun.filter((member) => !this.#drops(member, nowMs))
      if (members.length > 0) return members
    }
    for (let group = this.#waiting.oldest(); group !== undefined; group = this.#waiting.oldest()) {
      const members: Member[] = []
      let rows = 0
      while (group.head !== undefined) {
        if (rows > 0 && (!this.#canJoin || rows + group.head.rows > this.#maxBatchRows)) break
        const member = this.#waiting.shift(group)
        this.#leaveQueue(member)
        if (this.#drops(member, nowMs)) continue
        members.push(member)
        rows += member.rows
      }
      if (members.length > 0) return members
    }
    return undefined
  }

  /** A member left the queue, to run or for good; the next part of its request takes a place at the end. */
  #leaveQueue(member: Member): void {
    this.#addWaiting(-member.rows)
    const next = member.isAnswered ? undefined : member.whole?.nextPart()
    if (next !== undefined) this.#push(next)
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

  #start(members: readonly Member[]): void {
    const startedMs = this.#clock.monotonicMs()
    let rows = 0
    let latest = members[0]!.deadline
    for (let i = 0; i < members.length; i++) {
      const member = members[i]!
      rows += member.rows
      if (member.deadline.atMs > latest.atMs) latest = member.deadline
      this.#metrics.queueSeconds.observe((startedMs - member.arrivedMs) / 1000)
    }
    this.#metrics.batchRows.observe(rows)
    const outputs = unionOutputs(members)
    const run: Run = { members, rows, outputs, startedMs, isAbandoned: false }
    this.#runs.push(run)
    this.#alarm.by(startedMs + this.#timeoutMs)
    let answer: Promise<TensorMap>
    try {
      const deadline = latest.atMost(this.#timeoutMs)
      // A batch of one is the caller's own tensors, which the log still reads after the run.
      answer = this.#backend.run(joinInputs(members), { deadline, outputs, ownsBatch: members.length > 1 })
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
      this.#drainedRows = this.#drainedRows * 0.8 + run.rows
      this.#drainedMs = this.#drainedMs * 0.8 + (nowMs - run.startedMs)
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
    const { members, rows, startedMs } = run
    const computeMs = nowMs - startedMs
    const names = run.outputs ?? this.#outputNames
    const broken = brokenOutput(outputs, names)
    if (broken !== undefined) throw this.#outputMismatch(broken.output, broken.detail)
    const isAlone = members.length === 1
    const unbatched = isAlone && members[0]!.whole === undefined ? undefined : unbatchedOutput(outputs, names, rows)
    if (unbatched !== undefined) {
      const detail = `${rows} rows went in and its shape is ${shapeText(unbatched.shape)}`
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
        const cut = isAlone ? pickOutputs(outputs, own) : cutOutputs(outputs, own, start, member.rows)
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
    this.#waiting.removeWhere((member) => {
      const isGone = expires(member, 'queued')
      if (isGone) this.#addWaiting(-member.rows)
      return isGone
    })
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
    this.#waiting.removeWhere((member) => {
      this.#addWaiting(-member.rows)
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
    return Math.min(60_000, Math.max(1, Math.ceil(this.#waitingRows / rowsPerMs)))
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
