// The tree's interpreter as a pure state machine: the driver carries out its steps and reports back, so tests use virtual time.

import { armAt, assignmentPoint } from './assignment.js'
import { RouteErrors } from './errors.js'
import type { CallEvent, RouteChoice, RouteContext, RouteNode, RouteRun, Step, VersionLeaf } from './types.js'

/** A checked tree, ready to run. */
export interface CompiledRoute {
  /** The leaf of a one-leaf tree: the path calls it directly, without a run. */
  readonly direct: VersionLeaf | undefined
  /** Every leaf of the tree, in order. */
  readonly leaves: readonly VersionLeaf[]
  run(): RouteRun
}

/** Checks a tree and prepares it. Throws ROUTE_INVALID naming the place. */
export function compileRoute(node: RouteNode): CompiledRoute {
  const leaves: VersionLeaf[] = []
  const names = new Set<string>()
  check(node, 'route', leaves, names)
  return { direct: node.kind === 'version' ? node : undefined, leaves, run: () => new Run(node) }
}

function check(node: RouteNode, where: string, leaves: VersionLeaf[], names: Set<string>): void {
  switch (node.kind) {
    case 'version':
      leaves.push(node)
      return
    case 'split': {
      const fail = (problem: string) => RouteErrors.INVALID({ where, problem })
      if (names.has(node.name))
        throw fail(`the node name "${node.name}" is used twice; records name nodes, so give each its own`)
      names.add(node.name)
      const arms = new Set(node.arms.map((arm) => arm.name))
      if (arms.size !== node.arms.length) throw fail('two arms have the same name')
      if (!node.arms.every((arm) => Number.isFinite(arm.weight) && arm.weight >= 0))
        throw fail('a weight is negative or not a number')
      if (!node.arms.some((arm) => arm.weight > 0)) throw fail('no arm has a weight above 0')
      for (const arm of node.arms) check(arm.route, `${where}.${node.name}.${arm.name}`, leaves, names)
      return
    }
    default:
      throw unknownNode(node as never)
  }
}

function unknownNode(node: never): Error {
  return RouteErrors.INVALID({
    where: 'route',
    problem: `unknown node kind ${JSON.stringify((node as { kind?: unknown }).kind)}`,
  })
}

/** Every node so far has one active child, so the whole state is the one call in flight. */
class Run implements RouteRun {
  readonly choices: RouteChoice[] = []
  #replied = false

  constructor(private readonly root: RouteNode) {}

  start(context: RouteContext): Step {
    let node = this.root
    // The draw is used up digit by digit: each per-request node rescales what is left of it.
    let draw = context.draw
    while (node.kind === 'split') {
      const weights = node.arms.map((arm) => arm.weight)
      const total = weights.reduce((sum, weight) => sum + weight, 0)
      const sticky = node.by === 'unit' && context.unit !== undefined
      const point = sticky ? assignmentPoint(node.salt, context.unit as string) : draw
      const index = armAt(point, weights)
      const arm = node.arms[index]!
      const probability = arm.weight / total
      if (!sticky) draw = rescale(draw, weights, total, index)
      this.choices.push({ node: node.name, arm: arm.name, probability })
      node = arm.route
    }
    return {
      kind: 'call',
      call: 0,
      leaf: node as VersionLeaf,
      role: 'primary',
      deadlineMs: context.deadlineMs ?? Number.POSITIVE_INFINITY,
    }
  }

  resume(event: CallEvent): Step {
    switch (event.kind) {
      case 'result':
        this.#replied = true
        return { kind: 'reply', call: event.call, isFallback: false }
      case 'failure':
        this.#replied = true
        return { kind: 'fail', error: event.error }
      case 'next':
      case 'time':
        return this.#replied ? { kind: 'detach' } : { kind: 'wait' }
    }
  }
}

function rescale(draw: number, weights: readonly number[], total: number, index: number): number {
  let lower = 0
  for (let i = 0; i < index; i++) lower += weights[i]! / total
  return Math.min(Math.max((draw - lower) / (weights[index]! / total), 0), 1 - Number.EPSILON)
}
