// Split: one arm for each request, by a sticky hash or by the request's draw. It needs no frame: having chosen, it is done.
import { armAt, assignmentPoint } from '../assignment.js'
import type { CompiledNode, Parent, Run, Running, Scope } from '../machine.js'
import type { RouteChoice, RouteContext, Split, VersionLeaf } from '../types.js'
import { armPlace, type Compiler, enterName, invalid, needArms, needDistinct, type Place } from './compiler.js'

class SplitNode implements CompiledNode {
  readonly isInstant: boolean
  readonly select: CompiledNode['select']
  readonly #weights: readonly number[]
  readonly #total: number
  readonly #choices: readonly RouteChoice[]

  constructor(
    private readonly node: Split,
    private readonly arms: readonly CompiledNode[],
  ) {
    this.#weights = node.arms.map(({ weight }) => weight)
    this.#total = this.#weights.reduce((sum, weight) => sum + weight, 0)
    this.#choices = node.arms.map(({ name, weight }) => ({
      node: node.name,
      arm: name,
      probability: weight / this.#total,
    }))
    this.isInstant = arms.every((arm) => arm.isInstant)
    this.select = arms.every((arm) => arm.select) ? this.#select : undefined
  }

  enter(run: Run, parent: Parent, arm: number, scope: Scope): Running {
    const { unit } = run.context
    const isSticky = this.node.by === 'unit' && unit !== undefined
    const index = armAt(isSticky ? assignmentPoint(this.node.salt, unit) : scope.draw, this.#weights)
    run.choose(this.#choices[index]!)
    return this.arms[index]!.enter(
      run,
      parent,
      arm,
      isSticky ? scope : { ...scope, draw: this.#rescale(scope.draw, index) },
    )
  }

  expectedMs(run: Run): number | undefined {
    return this.arms[0]!.expectedMs(run)
  }

  #select = (context: RouteContext, draw: number, choices: RouteChoice[]): VersionLeaf => {
    const { unit } = context
    const isSticky = this.node.by === 'unit' && unit !== undefined
    const index = armAt(isSticky ? assignmentPoint(this.node.salt, unit) : draw, this.#weights)
    choices.push(this.#choices[index]!)
    return this.arms[index]!.select!(context, isSticky ? draw : this.#rescale(draw, index), choices)
  }

  /** The draw is used up digit by digit: each per-request node rescales what is left of it. */
  #rescale(draw: number, index: number): number {
    const weights = this.#weights
    let lower = 0
    for (let i = 0; i < index; i++) lower += weights[i]! / this.#total
    return Math.min(Math.max((draw - lower) / (weights[index]! / this.#total), 0), 1 - Number.EPSILON)
  }
}

export function compileSplit(node: Split, outer: Place, compiler: Compiler): CompiledNode {
  const place = enterName(compiler, node, outer)
  needArms(node.arms, place)
  needDistinct(node.arms, place)
  if (!node.arms.every(({ weight }) => Number.isFinite(weight) && weight >= 0))
    throw invalid(place, 'a weight is negative or not a number')
  if (!node.arms.some(({ weight }) => weight > 0)) throw invalid(place, 'no arm has a weight above 0')
  return new SplitNode(
    node,
    node.arms.map(({ name, route }) => compiler.compile(route, armPlace(place, name))),
  )
}
