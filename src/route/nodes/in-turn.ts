// Arms in turn until one answers: what fallback and cheapest have in common. An arm whose circuits are open fails at once, so it
// costs nothing.
import type { HeadraceError } from '../../core/index.js'
import { type Answer, isCallersFault, type Parent, type Run, type Running, type Scope } from '../machine.js'
import type { RouteChoice } from '../types.js'
import { armDeadlineMs, type TimedArm } from './time-share.js'

export interface InTurnArm extends TimedArm {
  /** Further tries of this arm. */
  readonly retries: number
  readonly choice: RouteChoice
}

export class InTurn implements Parent, Running {
  #child: Running
  #tries = 0
  #error: HeadraceError | undefined
  /** Tries of one arm share its time. */
  #deadlineMs = 0

  constructor(
    private readonly run: Run,
    private readonly parent: Parent,
    private readonly arm: number,
    private readonly scope: Scope,
    private readonly arms: readonly InTurnArm[],
  ) {
    this.#child = this.#start(0)
  }

  answered(index: number, answer: Answer): void {
    this.parent.answered(this.arm, index === 0 ? answer : { ...answer, fallback: this.arms[index]!.choice })
  }

  failed(index: number, error: HeadraceError): void {
    // What the first choice failed with says most; an open circuit only says that others failed before.
    if (this.#error === undefined || this.#error.code === 'ROUTE_CIRCUIT_OPEN') this.#error = error
    if (isCallersFault(error)) this.parent.failed(this.arm, error)
    else if (this.#mayRetry(index, error)) {
      this.#tries++
      this.#child = this.#enter(index, 'attempt')
    } else this.#startAfter(index)
  }

  cancel(): void {
    this.#child.cancel()
  }

  #startAfter(index: number): void {
    const { run, scope, arms } = this
    for (let next = index + 1; next < arms.length; next++)
      if (run.hasTimeFor(arms[next]!.node, scope.deadlineMs)) {
        this.#child = this.#start(next)
        return
      }
    this.parent.failed(this.arm, this.#error!)
  }

  #start(index: number): Running {
    const { run, scope, arms } = this
    this.#tries = 0
    this.#deadlineMs = armDeadlineMs(run, scope.deadlineMs, arms, index)
    run.choose(arms[index]!.choice)
    return this.#enter(index, index === 0 ? scope.role : 'attempt')
  }

  #enter(index: number, role: Scope['role']): Running {
    const { run, scope, arms } = this
    return arms[index]!.node.enter(run, this, index, {
      ...scope,
      deadlineMs: this.#deadlineMs,
      role: scope.role === 'shadow' ? 'shadow' : role,
      // Refusing the last arm would help nobody.
      isGuarded: index < arms.length - 1 || scope.isGuarded,
    })
  }

  /** An error that names a time to come back passes by later, not now: the next arm is better than that. */
  #mayRetry(index: number, error: HeadraceError): boolean {
    const { run, arms, scope } = this
    return (
      error.retry &&
      this.#tries < arms[index]!.retries &&
      error.params['retryAfterMs'] === undefined &&
      run.nowMs < this.#deadlineMs &&
      run.takeRetry(scope.role)
    )
  }
}
