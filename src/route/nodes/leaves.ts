// The leaves: a version is called; the last known answer and a constant are given by the driver, which has both.
import type { CompiledNode, Parent, Run, Running, Scope } from '../machine.js'
import type { Constant, LastKnown, RouteContext, VersionLeaf } from '../types.js'
import { type Compiler, invalid, type Place } from './compiler.js'

class VersionNode implements CompiledNode {
  readonly isInstant = false

  constructor(private readonly leaf: VersionLeaf) {}

  enter(run: Run, parent: Parent, arm: number, scope: Scope): Running {
    return run.call(this.leaf, parent, arm, scope)
  }

  expectedMs(run: Run): number | undefined {
    return run.health.expectedMs(this.leaf, run.context.rows ?? 1)
  }

  select = (_context: RouteContext, _draw: number): VersionLeaf => this.leaf
}

/** Nothing to ask for: the request's own answer from before, or one that is always the same. */
class GivenNode implements CompiledNode {
  readonly isInstant = true
  readonly select = undefined

  constructor(private readonly leaf: LastKnown | Constant) {}

  enter(run: Run, parent: Parent, arm: number, scope: Scope): Running {
    return run.call(this.leaf, parent, arm, scope)
  }

  expectedMs(): number {
    return 0
  }
}

export function compileVersion(leaf: VersionLeaf, place: Place, compiler: Compiler): CompiledNode {
  const { leaves, answering, leased } = compiler
  // A candidate may be gone at any moment: callers write to what serves without it.
  if (leaf.lease !== undefined) leased.push({ leaf, isAnswering: place.isAnswering })
  else {
    leaves.push(leaf)
    if (place.isAnswering) answering.push(leaf)
  }
  return new VersionNode(leaf)
}

export function compileLastKnown(leaf: LastKnown, place: Place, compiler: Compiler): CompiledNode {
  if (leaf.maxAgeMs !== undefined && !(leaf.maxAgeMs > 0)) throw invalid(place, 'maxAgeMs is not above 0')
  compiler.hasLastKnown = true
  return new GivenNode(leaf)
}

export function compileConstant(leaf: Constant, place: Place, { constants }: Compiler): CompiledNode {
  if (Object.keys(leaf.outputs).length === 0) throw invalid(place, `the constant "${leaf.name}" has no outputs`)
  constants.push(leaf)
  return new GivenNode(leaf)
}
