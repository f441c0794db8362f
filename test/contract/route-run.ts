// What every route tree's interpreter promises its driver, whatever the nodes: checked by walking random trees with random outcomes.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { HeadraceError } from '../../src/core/index.js'
import { compileRoute, type RouteNode, type Step, split, version } from '../../src/route/index.js'

export function arbitraryRoute(): fc.Arbitrary<RouteNode> {
  let names = 0
  const { node } = fc.letrec<{ node: RouteNode }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.nat(5).map((n): RouteNode => version(`model-${n}`, n + 1)),
      fc
        .record({
          by: fc.constantFrom('unit' as const, 'request' as const),
          arms: fc.array(fc.record({ weight: fc.nat(10), route: tie('node') }), { minLength: 1, maxLength: 4 }),
        })
        .filter(({ arms }) => arms.some((arm) => arm.weight > 0))
        .map(
          ({ by, arms }): RouteNode =>
            split({ name: `node-${names++}`, by, arms: arms.map((arm, i) => ({ name: `arm-${i}`, ...arm })) }),
        ),
    ),
  }))
  return node
}

export function routeRunContract(): void {
  it('gives exactly one reply, from a call that ended, and detaches after it', () => {
    fc.assert(
      fc.property(
        arbitraryRoute(),
        fc.option(fc.string(), { nil: undefined }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.infiniteStream(fc.boolean()),
        (tree, unit, draw, outcomes) => {
          const run = compileRoute(tree).run()
          const running = new Set<number>()
          const ended = new Set<number>()
          let replies = 0
          let step: Step = run.start({ endpoint: 'e' as never, unit, draw })
          for (let turns = 0; turns < 1000; turns++) {
            if (step.kind === 'call') {
              expect(running.has(step.call) || ended.has(step.call)).toBe(false)
              running.add(step.call)
              step = run.resume({ kind: 'next', nowMs: 0 })
            } else if (step.kind === 'wait') {
              const [call] = running
              if (call === undefined) {
                step = run.resume({ kind: 'time', nowMs: 0 })
                continue
              }
              running.delete(call)
              ended.add(call)
              const error = new HeadraceError('TEST_FAILED', 'failed', 500, false, 'error', {})
              step = run.resume(
                outcomes.next().value
                  ? { kind: 'result', call, answer: new Map(), nowMs: 0 }
                  : { kind: 'failure', call, error, nowMs: 0 },
              )
            } else if (step.kind === 'reply' || step.kind === 'fail') {
              replies++
              if (step.kind === 'reply') expect(ended.has(step.call)).toBe(true)
              step = run.resume({ kind: 'next', nowMs: 0 })
            } else {
              break
            }
          }
          expect(step.kind).toBe('detach')
          expect(replies).toBe(1)
        },
      ),
    )
  })

  it('records choices that lead from the root to the leaf it called, with probabilities that multiply to its share', () => {
    fc.assert(
      fc.property(arbitraryRoute(), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (tree, draw) => {
        const run = compileRoute(tree).run()
        const step = run.start({ endpoint: 'e' as never, unit: undefined, draw })
        let node = tree
        for (const choice of run.choices) {
          if (node.kind !== 'split') throw new Error('more choices than nodes')
          const arm = node.arms.find((candidate) => candidate.name === choice.arm)!
          expect(choice.node).toBe(node.name)
          const total = node.arms.reduce((sum, other) => sum + other.weight, 0)
          expect(choice.probability).toBeCloseTo(arm.weight / total, 12)
          node = arm.route
        }
        expect(step).toMatchObject({ kind: 'call', leaf: node })
      }),
    )
  })
}
