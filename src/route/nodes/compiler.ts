// What a node's compile function is given: how to compile its arms and how to complain.
import type { HeadraceError } from '../../core/index.js'
import { RouteErrors } from '../errors.js'
import type { CompiledNode } from '../machine.js'
import type { Constant, RouteNode, VersionLeaf } from '../types.js'

export interface Place {
  /** Where the node stands, for people: `route.canary.new`. */
  readonly where: string
  readonly isInShadow: boolean
  /** What answers here may be the reply, alone or combined: not so in a shadow, nor where a meta-model is given the answers. */
  readonly isAnswering: boolean
}

/** Compiles a subtree. */
export type Compile = (node: RouteNode, place: Place) => CompiledNode

/** What the compilation of one tree gathers. */
export interface Compiler {
  readonly compile: Compile
  readonly leaves: VersionLeaf[]
  /** Of these, those that give answers. */
  readonly answering: VersionLeaf[]
  /** Candidates of releases: they come after all others. */
  readonly leased: { readonly leaf: VersionLeaf; readonly isAnswering: boolean }[]
  readonly constants: Constant[]
  /** By name of a cascade: the versions of each arm. */
  readonly cascades: Map<string, VersionLeaf[][]>
  readonly names: Set<string>
  hasLastKnown: boolean
}

export function invalid(place: Place, problem: string): HeadraceError {
  return RouteErrors.INVALID({ where: place.where, problem })
}

/** Records name nodes, so no two may share a name; the place of what is below it is made from the name. */
export function enterName({ names }: Compiler, { name }: { readonly name: string }, place: Place): Place {
  if (names.has(name))
    throw invalid(place, `the node name "${name}" is used twice; records name nodes, so give each its own`)
  names.add(name)
  return { ...place, where: `${place.where}.${name}` }
}

export function armPlace(place: Place, arm: string | number): Place {
  return { ...place, where: `${place.where}.${arm}` }
}

export function needArms(arms: readonly unknown[], place: Place): void {
  if (arms.length === 0) throw invalid(place, 'it has no arms')
}

export function needDistinct(arms: readonly { readonly name: string }[], place: Place): void {
  if (new Set(arms.map(({ name }) => name)).size !== arms.length) throw invalid(place, 'two arms have the same name')
}
