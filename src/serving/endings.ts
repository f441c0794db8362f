// How members end: each with one answer, which is counted once, whether it ran, was too late or went away. A part's end is its
// request's business.
import type { Counter, HeadraceError } from '../core/index.js'
import { isDue } from './alarm.js'
import type { Joining } from './joining.js'
import type { Margin } from './margin.js'
import type { Member } from './member.js'
import type { VersionMetrics } from './metrics.js'
import { ModelProcessErrors } from './process/errors.js'
import type { Queue } from './queue.js'
import type { LeafResult } from './types.js'
import type { VersionErrors } from './version-errors.js'

export class Endings {
  readonly #succeeded: Counter

  constructor(
    private readonly queue: Queue,
    private readonly joining: Joining,
    private readonly errors: VersionErrors,
    private readonly metrics: VersionMetrics,
    private readonly margin: Margin,
  ) {
    this.#succeeded = metrics.ended('ok')
  }

  succeed(member: Member, result: LeafResult, nowMs: number): void {
    if (member.isAnswered) return
    member.isAnswered = true
    if (member.inquest !== undefined) this.#closeInquest(member, false)
    member.resolve(result)
    const { whole } = member
    if (whole === undefined) {
      this.metrics.latencySeconds.observe((nowMs - member.arrivedMs) / 1000)
      this.#succeeded.inc()
      if (member.input.isTest !== true) this.metrics.statistics.succeeded(result.queueMs, nowMs - member.arrivedMs)
      if (member.isExpectedInTime) this.margin.kept(member.priority)
      return
    }
    if (!whole.isComplete) return
    const joined = whole.result(nowMs)
    if (joined !== undefined) this.succeed(whole.member, joined, nowMs)
    else {
      this.joining.partsDiffer()
      this.queue.runAgain([whole.member])
    }
  }

  fail(member: Member, error: HeadraceError, nowMs: number): void {
    if (member.isAnswered) return
    member.isAnswered = true
    if (member.inquest !== undefined) this.#closeInquest(member, true)
    if (member.whole !== undefined) {
      this.queue.addRows(-member.whole.end())
      this.fail(member.whole.member, error, nowMs)
      return
    }
    this.metrics.latencySeconds.observe((nowMs - member.arrivedMs) / 1000)
    this.metrics.ended(error.code).inc()
    if (member.input.isTest !== true) this.metrics.statistics.failed(error.code, nowMs - member.arrivedMs)
    member.reject(error)
  }

  failAll(members: readonly Member[], error: HeadraceError, nowMs: number): void {
    for (let i = 0; i < members.length; i++) this.fail(members[i]!, error, nowMs)
  }

  /** Whether a member is not to run: it was answered before, or is answered here because it is cancelled or late. */
  drops(member: Member, nowMs: number): boolean {
    if (member.isAnswered) return true
    if (member.input.cancelled === true) this.fail(member, this.errors.cancelled(), nowMs)
    else this.#failIfDue(member, nowMs, 'queued')
    return member.isAnswered
  }

  /** Answers a member whose time is up; says when that of any other is. */
  expires(member: Member, nowMs: number, phase: 'queued' | 'running'): number {
    if (!member.isAnswered) this.#failIfDue(member, nowMs, phase)
    return member.isAnswered ? Number.POSITIVE_INFINITY : member.deadline.atMs
  }

  #failIfDue(member: Member, nowMs: number, phase: 'queued' | 'running'): void {
    if (!isDue(member.deadline.atMs, nowMs)) return
    this.late(member, this.errors.deadlineExceeded(nowMs - member.arrivedMs, phase), nowMs)
  }

  /** Its time is up, or will be before it can be answered. */
  late(member: Member, error: HeadraceError, nowMs: number): void {
    if ((member.whole?.member ?? member).isExpectedInTime) this.margin.missed(member.priority)
    this.fail(member, error, nowMs)
  }

  /** At most 2n - 1 runs for n members of a failed batch, each of which ends with its own answer. */
  rerunByHalves(members: readonly Member[], nowMs: number): void {
    const live = members.filter((member) => !this.drops(member, nowMs))
    const inquest = live[0]?.inquest ?? { unknown: live.length, guilty: members.length - live.length }
    for (const member of live) member.inquest = inquest
    const half = Math.ceil(live.length / 2)
    if (half < live.length) this.queue.runAgain(live.slice(half))
    if (half > 0) this.queue.runAgain(live.slice(0, half))
  }

  /**
   * Their process has ended under them: each runs once more, and alone, so that one whose inputs end a process ends two and no more,
   * and takes nobody along. By halves it would end one at each step.
   */
  rerunLost(members: readonly Member[], error: HeadraceError, nowMs: number): void {
    for (let i = members.length - 1; i >= 0; i--) {
      const member = members[i]!
      if (this.drops(member, nowMs)) continue
      if (member.isLost) this.fail(member, lostTwice(error), nowMs)
      else {
        member.isLost = true
        this.queue.runAgain([member])
      }
    }
  }

  /** A part goes back into its request, which then runs whole. */
  rerunAlone(member: Member): void {
    if (member.isAnswered) return
    if (member.whole !== undefined) this.queue.addRows(-member.whole.end())
    this.queue.runAgain([member.whole?.member ?? member])
  }

  #closeInquest(member: Member, isGuilty: boolean): void {
    const inquest = member.inquest!
    inquest.unknown--
    if (isGuilty) inquest.guilty++
    if (inquest.unknown === 0 && inquest.guilty === 0) this.joining.failedBaselessly()
  }
}

function lostTwice({ params }: HeadraceError): HeadraceError {
  return ModelProcessErrors.ENDED_TWICE(params as Parameters<typeof ModelProcessErrors.ENDED_TWICE>[0])
}
