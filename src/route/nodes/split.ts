// Split: one arm for each request, by a sticky hash or by the request's draw. It needs no frame: having chosen, it is done.
import { armAt, assignmentPoint } from '../assignment.js'
import type { CompiledNode, Parent, Run, Running, Scope } from '../machine.js'
import type { RouteChoice, RouteContext, Split, VersionLeaf } from '../types.js'
import { armPlace, type Compiler, enterName, invalid, needArms, needDistinct, type Place } from './compiler.js'

interface Unleased {
  readonly release: string
  readonly arm: number
  readonly choice: RouteChoice
}

class SplitNode implements CompiledNode {
  readonly isInstant: boolean
  readonly select: CompiledNode['select']
  readonly #weights: readonly number[]
  readonly #total: number
  readonly #choices: readonly RouteChoice[]
  /** By arm: what takes its traffic while its lease is not held; undefined for the others. */
  readonly #unleased: readonly (Unleased | undefined)[] | undefined

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
    this.#unleased = node.arms.some(({ lease }) => lease)
      ? node.arms.map((_, index) => this.#unleasedOf(index))
      : undefined
    this.isInstant = arms.every((arm) => arm.isInstant)
    this.select = arms.every((arm) => arm.select) ? this.#select : undefined
  }

  enter(run: Run, parent: Parent, arm: number, scope: Scope): Running {
    const { unit } = run.context
    const isSticky = this.node.by === 'unit' && unit !== undefined
    const index = armAt(isSticky ? assignmentPoint(this.node.salt, unit) : scope.draw, this.#weights)
    const unleased = this.#without(index, run.context)
    if (unleased !== undefined) {
      run.choose(unleased.choice)
      return this.arms[unleased.arm]!.enter(run, parent, arm, scope)
    }
    run.choose(this.#choices[index]!)
    return this.arms[index]!.enter(
      run,
      parent,
      arm,
      isSticky ? scope : { ...scope, draw: this.#rescale(scope.draw, index) },
    )
  }

  expectedMs(run: Run): number | undefined {
    const index = this.node.arms.findIndex(({ lease }) => lease === undefined)
    return this.arms[Math.max(index, 0)]!.expectedMs(run)
  }

  #select = (context: RouteContext, draw: number, choices: RouteChoice[]): VersionLeaf => {
    const { unit } = context
    const isSticky = this.node.by === 'unit' && unit !== undefined
    const index = armAt(isSticky ? assignmentPoint(this.node.salt, unit) : draw, this.#weights)
    const unleased = this.#without(index, context)
    if (unleased !== undefined) {
      choices.push(unleased.choice)
      return this.arms[unleased.arm]!.select!(context, draw, choices)
    }
    choices.push(this.#choices[index]!)
    return this.arms[index]!.select!(context, isSticky ? draw : this.#rescale(draw, index), choices)
  }

  #without(index: number, { leases }: RouteContext): Unleased | undefined {
    if (this.#unleased === undefined) return undefined
    const unleased = this.#unleased[index]
    return unleased === undefined || leases?.holds(unleased.release) ? undefined : unleased
  }

  /** Meanwhile the other arm has its own traffic and this one's. */
  #unleasedOf(index: number): Unleased | undefined {
    const { name, arms } = this.node
    const { lease, weight } = arms[index]!
    if (lease === undefined) return undefined
    const arm = arms.findIndex((other) => other.name === lease.otherwise)
    const probability = (weight + arms[arm]!.weight) / this.#total
    return { release: lease.release, arm, choice: { node: name, arm: lease.otherwise, probability, isUnleased: true } }
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
  for (const { lease } of node.arms)
    if (lease && !node.arms.some(({ name, lease: own }) => name === lease.otherwise && !own))
      throw invalid(place, `an arm's lease falls back on "${lease.otherwise}", which is no arm without a lease`)
  return new SplitNode(
    node,
    node.arms.map(({ name, route }) => compiler.compile(route, armPlace(place, name))),
  )
}
