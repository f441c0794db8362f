// Drives a route's state machine for one request: carries out its steps with real calls and timers and reports back. What happens
// after the reply (shadows, calls nobody waits for) is done here too, and can no longer change or fail the reply.
import { type Clock, type HeadraceError, type Ids, type Logger, type Timer, toHeadraceError } from '../core/index.js'
import { Deadline } from '../flow/index.js'
import type { PredictionLog, RecordedCall } from '../log/index.js'
import {
  type CallStep,
  type Constant,
  type LastKnown,
  leafText,
  type RefusedStep,
  type ReplyStep,
  RouteErrors,
  type RouteRun,
  type Step,
  type VersionLeaf,
} from '../route/index.js'
import type { CachePolicy, LeafInput, LeafResult, PredictionCache, ServedVersion } from '../serving/index.js'
import type { TensorMap } from '../tensor/index.js'
import { constantFor } from './constant-for.js'
import { addCost, costOf } from './cost.js'
import { DrivenCall } from './driven-call.js'
import { answeringVersion, referenceVersion, type Versions } from './endpoint.js'
import type { EndpointHealth } from './endpoint-health.js'
import { featureFlags } from './features-stage.js'
import { CACHED, FALLBACK, flagList, LEASE_EXPIRED, STALE } from './flags.js'
import type { Health } from './health.js'
import { inputsFor, metaInputs } from './inputs-for.js'
import { hasUnleased, type Leases, whileLeased } from './leases.js'
import { probabilitiesOf } from './outputs-of.js'
import type { AfterReply, Prediction } from './prediction.js'
import type { RouteMetrics } from './route-metrics.js'
import { standIn } from './stand-ins.js'

/** What all requests share. */
export interface DriveServices {
  readonly clock: Clock
  readonly ids: Ids
  readonly logger: Logger
  readonly log: PredictionLog
  readonly versions: Versions
  readonly health: Health
  readonly metrics: RouteMetrics
  readonly answers: PredictionCache | undefined
  readonly leases: Leases | undefined
  readonly tensorsFor: ((prediction: Prediction, served: ServedVersion) => TensorMap | Promise<TensorMap>) | undefined
  /** A call was dropped that may still be queued. */
  readonly onDropped: () => void
  /** What is under way beside the requests in flight: draining waits for it. */
  readonly detached: { count: number; onNone: (() => void) | undefined }
}

/** An answer that was there at once, to be reported when the machine waits. */
interface Ready {
  readonly call: DrivenCall
  readonly error: HeadraceError | undefined
}

export class Drive implements AfterReply {
  readonly #services: DriveServices
  readonly #health: EndpointHealth
  readonly #prediction: Prediction
  readonly #run: RouteRun
  readonly #startedMs: number
  readonly #limitMs: number
  readonly #reference: ServedVersion | undefined
  readonly #calls: DrivenCall[] = []
  readonly #ready: Ready[] = []
  #timer: Timer | undefined
  #timerMs = Number.POSITIVE_INFINITY
  #resolve!: () => void
  #reject!: (error: HeadraceError) => void
  #hasReplied = false
  #isDetached = false
  /** The step that waits for the reply to be out. */
  #held: Step | undefined

  constructor(services: DriveServices, health: EndpointHealth, prediction: Prediction) {
    this.#services = services
    this.#health = health
    this.#prediction = prediction
    this.#run = prediction.endpoint.route.run()
    this.#startedMs = services.clock.monotonicMs()
    this.#limitMs = prediction.deadline!.atMs - this.#startedMs
    this.#reference = reference(prediction, services.versions)
  }

