import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { routeRunContract } from '../../test/contract/route-run.js'
import { simulate } from '../../test/contract/route-simulation.js'
import { arbitraryCase } from '../../test/contract/route-world.js'
import { HeadraceError, seededRandom } from '../core/index.js'
import { compileRoute } from './compile.js'
import { fallback, shadow, split, version } from './config.js'
import type { RouteChoice, RouteHealth } from './types.js'

const half = (name: string, a = version('a', 1), b = version('b', 1)) =>
  split({
    name,
    by: 'request',
    arms: [
      { name: 'left', weight: 1, route: a },
      { name: 'right', weight: 1, route: b },
    ],
  })

describe('the route interpreter', () => {
  routeRunContract({ run: (given) => simulate(given) })

  it('keeps every promise to its driver when the driver is late: one reply, in time or a failure, no call after it', () => {
    fc.assert(
      fc.property(arbitraryCase(), fc.array(fc.integer({ min: 0, max: 80 }), { minLength: 1 }), (given, lags) => {
        let turn = 0
        simulate(given, { lagMs: () => lags[turn++ % lags.length]! })
      }),
      { numRuns: 400 },
    )
  })

  it('selects without a run what a run would call first, wherever every request makes one call', () => {
    let selected = 0
    fc.assert(
      fc.property(arbitraryCase(), (given) => {
        const { select, run } = compileRoute(given.tree)
        if (!select) return
        selected++
        const context = { endpoint: 'e' as never, unit: given.unit, priority: given.priority, draw: given.draw }
        const choices: RouteChoice[] = []
        const leaf = select(context, choices)
        const reference = run()
        expect(reference.start(context)).toMatchObject({ kind: 'call', leaf })
        expect(choices).toEqual(reference.choices)
      }),
      { numRuns: 1000 },
    )
    expect(selected).toBeGreaterThan(100)
  })

  it('takes an answer that comes at the very moment its time is over, and none that comes later', () => {
    const end = (nowMs: number) => {
      const run = compileRoute(fallback({ name: 'f', arms: [version('a', 1)] })).run()
      run.start({ endpoint: 'e' as never, unit: undefined, draw: 0, deadlineMs: 10 })
      return run.resume({ kind: 'result', call: 0, answer: new Map(), nowMs }).kind
    }
    expect([end(10), end(10.001)]).toEqual(['reply', 'cancel'])
  })

  it('asks no circuit and takes no retry for a copy', () => {
    const asked: string[] = []
    const health: RouteHealth = {
      admits: ({ model }) => asked.push(model) < 0,
      expectedMs: () => undefined,
      takeRetry: () => asked.push('retry') < 0,
      takeShadow: () => true,
      endShadow: () => {},
    }
    const copy = fallback({ name: 'f', arms: [{ route: version('b', 1), retries: 1 }, version('c', 1)] })
    const run = compileRoute(shadow({ name: 's', primary: version('a', 1), shadow: copy })).run()
    run.start({ endpoint: 'e' as never, unit: undefined, draw: 0, health })
    run.resume({ kind: 'result', call: 0, answer: new Map(), nowMs: 1 })
    expect(run.resume({ kind: 'next', nowMs: 1 })).toMatchObject({ kind: 'call', role: 'shadow', isGuarded: false })
    const passing = new HeadraceError('TEST_PASSING', 'passing', 504, true, 'warn', {})
    expect(run.resume({ kind: 'failure', call: 1, error: passing, nowMs: 2 })).toMatchObject({ leaf: { model: 'c' } })
    expect(asked).toEqual([])
  })

  it('compiles a one-leaf tree to a direct call', () => {
    expect(compileRoute(version('fraud', 2)).direct).toEqual({ kind: 'version', model: 'fraud', version: 2 })
    expect(compileRoute(half('top')).direct).toBeUndefined()
  })

  it('keeps a unit on its arm and draws anew for a request without one', () => {
    const route = compileRoute(
      split({
        name: 'ab',
        arms: [
          { name: 'a', weight: 1, route: version('a', 1) },
          { name: 'b', weight: 1, route: version('b', 1) },
        ],
      }),
    )
    const arm = (unit: string | undefined, draw: number) => {
      const run = route.run()
      run.start({ endpoint: 'e' as never, unit, draw })
      return run.choices[0]!.arm
    }
    expect(new Set([0.1, 0.4, 0.6, 0.9].map((draw) => arm('user-1', draw))).size).toBe(1)
    expect([arm(undefined, 0.1), arm(undefined, 0.9)]).toEqual(['a', 'b'])
  })

  it('draws nested per-request splits independently from one draw', () => {
    const tree = split({
      name: 'top',
      by: 'request',
      arms: [
        { name: 'left', weight: 1, route: half('inner-1') },
        { name: 'right', weight: 1, route: half('inner-2') },
      ],
    })
    const route = compileRoute(tree)
    const random = seededRandom(3)
    const counts = new Map<string, number>()
    for (let i = 0; i < 4000; i++) {
      const run = route.run()
      run.start({ endpoint: 'e' as never, unit: undefined, draw: random.next() })
      const path = run.choices.map((choice) => choice.arm).join('/')
      counts.set(path, (counts.get(path) ?? 0) + 1)
    }
    expect([...counts.keys()].sort()).toEqual(['left/left', 'left/right', 'right/left', 'right/right'])
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(120)
  })

  it('refuses a tree whose arms or names cannot be recorded', () => {
    expect(() => compileRoute(split({ name: 'n', arms: [{ name: 'a', weight: 0, route: version('a', 1) }] }))).toThrow(
      'no arm has a weight above 0',
    )
    expect(() => compileRoute(split({ name: 'n', arms: [{ name: 'a', weight: 1, route: half('n') }] }))).toThrow(
      'used twice',
    )
    expect(() =>
      compileRoute(
        split({
          name: 'n',
          arms: [
            { name: 'a', weight: -1, route: version('a', 1) },
            { name: 'b', weight: 2, route: version('a', 1) },
          ],
        }),
      ),
    ).toThrow('negative')
  })
})
