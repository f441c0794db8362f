// Reads the log's records as guards' events: which distinct units showed, for the first time, what a guard looks for. Everything here treats
// the arms alike, so that under "no worse" the arm of an event stays a fair coin: docs/guards.md says record by record why.
import { hash } from 'node:crypto'
import type { RecordedCall, StoredOutcome, StoredPrediction, StoredRecord } from '../../log/index.js'
import { controlWeight } from '../plan.js'
import type { PlanStep } from '../types.js'
import { GROSS_GUARD, latencyGuard } from './budget.js'
import { createFailureTest } from './call-errors.js'
import { ThresholdLearner } from './learner.js'
import { type OutputValue, outputValue } from './outputs.js'
import { RecentPredictions } from './recent-predictions.js'
import { SeenUnits } from './seen-units.js'
import type { GuardSettings } from './settings.js'
import type { GuardArm, GuardEvent, GuardThresholds } from './types.js'

/** Name of the split that a release stands for in a route, and of the flag of a unit whose candidate had no lease. */
export const RELEASE_NODE = 'release'
export const LEASE_EXPIRED = 'lease-expired'

export interface GuardReaderOptions {
  /** What the reader has to know of a `Release`. */
  readonly release: {
    readonly id: string
    readonly endpoint: string
    readonly model: string
    readonly from: number
    readonly to: number
    readonly startedMs: number
    readonly plan: { readonly steps: readonly PlanStep[] }
    readonly step: number
  }
  readonly settings: GuardSettings
  /** Those of the release, once one node has stored what it learned. */
  readonly thresholds?: GuardThresholds
}

export interface GuardReader {
  /** Events of these records, in their order. An event may be given again (after a restart, or by another node): the store keeps the first. */
  read(records: readonly StoredRecord[]): GuardEvent[]
  /** The release went on to this step; records of earlier ones still find theirs. */
  enter(step: number): void
  /** What was learned of the champion's calls so far, to be stored once for all nodes; undefined while it is too little. */
  learned(): GuardThresholds | undefined
  /** From the next record on. Without thresholds only errors, outcomes, and answers that are no numbers are watched. */
  use(thresholds: GuardThresholds): void
}

/** Evidence is overwhelming long before: more would only fill the store. Counts stop under both arms alike. */
const MAX_EVENTS_A_STEP = 100_000
const MAX_EVENTS_A_WINDOW = 20_000
/** Units without a control that one window looks at. */
const MAX_GROSS_UNITS = 2000
/** Half of all units pass the median at their first call, and nearly all at some call: what is common is counted at first calls only. */
const COMMON_SHARE = 0.2
const UNITS_REMEMBERED = 2 ** 18
const SHARE_TOLERANCE = 1e-6

export function createGuardReader(options: GuardReaderOptions): GuardReader {
  return new Reader(options)
}

interface LatencyRule {
  readonly guard: string
  readonly limitMs: number
  readonly candidateLimitMs: number
  readonly isCommon: boolean
}

class Reader implements GuardReader {
  private readonly failed = createFailureTest()
  private readonly learner: ThresholdLearner
  private readonly emitted = new SeenUnits(UNITS_REMEMBERED)
  private readonly seen = new SeenUnits(UNITS_REMEMBERED)
  private readonly counted = new Map<string, number>()
  private readonly predictions: RecentPredictions | undefined
  private thresholds: GuardThresholds | undefined
  private latencyRules: readonly LatencyRule[] = []
  private step: number
  private window = 0
  private events: GuardEvent[] = []

  constructor(private readonly options: GuardReaderOptions) {
    this.step = options.release.step
    this.learner = new ThresholdLearner(options.settings)
    if (Object.keys(options.settings.outcomes).length > 0) this.predictions = new RecentPredictions()
    if (options.thresholds !== undefined) this.use(options.thresholds)
  }