  /** Resolves when there is an answer, and rejects with a HeadraceError when there is none. */
  start(draw: number): Promise<void> {
    const { endpoint, unit, tenant, protocol, priority, metadata, rows } = this.#prediction
    this.#health.budget.deposit()
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      const step = this.#run.start({
        endpoint: endpoint.name,
        unit,
        tenant,
        protocol,
        priority,
        metadata,
        rows,
        draw,
        deadlineMs: this.#limitMs,
        health: this.#health,
        leases: this.#services.leases,
      })
      this.#prediction.choices = this.#run.choices
      if (endpoint.route.isLeased && hasUnleased(this.#run.choices)) this.#prediction.routeFlags = LEASE_EXPIRED
      this.#advance(step)
    })
  }

  /** The reply is out: copies may start. */
  goOn(): void {
    const held = this.#held
    this.#held = undefined
    if (held) this.#advance(held)
  }

  #nowMs(): number {
    return this.#services.clock.monotonicMs() - this.#startedMs
  }

  #advance(first: Step): void {
    try {
      let step: Step | undefined = first
      while (step) step = this.#carryOut(step)
    } catch (error) {
      this.#break(error)
    }
  }

  /** The step that follows, or undefined when something has to happen first. */
  #carryOut(step: Step): Step | undefined {
    switch (step.kind) {
      case 'call':
        if (this.#hasReplied && !this.#prediction.isRecorded) return this.#hold(step)
        this.#begin(step)
        return this.#next()
      case 'refused':
        this.#recordRefused(step)
        return this.#next()
      case 'cancel':
        this.#drop(this.#calls[step.call]!)
        return this.#next()
      case 'reply':
        this.#hasReplied = true
        this.#reply(step)
        this.#resolve()
        return this.#next()
      case 'fail':
        this.#hasReplied = true
        this.#services.metrics.choices(this.#prediction.endpoint.name, this.#run.choices)
        this.#reject(step.error)
        return this.#next()
      case 'wait': {
        const ready = this.#ready.shift()
        if (ready) return this.#event(ready.call, ready.error)
        this.#waitUntil(step.untilMs)
        return undefined
      }
      case 'detach':
        this.#detach()
        return undefined
    }
  }

  #next(): Step {
    return this.#run.resume({ kind: 'next', nowMs: this.#nowMs() })
  }

  #hold(step: Step): undefined {
    this.#held = step
    this.#prediction.afterReply = this
    this.#services.detached.count++
    return undefined
  }

  #begin(step: CallStep): void {
    const call = new DrivenCall(this.#prediction, step, this.#nowMs())
    this.#calls[step.call] = call
    const { leaf } = step
    switch (leaf.kind) {
      case 'version':
        this.#callVersion(call, leaf)
        return
      case 'last-known':
        this.#giveLastKnown(call, leaf)
        return
      case 'constant':
        this.#giveConstant(call, leaf)
        return
    }
  }

  #callVersion(call: DrivenCall, leaf: VersionLeaf): void {
    let calling: Promise<LeafResult>
    try {
      const waking = this.#services.versions.wake(leaf, call.step.deadlineMs - this.#nowMs())
      calling = waking === undefined ? this.#callServed(call, leaf) : waking.then(() => this.#callServed(call, leaf))
    } catch (error) {
      this.#endAtOnce(call, toHeadraceError(error))
      return
    }
    if (leaf.lease !== undefined && call.step.role !== 'shadow') calling = this.#leased(call, leaf.lease, calling)
    this.#services.detached.count++
    calling.then(
      (result) => this.#ended(call, result, undefined),
      (error: unknown) => this.#ended(call, undefined, toHeadraceError(error)),
    )
  }

  /** The candidate's call, or the baseline's in its place when the lease is lost. */
  #leased(
    call: DrivenCall,
    { release, otherwise }: NonNullable<VersionLeaf['lease']>,
    calling: Promise<LeafResult>,
  ): Promise<LeafResult> {
    return whileLeased(this.#services.leases!, release, calling, async () => {
      call.isReplaced = true
      this.#services.onDropped()
      this.#prediction.routeFlags |= LEASE_EXPIRED
      const instead = new DrivenCall(this.#prediction, { ...call.step, leaf: otherwise }, call.startedMs)
      try {
        await this.#services.versions.wake(otherwise, call.step.deadlineMs - this.#nowMs())
        return await this.#callServed(instead, otherwise)
      } finally {
        call.served = instead.served
        call.feedsLastKnown = instead.feedsLastKnown
      }
    })
  }

  #callServed(call: DrivenCall, leaf: VersionLeaf): Promise<LeafResult> {
    const { step } = call
    const served = this.#services.versions.resolve(leaf)
    call.served = served
    const prediction = this.#prediction
    if (step.inputsFrom) call.tensors = metaInputs(leaf, served, step.inputsFrom)
    else if (prediction.given === undefined) call.tensors = inputsFor(served, this.#reference, prediction.tensors)
    else return this.#callWithFeatures(call, served)
    if (call.tensors !== this.#prediction.tensors) call.feedsLastKnown = false
    return served.leaf.call(call, this.#deadlineOf(step))
  }

  /** What it answers to is not the request alone, so that the last known answer is kept by what callers sent. */
  #callWithFeatures(call: DrivenCall, served: ServedVersion): Promise<LeafResult> {
    call.feedsLastKnown = false
    const tensors = this.#services.tensorsFor!(this.#prediction, served)
    const deadline = this.#deadlineOf(call.step)
    if (!(tensors instanceof Promise)) {
      call.tensors = tensors
      return served.leaf.call(call, deadline)
    }
    return tensors.then((assembled) => {
      call.tensors = assembled
      return served.leaf.call(call, deadline)
    })
  }

  #giveLastKnown(call: DrivenCall, { maxAgeMs }: LastKnown): void {
    const { endpoint } = this.#prediction
    const { answers, versions } = this.#services
    const known = endpoint.cache && answers?.lastKnown(...asAsked(endpoint.cache, this.#prediction), maxAgeMs)
    if (known === undefined) {
      this.#endAtOnce(call, RouteErrors.NO_LAST_KNOWN({ endpoint: endpoint.name }))
      return
    }
    const { model, version } = known.version
    try {
      call.served = versions.resolve({ kind: 'version', model, version })
    } catch {
      // A combination, or a version that is gone: the answer is still the one it gave.
      const name = version === 0 ? model : `${model}/${version}`
      call.served = this.#reference && standIn(name, this.#reference)
    }
    call.answer = known.outputs
    call.cached = 'stale'
    this.#endAtOnce(call, undefined)
  }

  #giveConstant(call: DrivenCall, leaf: Constant): void {
    try {
      // Nothing but a version says which outputs callers expect.
      const like = answeringVersion(this.#prediction.endpoint, this.#services.versions)
      call.served = standIn(leaf.name, like)
      call.answer = constantFor(leaf, like, this.#prediction.rows)
      this.#endAtOnce(call, undefined)
    } catch (error) {
      this.#endAtOnce(call, toHeadraceError(error))
    }
  }

  #endAtOnce(call: DrivenCall, error: HeadraceError | undefined): void {
    this.#report(call, error, 0)
    this.#record(call, error, 0)
    this.#ready.push({ call, error })
  }

  /** Of a call that was waited for; after the detach nobody is told any more. */
  #ended(call: DrivenCall, result: LeafResult | undefined, error: HeadraceError | undefined): void {
    try {
      const latencyMs = this.#nowMs() - call.startedMs
      if (result) {
        call.answer = result.outputs
        call.queueMs = result.queueMs
        call.computeMs = result.computeMs
        call.batchRows = result.batchRows
        call.cached = result.cached
        call.loadMs = result.loadMs ?? 0
      }
      this.#report(call, error, latencyMs)
      this.#record(call, error, latencyMs)
      if (!call.isDropped && !this.#isDetached) this.#advance(this.#event(call, error))
    } catch (failure) {
      this.#break(failure)
    } finally {
      this.#oneLess()
    }
  }

  #event(call: DrivenCall, error: HeadraceError | undefined): Step {
    const nowMs = this.#nowMs()
    const number = call.step.call
    if (error) return this.#run.resume({ kind: 'failure', call: number, error, nowMs })
    const { wantsAllOutputs, leaf } = call.step
    // What is no version's answer to this request is never sure.
    const isJudged = wantsAllOutputs && leaf.kind === 'version'
    const probabilities = isJudged ? probabilitiesOf(call.served!) : undefined
    return this.#run.resume({ kind: 'result', call: number, answer: call.answer!, nowMs, probabilities })
  }

  #drop(call: DrivenCall): void {
    call.isDropped = true
    const latencyMs = this.#nowMs() - call.startedMs
    // What is given up at its deadline hangs or is too slow; anything else is merely not needed.
    if (call.step.isGuarded && call.served !== undefined && !call.isReported) {
      call.isReported = true
      const health = this.#services.health.of(call.served)
      const isLoading = call.served.leaf.isLoading === true
      if (this.#nowMs() >= call.step.deadlineMs && !isLoading) health.timedOut(latencyMs)
      else health.cancelled(latencyMs)
    }
    this.#services.onDropped()
  }

  #report(call: DrivenCall, error: HeadraceError | undefined, latencyMs: number): void {
    const { served, step } = call
    if (served === undefined || step.leaf.kind !== 'version' || call.isReported) return
    // Copies run at low priority, so their times and failures say little.
    if (step.role === 'shadow') return
    call.isReported = true
    const health = this.#services.health.of(served)
    if (!error) {
      if (call.cached === undefined) health.succeeded(latencyMs - call.loadMs, step.isGuarded)
      else if (step.isGuarded) health.cancelled(latencyMs)
    } else if (step.isGuarded) {
      // Callers choose which versions they give enough: one that gets too little from them is no less well.
      if (this.#prediction.given !== undefined && error.code === 'PATH_VERSION_UNFIT') health.cancelled(latencyMs)
      else health.failed(error, latencyMs)
    }
  }

  #record(call: DrivenCall, error: HeadraceError | undefined, latencyMs: number): void {
    const { step, served, queueMs, batchRows, cached } = call
    const { leaf, role } = step
    const ref = leaf.kind === 'constant' ? undefined : served?.ref
    const recorded: RecordedCall = {
      leaf: leaf.kind === 'version' && served ? served.key : leafText(leaf),
      model: ref?.model ?? (leaf.kind === 'version' ? leaf.model : ''),
      version: ref?.version ?? (leaf.kind === 'version' && typeof leaf.version === 'number' ? leaf.version : 0),
      role,
      status: error ? error.code : 'ok',
      latencyMs,
      queueMs,
      batchRows,
      cached,
    }
    const { metrics } = this.#services
    const { endpoint, rows } = this.#prediction
    if (step.shadowOf !== undefined) metrics.shadow(endpoint.name, step.shadowOf, error ? 'error' : 'ok')
    if (!this.#prediction.isRecorded) {
      call.recordedAt = this.#prediction.record(recorded)
      if (leaf.kind === 'version') addCost(this.#prediction, served, recorded)
      return
    }
    metrics.cost(endpoint.name, (leaf.kind === 'version' && costOf(served, recorded, rows)) || 0)
    this.#recordLate(recorded, call.answer)
  }

  /** So that the record says why an arm was passed over. */
  #recordRefused({ leaf, role, error }: RefusedStep): void {
    // There is a circuit, so the version is there.
    const { ref, key } = this.#services.versions.resolve(leaf)
    this.#prediction.record({
      leaf: key,
      model: ref.model,
      version: ref.version,
      role,
      status: error.code,
      latencyMs: 0,
      queueMs: 0,
      batchRows: 0,
      cached: undefined,
    })
  }

  /** The inputs are with the prediction. */
  #recordLate(call: RecordedCall, answer: TensorMap | undefined): void {
    const { clock, ids, log } = this.#services
    const { id, endpoint, tenant } = this.#prediction
    log.append({
      kind: 'call',
      id: ids.next(),
      timeMs: Math.round(clock.nowMs()),
      prediction: id,
      endpoint: endpoint.name,
      tenant,
      call,
      ...(answer === undefined
        ? undefined
        : { payload: { inputs: NO_TENSORS, outputs: [{ call: 0, tensors: answer }] } }),
    })
  }

  #reply(step: ReplyStep): void {
    const prediction = this.#prediction
    const { metrics } = this.#services
    const { endpoint } = prediction
    const call = this.#calls[step.call]!
    const isCombined = step.combinedBy !== undefined
    prediction.served = isCombined ? standIn(step.combinedBy!, call.served!) : call.served
    const answer = step.answer ?? call.answer!
    prediction.answer = call.step.wantsAllOutputs ? only(answer, prediction.outputs) : answer
    prediction.answerCall = isCombined ? -1 : call.recordedAt
    prediction.queueMs = call.queueMs
    prediction.computeMs = call.computeMs
    const cached = isCombined ? this.#cachedParts() : cachedFlag(call)
    const filled = featureFlags(prediction, isCombined ? undefined : call.served) | prediction.routeFlags
    prediction.flags = flagList(cached | (step.isFallback ? FALLBACK : 0) | filled)
    if (prediction.given !== undefined && !isCombined && call.tensors.size > 0) prediction.tensors = call.tensors
    const isVersions = isCombined || call.step.leaf.kind === 'version'
    if (isVersions && endpoint.route.hasLastKnown && !call.feedsLastKnown && cached !== STALE) this.#remember()
    metrics.choices(endpoint.name, this.#run.choices)
    if (step.fallback) metrics.fallback(endpoint.name, step.fallback)
    else if (endpoint.route.cascades.size > 0) this.#countSaved()
  }

  /** A combination is as old as its oldest part, and cached when all of them are. */
  #cachedParts(): number {
    let flags = CACHED
    for (const call of this.#calls) {
      if (call.answer === undefined) continue
      const flag = cachedFlag(call)
      if (flag === STALE) return STALE
      if (flag === 0) flags = 0
    }
    return flags
  }

  /** A reply that no call could keep for the next time, since what it was asked was not the request itself. */
  #remember(): void {
    const { endpoint, served, answer } = this.#prediction
    if (endpoint.cache)
      this.#services.answers?.remember(...asAsked(endpoint.cache, this.#prediction), answer!, served!.ref)
  }

  /** Of each cascade that came to an end early: its dearest arm that did not run. */
  #countSaved(): void {
    const { versions, metrics } = this.#services
    const { endpoint, rows } = this.#prediction
    for (const { node, arm } of this.#run.choices) {
      const arms = endpoint.route.cascades.get(node)
      if (!arms) continue
      let dearest = 0
      for (let i = Number(arm) + 1; i < arms.length; i++)
        for (const leaf of arms[i]!) dearest = Math.max(dearest, costOfLeaf(leaf, versions))
      if (dearest > 0) metrics.costSaved(endpoint.name, node, dearest * rows)
    }
  }

  #deadlineOf({ deadlineMs, role }: CallStep): Deadline {
    const { clock } = this.#services
    const deadline = this.#prediction.deadline!
    if (role === 'shadow') return Deadline.in(clock, deadlineMs - this.#nowMs())
    return deadlineMs >= this.#limitMs ? deadline : deadline.atMost(deadlineMs - this.#nowMs())
  }

  /** One timer serves many waits: one that fires early only asks again. */
  #waitUntil(untilMs: number | undefined): void {
    if (untilMs === undefined || this.#timerMs <= untilMs) return
    this.#timer?.cancel()
    this.#timerMs = untilMs
    this.#timer = this.#services.clock.after(untilMs - this.#nowMs(), () => {
      this.#timer = undefined
      this.#timerMs = Number.POSITIVE_INFINITY
      this.#timePassed()
    })
  }

  #timePassed(): void {
    if (this.#isDetached) return
    try {
      this.#advance(this.#run.resume({ kind: 'time', nowMs: this.#nowMs() }))
    } catch (error) {
      this.#break(error)
    }
  }

  #detach(): void {
    if (this.#isDetached) return
    this.#isDetached = true
    this.#timer?.cancel()
    if (this.#prediction.afterReply === this) this.#oneLess()
  }

  #oneLess(): void {
    const { detached } = this.#services
    detached.count--
    if (detached.count === 0) detached.onNone?.()
  }

  /** Something here is wrong. Before the reply that is the request's failure; after it, nobody's but ours. */
  #break(error: unknown): void {
    const failure = toHeadraceError(error)
    if (!this.#hasReplied) {
      this.#hasReplied = true
      this.#reject(failure)
    } else this.#services.logger.error({ err: failure, id: this.#prediction.id }, 'work after a reply failed')
    this.#detach()
  }
}

