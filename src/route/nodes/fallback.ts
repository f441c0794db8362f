// Fallback: arms in order until one answers.
import type { CompiledNode, Parent, Run, Running, Scope } from '../machine.js'
import type { Fallback } from '../types.js'
import { armPlace, type Compiler, enterName, invalid, needArms, type Place } from './compiler.js'
import { InTurn, type InTurnArm } from './in-turn.js'

class FallbackNode implements CompiledNode {
  readonly isInstant: boolean
  readonly select = undefined

  constructor(readonly arms: readonly InTurnArm[]) {
    this.isInstant = arms.every(({ node }) => node.isInstant)
  }

  enter(run: Run, parent: Parent, arm: number, scope: Scope): Running {
    return new InTurn(run, parent, arm, scope, this.arms)
  }

  expectedMs(run: Run): number | undefined {
    return this.arms[0]!.node.expectedMs(run)
  }
}

export function compileFallback(node: Fallback, outer: Place, compiler: Compiler): CompiledNode {
  const place = enterName(compiler, node, outer)
  needArms(node.arms, place)
  const arms = node.arms.map(({ route, timeoutMs, retries = 0 }, i): InTurnArm => {
    const at = armPlace(place, i)
    if (timeoutMs !== undefined && !(timeoutMs > 0)) throw invalid(at, 'timeoutMs is not above 0')
    if (!Number.isInteger(retries) || retries < 0) throw invalid(at, 'retries is not a whole number from 0')
    if (route.kind === 'constant' && i < node.arms.length - 1)
      throw invalid(at, 'a constant always answers, so the arms after it are never reached')
    const choice = { node: node.name, arm: String(i), probability: 1 }
    return { node: compiler.compile(route, at), timeoutMs, retries, choice }
  })
  return new FallbackNode(arms)
}