  read(records: readonly StoredRecord[]): GuardEvent[] {
    this.events = []
    const { endpoint } = this.options.release
    for (const record of records) {
      if (record.kind === 'prediction') {
        if (record.endpoint === endpoint) this.prediction(record)
      } else if (record.kind === 'outcome' && this.predictions !== undefined && record.endpoint === endpoint)
        this.outcome(record)
    }
    return this.events
  }

  enter(step: number): void {
    this.step = step
  }

  learned(): GuardThresholds | undefined {
    return this.thresholds ?? this.learner.thresholds()
  }

  use(thresholds: GuardThresholds): void {
    this.thresholds = thresholds
    const { quantiles, slack, floorMs } = this.options.settings.latency
    this.latencyRules = quantiles.flatMap((quantile) => {
      const guard = latencyGuard(quantile)
      const limitMs = thresholds.limits[guard]
      if (limitMs === undefined) return []
      // Of the candidate alone: a call that would have been slow by this much under the champion was beyond the champion's limit.
      const candidateLimitMs = Math.max(limitMs * slack, limitMs + floorMs)
      return [{ guard, limitMs, candidateLimitMs, isCommon: 1 - quantile > COMMON_SHARE }]
    })
  }

  private prediction(record: StoredPrediction): void {
    // A call that names its version was not assigned.
    if (record.flags.includes('pinned')) return
    const choice = record.route.find(({ node }) => node === RELEASE_NODE)
    const arm = choice?.arm
    if (this.thresholds === undefined && this.mayLearnFrom(choice)) this.learn(record)
    if (arm !== 'candidate' && arm !== 'control' && arm !== 'baseline') return
    const isExpired = record.flags.includes(LEASE_EXPIRED)
    const step = this.stepOf(isExpired ? undefined : arm, choice!.probability)
    this.predictions?.add(record.id, record.unit, isExpired ? 'candidate' : arm, step)
    // Such a unit was assigned to the candidate and served by the champion: it says nothing against either.
    if (isExpired) return
    this.enterWindow(record.timeMs)
    const { calls } = record
    const { model, from, to } = this.options.release
    const version = arm === 'candidate' ? to : from
    let first: RecordedCall | undefined
    let firstIndex = -1
    let isFailed = false
    let othersFailed = false
    let isCached = false
    let slowestMs = 0
    for (let i = 0; i < calls.length; i++) {
      const call = calls[i]!
      if (call.version !== version || call.model !== model || call.role === 'shadow') {
        if (this.failed(call.status)) othersFailed = true
        continue
      }
      // What the cache answers, or another call's run, is no call of this version.
      if (call.cached !== undefined) {
        isCached = true
        continue
      }
      if (this.failed(call.status)) isFailed = true
      else if (call.status === 'ok') {
        if (first === undefined) {
          first = call
          firstIndex = i
        }
        if (call.latencyMs > slowestMs) slowestMs = call.latencyMs
      }
    }
    // A version that cannot even be called, or whose answer has no shape, fails without a call that says so.
    if (record.error !== null && !othersFailed && !isCached && this.failed(record.error)) isFailed = true
    if (first === undefined && !isFailed) return
    const weight = this.weightOf(step)
    if (weight === 1) {
      this.gross(record, step, isFailed)
      return
    }
    if (isFailed) this.happened('errors', record, arm, step, true)
    if (first === undefined || arm === 'baseline') return
    if (this.thresholds === undefined) this.unlearned(record, arm, step, firstIndex)
    else this.compare(record, arm, step, first, firstIndex, slowestMs)
  }

  /** A number that is none is one whatever the champion answers: nothing has to be learned before. */
  private unlearned(record: StoredPrediction, arm: GuardArm, step: number, firstIndex: number): void {
    const { enabled, output: name } = this.options.settings.outputs
    if (!enabled || record.payload == null) return
    const output = outputValue(record.payload, firstIndex, name)
    if (output?.kind === 'invalid') this.happened('outputs-invalid', record, arm, step, false)
  }

