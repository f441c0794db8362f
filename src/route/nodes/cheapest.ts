// Cheapest: arms by cost; those that are expected to be too slow for what is left of the time come last.
import type { CompiledNode, Parent, Run, Running, Scope } from '../machine.js'
import type { Cheapest } from '../types.js'
import { armPlace, type Compiler, enterName, invalid, needArms, type Place } from './compiler.js'
import { InTurn, type InTurnArm } from './in-turn.js'

class CheapestNode implements CompiledNode {
  readonly isInstant: boolean
  readonly select = undefined

  /** `arms` ascend by cost. */
  constructor(private readonly arms: readonly InTurnArm[]) {
    this.isInstant = arms.every(({ node }) => node.isInstant)
  }

  enter(run: Run, parent: Parent, arm: number, scope: Scope): Running {
    return new InTurn(run, parent, arm, scope, this.#inOrder(run, scope.deadlineMs - run.nowMs))
  }

  expectedMs(run: Run): number | undefined {
    return this.arms[0]!.node.expectedMs(run)
  }

  /** Nothing known about an arm counts as in time. */
  #inOrder(run: Run, leftMs: number): readonly InTurnArm[] {
    const isInTime = ({ node }: InTurnArm) => (node.expectedMs(run) ?? 0) <= leftMs
    if (this.arms.every(isInTime)) return this.arms
    return [...this.arms.filter(isInTime), ...this.arms.filter((arm) => !isInTime(arm))]
  }
}

export function compileCheapest(node: Cheapest, outer: Place, compiler: Compiler): CompiledNode {
  const place = enterName(compiler, node, outer)
  needArms(node.arms, place)
  const arms = node.arms.map(({ route, cost }, i) => {
    const at = armPlace(place, i)
    if (!(cost >= 0 && Number.isFinite(cost))) throw invalid(at, 'cost is negative or not a number')
    const choice = { node: node.name, arm: String(i), probability: 1 }
    return { node: compiler.compile(route, at), timeoutMs: undefined, retries: 0, cost, choice }
  })
  return new CheapestNode(arms.sort((a, b) => a.cost - b.cost))
}
