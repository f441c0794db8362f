// Shadow: the primary answers; a sampled share is copied to the shadow after the reply. Unsampled requests need no frame.
import type { HeadraceError } from '../../core/index.js'
import type { Answer, CompiledNode, Parent, Run, Running, Scope } from '../machine.js'
import type { RouteChoice, Shadow } from '../types.js'
import { armPlace, type Compiler, enterName, invalid, type Place } from './compiler.js'

class ShadowNode implements CompiledNode {
  readonly isInstant: boolean
  readonly select = undefined
  readonly #copied: RouteChoice
  readonly #notCopied: RouteChoice
  readonly #refused: RouteChoice
  readonly #unleased: RouteChoice

  constructor(
    private readonly node: Shadow,
    private readonly primary: CompiledNode,
    private readonly shadow: CompiledNode,
  ) {
    const { name, sample } = node
    this.isInstant = primary.isInstant
    this.#copied = { node: name, arm: 'shadow', probability: sample }
    this.#notCopied = { node: name, arm: 'primary', probability: 1 - sample }
    this.#unleased = { node: name, arm: 'primary', probability: 1, isUnleased: true }
    this.#refused = { node: name, arm: 'skipped', probability: sample }
  }

  enter(run: Run, parent: Parent, arm: number, scope: Scope): Running {
    const { sample, lease } = this.node
    if (lease !== undefined && !run.context.leases?.holds(lease)) {
      run.choose(this.#unleased)
      return this.primary.enter(run, parent, arm, scope)
    }
    if (scope.draw >= sample) {
      run.choose(this.#notCopied)
      return this.primary.enter(run, parent, arm, { ...scope, draw: inner((scope.draw - sample) / (1 - sample)) })
    }
    run.choose(this.#copied)
    const draw = inner(scope.draw / sample)
    return new ShadowFrame(run, parent, arm, { ...scope, draw }, this.primary, () =>
      run.shadowAfterReply({
        node: this.shadow,
        name: this.node.name,
        maxInFlight: this.node.maxInFlight,
        draw,
        refused: this.#refused,
      }),
    )
  }

  expectedMs(run: Run): number | undefined {
    return this.primary.expectedMs(run)
  }
}

/** What is left of the draw; rounding must not leave [0, 1). */
function inner(draw: number): number {
  return Math.min(Math.max(draw, 0), 1 - Number.EPSILON)
}

class ShadowFrame implements Parent, Running {
  readonly #child: Running

  constructor(
    run: Run,
    private readonly parent: Parent,
    private readonly arm: number,
    scope: Scope,
    primary: CompiledNode,
    private readonly copy: () => void,
  ) {
    this.#child = primary.enter(run, this, 0, scope)
  }

  answered(_: number, answer: Answer): void {
    this.copy()
    this.parent.answered(this.arm, answer)
  }

  failed(_: number, error: HeadraceError): void {
    this.parent.failed(this.arm, error)
  }

  cancel(): void {
    this.#child.cancel()
  }
}

export function compileShadow(node: Shadow, outer: Place, compiler: Compiler): CompiledNode {
  const place = enterName(compiler, node, outer)
  if (outer.isInShadow)
    throw invalid(place, 'a shadow stands inside the shadow of another; copies are not copied again')
  if (!(node.sample >= 0 && node.sample <= 1)) throw invalid(place, 'sample is not from 0 to 1')
  if (!Number.isInteger(node.maxInFlight) || node.maxInFlight < 1)
    throw invalid(place, 'maxInFlight is not a whole number from 1')
  if (node.shadow.kind === 'constant' || node.shadow.kind === 'last-known')
    throw invalid(place, 'its shadow calls no version, so there is nothing to learn from it')
  return new ShadowNode(
    node,
    compiler.compile(node.primary, armPlace(place, 'primary')),
    compiler.compile(node.shadow, { ...armPlace(place, 'shadow'), isInShadow: true, isAnswering: false }),
  )
}