  /** What is compared with the equal control: latency, cost, outputs. */
  private compare(
    record: StoredPrediction,
    arm: GuardArm,
    step: number,
    first: RecordedCall,
    firstIndex: number,
    slowestMs: number,
  ): void {
    const { limits, outputs } = this.thresholds!
    const isFirst = this.seen.add(record.unit ?? record.id)
    const isCandidate = arm === 'candidate'
    for (const { guard, limitMs, candidateLimitMs, isCommon } of this.latencyRules) {
      const limit = isCandidate ? candidateLimitMs : limitMs
      const isSlow = isCommon ? isFirst && first.latencyMs > limit : slowestMs > limit
      if (isSlow) this.happened(guard, record, arm, step, true)
    }
    const usual = limits['cost']
    const slack = isCandidate ? this.options.settings.cost.slack : 1
    if (usual !== undefined && record.cost !== null && record.cost > usual * slack)
      this.happened('cost', record, arm, step, false)
    if (!isFirst || outputs === undefined || record.payload == null) return
    const output = outputValue(record.payload, firstIndex, outputs.name)
    if (output !== undefined) this.happened(outputGuard(output, outputs), record, arm, step, false)
  }

  /** The last step has no control: of each window's first units, whether their first call failed. */
  private gross(record: StoredPrediction, step: number, isFailed: boolean): void {
    const guard = `${GROSS_GUARD}@${this.window}`
    const looked = this.counted.get(guard) ?? 0
    if (looked >= MAX_GROSS_UNITS || !this.seen.add(record.unit ?? record.id)) return
    this.counted.set(guard, looked + 1)
    this.events.push({
      guard,
      unit: this.unitOf(record.unit, record.id),
      arm: isFailed ? 'candidate' : 'control',
      step,
    })
  }

  private outcome(record: StoredOutcome): void {
    const rule = this.options.settings.outcomes[record.name]
    if (rule === undefined) return
    const isCounted =
      rule.above === undefined ? (rule.values ?? [true]).includes(record.value) : Number(record.value) > rule.above
    if (!isCounted) return
    const [id = ''] = record.prediction.split('#')
    const prediction = this.predictions!.get(id)
    if (prediction === undefined || this.weightOf(prediction.step) === 1) return
    if (prediction.arm !== 'baseline')
      this.happened(
        `outcome:${record.name}`,
        { ...prediction, id, timeMs: record.timeMs },
        prediction.arm,
        prediction.step,
        false,
      )
  }

  private happened(
    guard: string,
    of: { readonly unit: string | null; readonly id: string; readonly timeMs: number },
    arm: GuardArm,
    step: number,
    hasWindows: boolean,
  ): void {
    const windowed = hasWindows ? `${guard}@${this.window}` : undefined
    const key = of.unit ?? of.id
    const isNew = this.emitted.add(`${guard} ${key}`)
    const isNewInWindow = windowed !== undefined && this.emitted.add(`${windowed} ${key}`)
    if (!isNew && !isNewInWindow) return
    const unit = this.unitOf(of.unit, of.id)
    // Errors are compared with all of the champion, unless settings say otherwise.
    const isWithControl = guard !== 'errors' || this.options.settings.errors.reference === 'control'
    if (isWithControl && !this.isMirrored(unit, of.unit !== null, arm, step)) return
    if (isNew && this.mayCount(`${guard} ${step}`, MAX_EVENTS_A_STEP)) this.events.push({ guard, unit, arm, step })
    if (isNewInWindow && this.mayCount(windowed, MAX_EVENTS_A_WINDOW))
      this.events.push({ guard: windowed, unit, arm, step })
  }

  /**
   * Above a half the candidate is larger than its control. Only the part of it that mirrors the control is compared, [0, c) with [1 - c, 1):
   * so the coin is even in every step, also for units that were seen as baseline in an earlier one.
   */
  private isMirrored(unit: string, isSticky: boolean, arm: GuardArm, step: number): boolean {
    if (arm === 'baseline') return false
    const weight = this.weightOf(step)
    if (arm === 'control' || weight <= 0.5) return true
    const point = Number.parseInt(unit.slice(0, 13), 16) / 2 ** 52
    const control = controlWeight(weight)
    // Without a unit the draw decided, which is not recorded: a draw of our own thins them.
    return point < (isSticky ? control : control / weight)
  }

