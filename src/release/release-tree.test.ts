import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EndpointName, ModelName } from '../core/index.js'
import {
  cascade,
  compileRoute,
  fallback,
  match,
  type RouteChoice,
  type RouteNode,
  shadow,
  version,
} from '../route/index.js'
import { releaseTree } from './release-tree.js'
import type { ActiveRelease, PlanStep } from './types.js'

const ENDPOINT = 'fraud' as EndpointName
const HELD = { holds: () => true }
const NOT_HELD = { holds: () => false }

function release(step: PlanStep): ActiveRelease {
  return {
    id: 'release-1',
    endpoint: ENDPOINT,
    model: 'fraud',
    from: 3,
    to: 4,
    selector: '{"alias":"champion"}',
    step,
    stepIndex: 0,
    revision: 1,
  }
}
const canary = (weight: number) => release({ kind: 'canary', weight, length: {} })
const champion = version('fraud', { alias: 'champion' })

function pick(route: RouteNode, unit: string | undefined, draw = 0.5, leases = HELD) {
  const choices: RouteChoice[] = []
  const leaf = compileRoute(route).select!({ endpoint: ENDPOINT, unit, draw, leases }, choices)
  return { leaf, choices }
}

describe('the tree of a release', () => {
  it('is the route itself when no release and no target is of this endpoint', () => {
    expect(releaseTree('other', champion, [canary(0.1)], [])).toBe(champion)
  })

  it('gives the candidate, the control and the baseline their shares to 0.1 %, and an equal control', () => {
    for (const weight of [0.001, 0.05, 0.5, 0.7, 1]) {
      const route = releaseTree(ENDPOINT, champion, [canary(weight)], [])
      const compiled = compileRoute(route)
      const counts: Record<string, number> = { candidate: 0, baseline: 0, control: 0 }
      const draws = 20_000
      for (let i = 0; i < draws; i++) {
        const choices: RouteChoice[] = []
        compiled.select!({ endpoint: ENDPOINT, unit: undefined, draw: (i + 0.5) / draws, leases: HELD }, choices)
        counts[choices[0]!.arm]!++
      }
      const control = weight <= 0.5 ? weight : 1 - weight
      expect(Math.abs(counts['candidate']! / draws - weight)).toBeLessThan(0.0002)
      expect(Math.abs(counts['control']! / draws - control)).toBeLessThan(0.0002)
    }
  })

  it('never moves a unit out of the candidate while the weight grows', () => {
    const weight = fc.integer({ min: 1, max: 1000 }).map((thousandths) => thousandths / 1000)
    fc.assert(
      fc.property(fc.string(), weight, weight, (unit, a, b) => {
        const [less, more] = a < b ? [a, b] : [b, a]
        const before = pick(releaseTree(ENDPOINT, champion, [canary(less)], []), unit).leaf
        const after = pick(releaseTree(ENDPOINT, champion, [canary(more)], []), unit).leaf
        if (before.version === 4) expect(after.version).toBe(4)
      }),
      { numRuns: 300 },
    )
  })

  it('serves the pinned baseline, and says so, while the lease is not held', () => {
    const route = releaseTree(ENDPOINT, champion, [canary(0.3)], [])
    fc.assert(
      fc.property(
        fc.option(fc.string(), { nil: undefined }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (unit, draw) => {
          const held = pick(route, unit, draw)
          const { leaf, choices } = pick(route, unit, draw, NOT_HELD)
          expect(leaf.version).toBe(3)
          const isCandidates = held.leaf.version === 4
          expect(choices[0]!.isUnleased ?? false).toBe(isCandidates)
          expect(choices[0]!.arm).toBe(isCandidates ? 'baseline' : held.choices[0]!.arm)
        },
      ),
    )
  })

  it('keeps caches of the arms that are compared apart from everybody else’s', () => {
    const { arms } = releaseTree(ENDPOINT, champion, [canary(0.1)], []) as Extract<RouteNode, { kind: 'split' }>
    expect(arms.map(({ name, route }) => [name, (route as { partition?: string }).partition])).toEqual([
      ['candidate', 'release-1/candidate'],
      ['baseline', undefined],
      ['control', 'release-1/control'],
    ])
  })

  it('replaces leaves wherever they stand in a tree, and a model used twice twice', () => {
    const route = match({
      name: 'by-tenant',
      cases: [
        {
          name: 'acme',
          when: { tenant: ['acme'] },
          route: fallback({ name: 'safe', arms: [{ route: champion }, { route: version('old', 1) }] }),
        },
      ],
      otherwise: cascade({
        name: 'cheap-first',
        arms: [{ route: version('small', 1), confidence: 0.9 }, { route: champion }],
      }),
    })
    const compiled = compileRoute(releaseTree(ENDPOINT, route, [canary(0.1)], []))
    expect(compiled.leaves.map(({ model, version }) => `${model}/${JSON.stringify(version)}`)).toEqual([
      ...['fraud/3', 'fraud/3', 'old/1', 'small/1', 'fraud/3', 'fraud/3'],
      ...['fraud/4', 'fraud/4'],
    ])
    expect(compiled.isLeased).toBe(true)
  })

  it('copies to the candidate in a shadow step, and not inside another shadow', () => {
    const step: PlanStep = { kind: 'shadow', sample: 0.5, length: {} }
    expect(releaseTree(ENDPOINT, champion, [release(step)], [])).toMatchObject({
      kind: 'shadow',
      primary: { version: 3 },
      shadow: { version: 4, lease: { release: 'release-1' } },
      lease: 'release-1',
    })
    const outer = shadow({ name: 'new-model', primary: version('other', 1), shadow: champion })
    const tree = releaseTree(ENDPOINT, outer, [release(step)], [])
    expect(tree).toMatchObject({ shadow: { kind: 'version', version: 3 } })
    compileRoute(tree)
  })

  it('puts the version that completed releases left in place of the selector they moved', () => {
    const targets = [{ endpoint: ENDPOINT, model: 'fraud', selector: '3', version: 4 }]
    expect(releaseTree(ENDPOINT, version('fraud', 3), [], targets)).toEqual(version('fraud', 4))
    expect(releaseTree(ENDPOINT, version('fraud', 5), [], targets)).toEqual(version('fraud', 5))
    expect(releaseTree(ENDPOINT, version('other' as ModelName, 3), [], targets)).toEqual(version('other', 3))
  })
})
