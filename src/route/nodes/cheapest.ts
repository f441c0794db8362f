// Cheapest: arms by cost; those that are expected to be too slow for what is left of the time come last.
import type { HeadraceError } from '../../core/index.js'
import {
  type Answer,
  type CompiledNode,
  isCallersFault,
  type Parent,
  type Run,
  type Running,
  type Scope,
} from '../machine.js'
import type { Cheapest, RouteChoice } from '../types.js'
import { armPlace, type Compiler, enterName, invalid, needArms, type Place } from './compiler.js'
import { armDeadlineMs, type TimedArm } from './time-share.js'

interface Arm extends TimedArm {
  readonly choice: RouteChoice
}

class CheapestNode implements CompiledNode {
  readonly isInstant: boolean
  readonly select = undefined

  /** `arms` ascend by cost. */
  constructor(private readonly arms: readonly Arm[]) {
    this.isInstant = arms.every(({ node }) => node.isInstant)
  }

  enter(run: Run, parent: Parent, arm: number, scope: Scope): Running {
    return new CheapestFrame(run, parent, arm, scope, this.#inOrder(run, scope.deadlineMs - run.nowMs))
  }

  expectedMs(run: Run): number | undefined {
    return this.arms[0]!.node.expectedMs(run)
  }

  /** Nothing known about an arm counts as in time. */
  #inOrder(run: Run, leftMs: number): readonly Arm[] {
    const isInTime = ({ node }: Arm) => (node.expectedMs(run) ?? 0) <= leftMs
    if (this.arms.every(isInTime)) return this.arms
    return [...this.arms.filter(isInTime), ...this.arms.filter((arm) => !isInTime(arm))]
  }
}

class CheapestFrame implements Parent, Running {
  #child: Running
  #error: HeadraceError | undefined

  constructor(
    private readonly run: Run,
    private readonly parent: Parent,
    private readonly arm: number,
    private readonly scope: Scope,
    private readonly arms: readonly Arm[],
  ) {
    this.#child = this.#enter(0)
  }

  answered(index: number, answer: Answer): void {
    this.parent.answered(this.arm, index === 0 ? answer : { ...answer, fallback: this.arms[index]!.choice })
  }

  failed(index: number, error: HeadraceError): void {
    if (this.#error === undefined || this.#error.code === 'ROUTE_CIRCUIT_OPEN') this.#error = error
    if (isCallersFault(error)) this.parent.failed(this.arm, error)
    else this.#enterAfter(index)
  }

  cancel(): void {
    this.#child.cancel()
  }

  #enterAfter(index: number): void {
    const { run, scope, arms } = this
    for (let next = index + 1; next < arms.length; next++)
      if (run.hasTimeFor(arms[next]!.node, scope.deadlineMs)) {
        this.#child = this.#enter(next)
        return
      }
    this.parent.failed(this.arm, this.#error!)
  }

  #enter(index: number): Running {
    const { run, scope, arms } = this
    const { node, choice } = arms[index]!
    run.choose(choice)
    return node.enter(run, this, index, {
      ...scope,
      deadlineMs: armDeadlineMs(run, scope.deadlineMs, arms, index),
      role: index === 0 || scope.role === 'shadow' ? scope.role : 'attempt',
      isGuarded: index < arms.length - 1 || scope.isGuarded,
    })
  }
}

export function compileCheapest(node: Cheapest, outer: Place, compiler: Compiler): CompiledNode {
  const place = enterName(compiler, node, outer)
  needArms(node.arms, place)
  const arms = node.arms.map(({ route, cost }, i) => {
    const at = armPlace(place, i)
    if (!(cost >= 0 && Number.isFinite(cost))) throw invalid(at, 'cost is negative or not a number')
    const choice = { node: node.name, arm: String(i), probability: 1 }
    return { node: compiler.compile(route, at), timeoutMs: undefined, cost, choice }
  })
  return new CheapestNode(arms.sort((a, b) => a.cost - b.cost))
}
