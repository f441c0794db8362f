// Fastest: arms race, started together or one more each staggerMs; the first answer wins and the others are cancelled.
import type { HeadraceError } from '../../core/index.js'
import {
  type Answer,
  type CompiledNode,
  isCallersFault,
  type Parent,
  type Run,
  type Running,
  type Scope,
  type Timed,
} from '../machine.js'
import type { Fastest, RouteChoice } from '../types.js'
import { armPlace, type Compiler, enterName, invalid, needArms, type Place } from './compiler.js'

class FastestNode implements CompiledNode {
  readonly isInstant: boolean
  readonly select = undefined

  constructor(
    readonly arms: readonly CompiledNode[],
    readonly choices: readonly RouteChoice[],
    readonly staggerMs: number,
  ) {
    this.isInstant = arms.some((arm) => arm.isInstant)
  }

  enter(run: Run, parent: Parent, arm: number, scope: Scope): Running {
    return new FastestFrame(run, parent, arm, scope, this)
  }

  expectedMs(run: Run): number | undefined {
    return this.arms[0]!.expectedMs(run)
  }
}

class FastestFrame implements Parent, Running, Timed {
  /** When the next arm starts if nothing has answered. */
  dueMs = Number.POSITIVE_INFINITY
  readonly #running: (Running | undefined)[] = []
  #started = 0
  #ended = 0
  #error: HeadraceError | undefined

  constructor(
    private readonly run: Run,
    private readonly parent: Parent,
    private readonly arm: number,
    private readonly scope: Scope,
    private readonly node: FastestNode,
  ) {
    run.choose(node.choices[0]!)
    this.#startNext(scope.role)
    if (node.staggerMs === 0) while (this.#started < node.arms.length) this.#startNext('hedge')
    else if (node.arms.length > 1) run.addTimed(this)
  }

  answered(index: number, answer: Answer): void {
    this.#running[index] = undefined
    this.cancel()
    this.run.choose(this.node.choices[index]!)
    this.parent.answered(this.arm, answer)
  }

  failed(index: number, error: HeadraceError): void {
    this.#running[index] = undefined
    this.#ended++
    this.#error ??= error
    if (isCallersFault(error)) {
      this.cancel()
      this.parent.failed(this.arm, error)
    } else if (this.#canStartNext()) {
      this.#startNext('attempt')
    } else if (this.#ended === this.#started) {
      this.run.removeTimed(this)
      this.parent.failed(this.arm, this.#error)
    }
  }

  cancel(): void {
    this.run.removeTimed(this)
    for (const running of this.#running) running?.cancel()
  }

  /** A hedge is extra load, so it needs a retry of the endpoint's budget; without one, the arm starts only if another fails. */
  timePassed(): void {
    if (this.run.takeRetry(this.scope.role)) this.#startNext('hedge')
    else this.#waitForNext()
  }

  #canStartNext(): boolean {
    const next = this.node.arms[this.#started]
    return next !== undefined && this.run.hasTimeFor(next, this.scope.deadlineMs)
  }

  #startNext(role: Scope['role']): void {
    const { run, scope, node } = this
    const index = this.#started++
    const isAlone = this.#ended === index
    const isLast = this.#started === node.arms.length
    this.#running[index] = node.arms[index]!.enter(run, this, index, {
      ...scope,
      role: scope.role === 'shadow' ? 'shadow' : role,
      isGuarded: !(isLast && isAlone) || scope.isGuarded,
    })
    this.#waitForNext()
  }

  #waitForNext(): void {
    const { node, run } = this
    const hasNext = node.staggerMs > 0 && this.#started < node.arms.length
    this.dueMs = hasNext ? run.nowMs + node.staggerMs : Number.POSITIVE_INFINITY
  }
}

export function compileFastest(node: Fastest, outer: Place, compiler: Compiler): CompiledNode {
  const place = enterName(compiler, node, outer)
  needArms(node.arms, place)
  if (!(node.staggerMs >= 0)) throw invalid(place, 'staggerMs is below 0')
  return new FastestNode(
    node.arms.map((arm, i) => compiler.compile(arm, armPlace(place, i))),
    node.arms.map((_, i) => ({ node: node.name, arm: String(i), probability: 1 })),
    node.staggerMs,
  )
}
