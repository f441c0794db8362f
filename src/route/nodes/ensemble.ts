// Ensemble: all arms at once, their answers combined; for stack, by a meta-model that is called with them.
import { type HeadraceError, toHeadraceError } from '../../core/index.js'
import { combine } from '../combine.js'
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
import type { Ensemble, RouteChoice } from '../types.js'
import { armPlace, type Compiler, enterName, invalid, needArms, needDistinct, type Place } from './compiler.js'

/** Part of the time that is left kept for a meta-model about which nothing is known. */
const META_SHARE = 0.25

class EnsembleNode implements CompiledNode {
  readonly isInstant: boolean
  readonly select = undefined
  readonly quorum: number
  readonly weights: readonly number[]
  readonly #choices = new Map<string, RouteChoice>()

  constructor(
    readonly node: Ensemble,
    readonly arms: readonly CompiledNode[],
  ) {
    this.isInstant = arms.every((arm) => arm.isInstant) && node.meta === undefined
    this.quorum = node.quorum ?? node.arms.length
    this.weights = node.arms.map(({ weight }) => (node.combine === 'weighted' ? weight! : 1))
  }

  enter(run: Run, parent: Parent, arm: number, scope: Scope): Running {
    return new EnsembleFrame(run, parent, arm, scope, this)
  }

  expectedMs(run: Run): number | undefined {
    return this.arms[0]!.expectedMs(run)
  }

  /** Names the arms that took part: `a+b`. There are few such sets, since few arms fail at once. */
  choiceOf(answers: readonly (Answer | undefined)[]): RouteChoice {
    const arm = this.node.arms.flatMap(({ name }, i) => (answers[i] ? [name] : [])).join('+')
    let choice = this.#choices.get(arm)
    if (!choice) {
      choice = { node: this.node.name, arm, probability: 1 }
      this.#choices.set(arm, choice)
    }
    return choice
  }
}

class EnsembleFrame implements Parent, Running {
  readonly #answers: (Answer | undefined)[] = []
  readonly #running: (Running | undefined)[] = []
  #pending: number
  #answered = 0
  #error: HeadraceError | undefined
  #choice: RouteChoice | undefined

  constructor(
    private readonly run: Run,
    private readonly parent: Parent,
    private readonly arm: number,
    private readonly scope: Scope,
    private readonly node: EnsembleNode,
  ) {
    const { arms, quorum } = node
    this.#pending = arms.length
    run.choose(node.choiceOf(arms.map(() => EVERY)))
    const inner = {
      ...scope,
      deadlineMs: this.#armsDeadlineMs(),
      isGuarded: quorum < arms.length || scope.isGuarded,
      wantsAllOutputs: scope.wantsAllOutputs || node.node.meta !== undefined,
      isPart: true,
    }
    for (let i = 0; i < arms.length; i++) this.#running[i] = arms[i]!.enter(run, this, i, inner)
  }

  answered(index: number, answer: Answer): void {
    this.#running[index] = undefined
    const { arms } = this.node
    if (index === arms.length) {
      this.#end(answer)
      return
    }
    this.#answers[index] = answer
    this.#answered++
    this.#armEnded()
  }

  failed(index: number, error: HeadraceError): void {
    this.#running[index] = undefined
    this.#error ??= error
    const { arms, quorum } = this.node
    // The meta-model's inputs are not the caller's, so what it fails with is not either.
    if (index === arms.length) this.parent.failed(this.arm, error)
    else if (isCallersFault(error) || this.#answered + this.#pending - 1 < quorum) {
      this.cancel()
      this.parent.failed(this.arm, error)
    } else this.#armEnded()
  }

  cancel(): void {
    for (const running of this.#running) running?.cancel()
  }

  #armEnded(): void {
    this.#pending--
    if (this.#pending > 0) return
    const { node, arms, weights } = this.node
    this.#choice = this.node.choiceOf(this.#answers)
    this.run.choose(this.#choice)
    const answers = this.#answers.filter((answer) => answer !== undefined)
    if (node.meta) {
      const outputs = answers.map((answer) => answer.outputs)
      this.#running[arms.length] = this.run.call(node.meta, this, arms.length, this.scope, outputs)
      return
    }
    const taken = weights.filter((_, i) => this.#answers[i] !== undefined)
    const first = answers[0]!
    let outputs: Answer['outputs']
    try {
      outputs = combine(
        node.name,
        node.combine === 'vote',
        answers.map((answer) => answer.outputs),
        taken,
      )
    } catch (error) {
      this.parent.failed(this.arm, toHeadraceError(error))
      return
    }
    const fallback = answers.find((answer) => answer.fallback)?.fallback
    this.#end({ ...first, outputs, combinedBy: node.name, fallback })
  }

  #end(answer: Answer): void {
    const isWhole = this.#error === undefined
    this.parent.answered(this.arm, isWhole ? answer : { ...answer, fallback: this.#choice })
  }

  /** Arms end early enough for the meta-model, or for a reply without those that hang. */
  #armsDeadlineMs(): number {
    const { run, scope, node } = this
    const { deadlineMs } = scope
    const leftMs = deadlineMs - run.nowMs
    if (leftMs === Number.POSITIVE_INFINITY) return deadlineMs
    const { meta } = node.node
    if (meta) {
      const expectedMs = run.health.expectedMs(meta, run.context.rows ?? 1)
      return deadlineMs - Math.min(expectedMs === undefined ? leftMs * META_SHARE : expectedMs * 3, leftMs / 2)
    }
    return node.quorum < node.arms.length ? deadlineMs - replyReserveMs(leftMs) : deadlineMs
  }
}

/** Stands for an answer where only its being there counts. */
const EVERY: Answer = {
  call: 0,
  outputs: new Map(),
  combinedBy: undefined,
  fallback: undefined,
  probabilities: undefined,
}

export function compileEnsemble(node: Ensemble, outer: Place, compiler: Compiler): CompiledNode {
  const place = enterName(compiler, node, outer)
  needArms(node.arms, place)
  needDistinct(node.arms, place)
  const isStack = node.combine === 'stack'
  if (isStack !== (node.meta !== undefined))
    throw invalid(
      place,
      isStack ? 'combine "stack" needs a meta-model' : `combine "${node.combine}" takes no meta-model`,
    )
  if (node.quorum !== undefined) {
    if (isStack) throw invalid(place, 'combine "stack" needs the answers of all arms, so it takes no quorum')
    if (!Number.isInteger(node.quorum) || node.quorum < 1 || node.quorum > node.arms.length)
      throw invalid(place, `quorum is not a whole number from 1 to ${node.arms.length}, the number of arms`)
  }
  if (node.combine === 'weighted') {
    if (!node.arms.every(({ weight }) => weight !== undefined && Number.isFinite(weight) && weight >= 0))
      throw invalid(place, 'combine "weighted" needs a weight from 0 for each arm')
    if (!node.arms.some(({ weight }) => weight! > 0)) throw invalid(place, 'no arm has a weight above 0')
  }
  const isAnswering = place.isAnswering && !isStack
  const arms = node.arms.map(({ name, route }) => compiler.compile(route, { ...armPlace(place, name), isAnswering }))
  if (node.meta) compiler.compile(node.meta, armPlace(place, 'meta'))
  return new EnsembleNode(node, arms)
}
