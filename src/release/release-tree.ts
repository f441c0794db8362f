// The route of an endpoint with its releases in place: every leaf that means the version being replaced becomes a shadow or a split,
// and every leaf that completed releases moved becomes the version they left.
import type { ModelName } from '../core/index.js'
import type { RouteNode, SplitArm, VersionLeaf } from '../route/index.js'
import { RELEASE_NODE } from './guards/reader.js'
import { controlWeight, thousandth } from './plan.js'
import type { ActiveRelease, ReleaseTarget } from './types.js'

/** Copies of one shadow under way at once, in each process. */
const MAX_SHADOWS = 64

/** `releases` and `targets` of other endpoints are passed over. Without any for this endpoint it is `route` itself. */
export function releaseTree(
  endpoint: string,
  route: RouteNode,
  releases: readonly ActiveRelease[],
  targets: readonly ReleaseTarget[],
): RouteNode {
  const ownReleases = releases.filter((release) => release.endpoint === endpoint)
  const ownTargets = targets.filter((target) => target.endpoint === endpoint)
  if (ownReleases.length === 0 && ownTargets.length === 0) return route
  const names = new Set<string>()
  gatherNames(route, names)
  // Guards read the first one; the others are of the same unit, by the same salt.
  const nodeName = () => {
    let name = RELEASE_NODE
    for (let i = 2; names.has(name); i++) name = `${RELEASE_NODE}-${i}`
    names.add(name)
    return name
  }
  const replace = (leaf: VersionLeaf, isInShadow: boolean): RouteNode => {
    const release = ownReleases.find((candidate) => means(candidate, leaf))
    if (release !== undefined) return subtree(release, nodeName, isInShadow)
    const target = ownTargets.find((candidate) => means(candidate, leaf))
    return target === undefined ? leaf : { ...leaf, version: target.version }
  }
  return map(route, false, replace)
}

/** Share of units that a step gives the candidate. */
export function weightOf(step: ActiveRelease['step']): number {
  return step.kind === 'canary' ? step.weight : 0
}

/** JSON of a leaf's selector, as releases name it. */
export function selectorOf({ version }: VersionLeaf): string {
  return JSON.stringify(version)
}

/** The leaves of a tree that a release can replace, in order: not a meta-model, whose inputs are other models' outputs. */
export function versionLeaves(route: RouteNode): VersionLeaf[] {
  const leaves: VersionLeaf[] = []
  map(route, false, (leaf) => {
    leaves.push(leaf)
    return leaf
  })
  return leaves
}

function means({ model, selector }: { model: string; selector: string }, leaf: VersionLeaf): boolean {
  return leaf.model === model && selectorOf(leaf) === selector
}

function subtree(release: ActiveRelease, nodeName: () => string, isInShadow: boolean): RouteNode {
  const { id, step } = release
  const model = release.model as ModelName
  const baseline: VersionLeaf = { kind: 'version', model, version: release.from }
  const candidate: VersionLeaf = {
    kind: 'version',
    model,
    version: release.to,
    lease: { release: id, otherwise: baseline },
    partition: `${id}/candidate`,
  }
  if (step.kind === 'shadow') {
    // Copies are not copied again.
    if (isInShadow) return baseline
    return {
      kind: 'shadow',
      name: nodeName(),
      primary: baseline,
      shadow: candidate,
      sample: step.sample,
      maxInFlight: MAX_SHADOWS,
      lease: id,
    }
  }
  const control = controlWeight(step.weight)
  const arms: SplitArm[] = [
    { name: 'candidate', weight: step.weight, route: candidate, lease: { release: id, otherwise: 'baseline' } },
    { name: 'baseline', weight: thousandth(1 - step.weight - control), route: baseline },
    { name: 'control', weight: control, route: { ...baseline, partition: `${id}/control` } },
  ]
  return { kind: 'split', name: nodeName(), salt: id, by: 'unit', arms }
}

function map(
  node: RouteNode,
  isInShadow: boolean,
  replace: (leaf: VersionLeaf, isInShadow: boolean) => RouteNode,
): RouteNode {
  const inner = (route: RouteNode) => map(route, isInShadow, replace)
  switch (node.kind) {
    case 'version':
      return replace(node, isInShadow)
    case 'last-known':
    case 'constant':
      return node
    case 'split':
    case 'fallback':
    case 'cascade':
    case 'cheapest':
    case 'ensemble':
      return { ...node, arms: node.arms.map((arm) => ({ ...arm, route: inner(arm.route) })) } as RouteNode
    case 'fastest':
      return { ...node, arms: node.arms.map(inner) }
    case 'match':
      return {
        ...node,
        cases: node.cases.map((one) => ({ ...one, route: inner(one.route) })),
        otherwise: inner(node.otherwise),
      }
    case 'shadow':
      return { ...node, primary: inner(node.primary), shadow: map(node.shadow, true, replace) }
  }
}

function gatherNames(node: RouteNode, names: Set<string>): void {
  if ('name' in node) names.add(node.name)
  switch (node.kind) {
    case 'version':
    case 'last-known':
    case 'constant':
      return
    case 'fastest':
      for (const arm of node.arms) gatherNames(arm, names)
      return
    case 'match':
      for (const one of node.cases) gatherNames(one.route, names)
      gatherNames(node.otherwise, names)
      return
    case 'shadow':
      gatherNames(node.primary, names)
      gatherNames(node.shadow, names)
      return
    default:
      for (const arm of node.arms) gatherNames(arm.route, names)
  }
}