/** What a request's last known answer is kept by: its inputs or, where features come to them, what its caller sent. */
function asAsked(policy: CachePolicy, prediction: Prediction): [CachePolicy, LeafInput] {
  const { given, rows, outputs, tenant, protocol, firstRow } = prediction
  if (given === undefined) return [policy, prediction]
  const asked = { tensors: NO_TENSORS, rows, outputs, tenant, protocol, rawInputs: given.text(firstRow, rows) }
  return [{ ...policy, key: 'request' }, asked]
}

function reference({ endpoint }: Prediction, versions: Versions): ServedVersion | undefined {
  try {
    return referenceVersion(endpoint, versions)
  } catch {
    return undefined
  }
}

function only(answer: TensorMap, names: readonly string[] | undefined): TensorMap {
  if (names === undefined || names.length === answer.size) return answer
  return new Map([...answer].filter(([name]) => names.includes(name)))
}

function cachedFlag({ cached }: DrivenCall): number {
  return cached === undefined ? 0 : cached === 'stale' ? STALE : CACHED
}

function costOfLeaf(leaf: VersionLeaf, versions: Versions): number {
  try {
    return versions.resolve(leaf).manifest.cost ?? 0
  } catch {
    return 0
  }
}

const NO_TENSORS: TensorMap = new Map()
