// Cascade: cheap arms first, on to the next while the answer is not sure enough. An unsure answer is kept: it is better than none.
import type { HeadraceError } from '../../core/index.js'
import { confidenceOf } from '../confidence.js'
import {
  type Answer,
  type CompiledNode,
  isCallersFault,
  type Parent,
  type Run,
  type Running,
  replyReserveMs,
  type Scope,
} from '../machine.js'
import type { Cascade, RouteChoice, VersionLeaf } from '../types.js'
import { armPlace, type Compiler, enterName, invalid, needArms, type Place } from './compiler.js'
import { armDeadlineMs, type TimedArm } from './time-share.js'

interface Arm extends TimedArm {
  /** Undefined: its answer always counts. */
  readonly confidence: number | undefined
  readonly choice: RouteChoice
}

class CascadeNode implements CompiledNode {
  readonly isInstant: boolean
  readonly select = undefined

  constructor(
    private readonly arms: readonly Arm[],
    private readonly output: string | undefined,
  ) {
    this.isInstant = arms.every(({ node }) => node.isInstant)
  }

  enter(run: Run, parent: Parent, arm: number, scope: Scope): Running {
    return new CascadeFrame(run, parent, arm, scope, this.arms, this.output)
  }

  expectedMs(run: Run): number | undefined {
    return this.arms[0]!.node.expectedMs(run)
  }
}

class CascadeFrame implements Parent, Running {
  #child: Running
  #unsure: { readonly answer: Answer; readonly choice: RouteChoice } | undefined
  #error: HeadraceError | undefined

  constructor(
    private readonly run: Run,
    private readonly parent: Parent,
    private readonly arm: number,
    private readonly scope: Scope,
    private readonly arms: readonly Arm[],
    private readonly output: string | undefined,
  ) {
    this.#child = this.#enter(0)
  }

  answered(index: number, answer: Answer): void {
    const { confidence, choice } = this.arms[index]!
    if (confidence === undefined || this.#isSure(answer, confidence)) {
      const isSecondBest = this.#error !== undefined
      this.parent.answered(this.arm, isSecondBest ? { ...answer, fallback: choice } : answer)
      return
    }
    this.#unsure = { answer, choice }
    if (this.#hasTimeFor(index + 1)) this.#child = this.#enter(index + 1)
    else this.#giveUnsure()
  }

  failed(index: number, error: HeadraceError): void {
    this.#error ??= error
    if (isCallersFault(error) && this.#unsure === undefined) this.parent.failed(this.arm, error)
    else if (index + 1 < this.arms.length && this.#hasTimeFor(index + 1)) this.#child = this.#enter(index + 1)
    else if (this.#unsure === undefined) this.parent.failed(this.arm, this.#error)
    else this.#giveUnsure()
  }

  cancel(): void {
    this.#child.cancel()
  }

  #enter(index: number): Running {
    const { run, scope, arms } = this
    const { node, choice } = arms[index]!
    run.choose(choice)
    const deadlineMs = armDeadlineMs(run, scope.deadlineMs, arms, index)
    // The unsure answer has to leave in time when this arm does not answer.
    const keptMs = this.#unsure === undefined ? 0 : replyReserve(scope.deadlineMs - run.nowMs)
    return node.enter(run, this, index, {
      ...scope,
      deadlineMs: Math.min(deadlineMs, scope.deadlineMs - keptMs),
      role: index === 0 || scope.role === 'shadow' ? scope.role : 'attempt',
      isGuarded: index < arms.length - 1 || this.#unsure !== undefined || scope.isGuarded,
      wantsAllOutputs: true,
    })
  }

  #giveUnsure(): void {
    const { answer, choice } = this.#unsure!
    this.run.choose(choice)
    this.parent.answered(this.arm, { ...answer, fallback: choice })
  }

  #isSure(answer: Answer, least: number): boolean {
    const name = this.output ?? answer.probabilities
    const output = name === undefined ? undefined : answer.outputs.get(name)
    return output !== undefined && confidenceOf(output) >= least
  }

  /** Without an unsure answer in hand there is nothing to lose by trying. */
  #hasTimeFor(index: number): boolean {
    const { run, scope, arms } = this
    if (this.#unsure === undefined) return run.hasTimeFor(arms[index]!.node, scope.deadlineMs)
    return run.nowMs + (arms[index]!.node.expectedMs(run) ?? 0) < scope.deadlineMs
  }
}

function replyReserve(leftMs: number): number {
  return leftMs === Number.POSITIVE_INFINITY ? 0 : replyReserveMs(leftMs)
}

export function compileCascade(node: Cascade, outer: Place, compiler: Compiler): CompiledNode {
  const place = enterName(compiler, node, outer)
  needArms(node.arms, place)
  const last = node.arms.length - 1
  const versions: VersionLeaf[][] = []
  const arms = node.arms.map(({ route, confidence }, i): Arm => {
    const at = armPlace(place, i)
    if (i === last && confidence !== undefined)
      throw invalid(at, "the last arm's answer always counts, so it takes no confidence")
    if (i < last && !(confidence !== undefined && confidence >= 0 && confidence <= 1))
      throw invalid(at, 'every arm but the last needs a confidence from 0 to 1')
    const choice = { node: node.name, arm: String(i), probability: 1 }
    const before = compiler.leaves.length
    const compiled = compiler.compile(route, at)
    versions.push(compiler.leaves.slice(before))
    return { node: compiled, timeoutMs: undefined, confidence, choice }
  })
  compiler.cascades.set(node.name, versions)
  return new CascadeNode(arms, node.output)
}
