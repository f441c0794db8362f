// Match: the first case whose conditions all hold. Like a split it needs no frame.
import type { CompiledNode, Parent, Run, Running, Scope } from '../machine.js'
import type { Match, MatchWhen, RouteChoice, RouteContext, VersionLeaf } from '../types.js'
import { armPlace, type Compiler, enterName, invalid, needDistinct, type Place } from './compiler.js'

/** The arm taken when no case holds. */
const OTHERWISE = 'otherwise'

class MatchNode implements CompiledNode {
  readonly isInstant: boolean
  readonly select: CompiledNode['select']
  readonly #choices: readonly RouteChoice[]

  /** `arms` are the cases in order, then `otherwise`. */
  constructor(
    private readonly node: Match,
    private readonly arms: readonly CompiledNode[],
  ) {
    this.#choices = [...node.cases.map(({ name }) => name), OTHERWISE].map((arm) => ({
      node: node.name,
      arm,
      probability: 1,
    }))
    this.isInstant = arms.every((arm) => arm.isInstant)
    this.select = arms.every((arm) => arm.select) ? this.#select : undefined
  }

  enter(run: Run, parent: Parent, arm: number, scope: Scope): Running {
    const index = this.#indexFor(run.context)
    run.choose(this.#choices[index]!)
    return this.arms[index]!.enter(run, parent, arm, scope)
  }

  expectedMs(run: Run): number | undefined {
    return this.arms[this.#indexFor(run.context)]!.expectedMs(run)
  }

  #select = (context: RouteContext, draw: number, choices: RouteChoice[]): VersionLeaf => {
    const index = this.#indexFor(context)
    choices.push(this.#choices[index]!)
    return this.arms[index]!.select!(context, draw, choices)
  }

  #indexFor(context: RouteContext): number {
    const { cases } = this.node
    for (let i = 0; i < cases.length; i++) if (holds(cases[i]!.when, context)) return i
    return cases.length
  }
}

function holds(when: MatchWhen, context: RouteContext): boolean {
  if (when.tenant && !isOneOf(context.tenant, when.tenant)) return false
  if (when.unit && !isOneOf(context.unit, when.unit)) return false
  if (when.protocol && !isOneOf(context.protocol, when.protocol)) return false
  if (when.priority && !isOneOf(context.priority, when.priority)) return false
  for (const name in when.metadata) {
    const value = context.metadata?.[name]
    if (value === undefined || value === null || !isOneOf(String(value), when.metadata[name]!)) return false
  }
  return true
}

function isOneOf(value: string | undefined, wanted: readonly string[]): boolean {
  return value !== undefined && wanted.includes(value)
}

export function compileMatch(node: Match, outer: Place, compiler: Compiler): CompiledNode {
  const place = enterName(compiler, node, outer)
  needDistinct(node.cases, place)
  if (node.cases.some(({ name }) => name === OTHERWISE))
    throw invalid(place, `a case may not be named "${OTHERWISE}", which names the arm for all others`)
  for (const { name, when } of node.cases) {
    const { metadata, ...rest } = when
    const conditions = [...Object.values(rest), ...Object.values(metadata ?? {})]
    if (conditions.length === 0) throw invalid(place, `case "${name}" has no condition; put it under "otherwise"`)
    if (conditions.some((values) => values.length === 0))
      throw invalid(place, `case "${name}" has a condition that lists no value, so it can never hold`)
  }
  return new MatchNode(node, [
    ...node.cases.map(({ name, route }) => compiler.compile(route, armPlace(place, name))),
    compiler.compile(node.otherwise, armPlace(place, OTHERWISE)),
  ])
}
