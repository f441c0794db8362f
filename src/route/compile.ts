// A tree, checked and prepared once: what no request should find out is found out here.
import { RouteErrors } from './errors.js'
import { type CompiledNode, Run } from './machine.js'
import { compileCascade } from './nodes/cascade.js'
import { compileCheapest } from './nodes/cheapest.js'
import type { Compiler, Place } from './nodes/compiler.js'
import { compileEnsemble } from './nodes/ensemble.js'
import { compileFallback } from './nodes/fallback.js'
import { compileFastest } from './nodes/fastest.js'
import { compileConstant, compileLastKnown, compileVersion } from './nodes/leaves.js'
import { compileMatch } from './nodes/match.js'
import { compileShadow } from './nodes/shadow.js'
import { compileSplit } from './nodes/split.js'
import type { Constant, RouteChoice, RouteContext, RouteNode, RouteRun, VersionLeaf } from './types.js'

/** A checked tree, ready to run. */
export interface CompiledRoute {
  /** The tree it was made from. */
  readonly node: RouteNode
  /** The leaf of a one-leaf tree: the path calls it directly, without a run. */
  readonly direct: VersionLeaf | undefined
  /**
   * Finds the leaf of a tree in which every request makes exactly one call (splits and matches), adding to `choices`: what a run
   * would call first, without the run. Undefined for every other tree.
   */
  readonly select: ((context: RouteContext, choices: RouteChoice[]) => VersionLeaf) | undefined
  /** Every version of the tree, in order. */
  readonly leaves: readonly VersionLeaf[]
  /** Of these, those whose outputs callers get: not a shadow's, nor those that a meta-model is given. */
  readonly answering: readonly VersionLeaf[]
  readonly constants: readonly Constant[]
  /** Some leaf gives the last known answer. */
  readonly hasLastKnown: boolean
  /** Some part of it is a release's, and asks for a lease. */
  readonly isLeased: boolean
  /** By name of a cascade: the versions of each of its arms. */
  readonly cascades: ReadonlyMap<string, readonly (readonly VersionLeaf[])[]>
  run(): RouteRun
}

/** Checks a tree and prepares it. Throws ROUTE_INVALID naming the place. */
export function compileRoute(node: RouteNode): CompiledRoute {
  const leaves: VersionLeaf[] = []
  const answering: VersionLeaf[] = []
  const leased: Compiler['leased'] = []
  const constants: Constant[] = []
  const cascades = new Map<string, VersionLeaf[][]>()
  const compiler: Compiler = {
    leaves,
    answering,
    leased,
    constants,
    cascades,
    names: new Set(),
    hasLastKnown: false,
    compile: (inner, at) => compileNode(inner, at, compiler),
  }
  const place: Place = { where: 'route', isInShadow: false, isAnswering: true }
  const root = compileNode(node, place, compiler)
  if (answering.length === 0)
    throw RouteErrors.INVALID({
      where: place.where,
      problem: 'it has no version, so nothing says what requests look like',
    })
  for (const { leaf, isAnswering } of leased) {
    leaves.push(leaf)
    if (isAnswering) answering.push(leaf)
  }
  const { select } = root
  return {
    node,
    direct: node.kind === 'version' ? node : undefined,
    select: select && ((context, choices) => select(context, context.draw, choices)),
    leaves,
    answering,
    constants,
    hasLastKnown: compiler.hasLastKnown,
    isLeased: leased.length > 0,
    cascades,
    run: () => new Run(root),
  }
}

function compileNode(node: RouteNode, place: Place, compiler: Compiler): CompiledNode {
  switch (node.kind) {
    case 'version':
      return compileVersion(node, place, compiler)
    case 'last-known':
      return compileLastKnown(node, place, compiler)
    case 'constant':
      return compileConstant(node, place, compiler)
    case 'split':
      return compileSplit(node, place, compiler)
    case 'match':
      return compileMatch(node, place, compiler)
    case 'fallback':
      return compileFallback(node, place, compiler)
    case 'cascade':
      return compileCascade(node, place, compiler)
    case 'shadow':
      return compileShadow(node, place, compiler)
    case 'fastest':
      return compileFastest(node, place, compiler)
    case 'cheapest':
      return compileCheapest(node, place, compiler)
    case 'ensemble':
      return compileEnsemble(node, place, compiler)
    default:
      throw unknownKind(node, place)
  }
}

function unknownKind(node: never, { where }: Place): Error {
  const kind = JSON.stringify((node as { kind?: unknown }).kind)
  return RouteErrors.INVALID({ where, problem: `unknown node kind ${kind}` })
}