  private mayCount(key: string, most: number): boolean {
    const count = this.counted.get(key) ?? 0
    this.counted.set(key, count + 1)
    return count < most
  }

  /** The first 52 bits are the point that assignment compares with weights (`assignmentPoint`). */
  private unitOf(unit: string | null, id: string): string {
    return hash('sha256', `${this.options.release.id}\u0000${unit ?? id}`, 'hex').slice(0, 16)
  }

  private enterWindow(timeMs: number): void {
    const { release, settings } = this.options
    const window = Math.max(1, Math.floor((timeMs - release.startedMs) / settings.windowMs) + 1)
    // A record of a window before belongs to the present one: it is late by seconds, under either arm.
    if (window <= this.window) return
    this.window = window
    this.seen.clear()
    for (const guard of this.counted.keys()) if (guard.includes('@')) this.counted.delete(guard)
  }

  private weightOf(step: number): number {
    const plan = this.options.release.plan.steps[step]
    return plan?.kind === 'canary' ? plan.weight : 0
  }

  /** The step that gave an arm such a probability: the present one if it does, else the last before it. */
  private stepOf(arm: GuardArm | undefined, probability: number): number {
    const { steps } = this.options.release.plan
    if (arm === undefined) return this.step
    for (let step = this.step; step >= 0; step--) if (this.gives(arm, step, probability)) return step
    for (let step = this.step + 1; step < steps.length; step++) if (this.gives(arm, step, probability)) return step
    return this.step
  }

  private gives(arm: GuardArm, step: number, probability: number): boolean {
    const weight = this.weightOf(step)
    if (weight === 0) return false
    const control = controlWeight(weight)
    const share = arm === 'candidate' ? weight : arm === 'control' ? control : 1 - weight - control
    return Math.abs(share - probability) < SHARE_TOLERANCE
  }

  /**
   * Not from the control while there is a baseline: a threshold that a unit had a part in would say something of its arm. The baseline's
   * units are neither arm's, and become either with equal probability.
   */
  private mayLearnFrom(choice: StoredPrediction['route'][number] | undefined): boolean {
    if (choice?.arm === 'candidate') return false
    if (choice?.arm !== 'control') return true
    const weight = this.weightOf(this.stepOf('control', choice.probability))
    return 1 - weight - controlWeight(weight) < SHARE_TOLERANCE
  }

  private learn(record: StoredPrediction): void {
    const { model, from } = this.options.release
    const { calls } = record
    let isFailed = false
    let isAnswered = false
    for (let i = 0; i < calls.length; i++) {
      const call = calls[i]!
      if (call.version !== from || call.model !== model || call.role === 'shadow' || call.cached !== undefined) continue
      if (this.failed(call.status)) isFailed = true
      if (call.status !== 'ok') continue
      isAnswered = true
      this.learner.latency(call.latencyMs)
      if (record.cost !== null) this.learner.cost(record.cost)
      const output =
        record.payload == null ? undefined : outputValue(record.payload, i, this.options.settings.outputs.output)
      if (output !== undefined) this.learner.output(output)
      break
    }
    if (isFailed || isAnswered) this.learner.unit(record.unit ?? record.id, isFailed)
  }
}

function outputGuard(output: OutputValue, usual: NonNullable<GuardThresholds['outputs']>): string {
  if (output.kind === 'label' && usual.kind === 'label') {
    if (output.value === usual.labels[0]) return 'outputs-top'
    return usual.labels.includes(output.value) ? 'outputs-rest' : 'outputs-unseen'
  }
  if (output.kind !== 'number' || usual.kind !== 'number') return 'outputs-invalid'
  if (output.value < usual.low) return 'outputs-low'
  return output.value > usual.high ? 'outputs-high' : 'outputs-middle'
}
