import { describe, expect, it } from 'vitest'
import { compileRoute } from './compile.js'
import {
  cascade,
  cheapest,
  constant,
  ensemble,
  fallback,
  fastest,
  lastKnown,
  match,
  routeSchema,
  shadow,
  split,
  version,
} from './config.js'
import type { RouteNode } from './types.js'

const a = version('a', 1)
const b = version('b', { alias: 'champion' })

describe('the route schema', () => {
  it('takes what the helpers make, node for node', () => {
    const routes: RouteNode[] = [
      a,
      b,
      version('c'),
      split({ name: 's', arms: [{ name: 'x', weight: 1, route: a }] }),
      match({
        name: 'm',
        cases: [{ name: 'x', when: { tenant: ['t'], metadata: { k: ['v'] } }, route: a }],
        otherwise: b,
      }),
      fallback({
        name: 'f',
        arms: [{ route: a, timeoutMs: 5, retries: 1 }, lastKnown({ maxAgeMs: 5 }), constant('c', { y: [1, 2] })],
      }),
      cascade({ name: 'c', arms: [{ route: a, confidence: 0.9 }, { route: b }], output: 'p' }),
      shadow({ name: 'sh', primary: a, shadow: b }),
      fastest({ name: 'fa', arms: [a, b] }),
      cheapest({ name: 'ch', arms: [{ route: a, cost: 1 }] }),
      ensemble({ name: 'e', combine: 'stack', arms: [{ name: 'x', route: a }], meta: b }),
    ]
    for (const route of routes) {
      expect(routeSchema.parse(route)).toEqual(route)
      expect(compileRoute(route).leaves.length).toBeGreaterThan(0)
    }
  })

  it('names the helpers when something else stands where a route should', () => {
    const problem = routeSchema.safeParse({ kind: 'fallbak', name: 'f', arms: [] })
    expect(problem.success).toBe(false)
    expect(problem.error!.issues[0]!.message).toContain('fallback(…)')
  })
})

describe('compiling a route', () => {
  it.each<[string, RouteNode, string]>([
    ['a constant before the last arm', fallback({ name: 'f', arms: [constant('c', { y: 1 }), a] }), 'never reached'],
    ['no version at all', constant('c', { y: 1 }), 'no version'],
    ['a confidence on the last arm', cascade({ name: 'c', arms: [{ route: a, confidence: 0.5 }] }), 'always counts'],
    ['no confidence before it', cascade({ name: 'c', arms: [{ route: a }, { route: b }] }), 'needs a confidence'],
    [
      'a shadow in a shadow',
      shadow({ name: 'x', primary: a, shadow: shadow({ name: 'y', primary: a, shadow: b }) }),
      'not copied again',
    ],
    ['a share above 1', shadow({ name: 'x', primary: a, shadow: b, sample: 1.5 }), 'from 0 to 1'],
    [
      'a stack without a meta-model',
      ensemble({ name: 'e', combine: 'stack', arms: [{ name: 'x', route: a }] }),
      'needs a meta-model',
    ],
    [
      'a meta-model without a stack',
      ensemble({ name: 'e', combine: 'vote', arms: [{ name: 'x', route: a }], meta: b }),
      'takes no meta-model',
    ],
    [
      'a quorum above the arms',
      ensemble({ name: 'e', combine: 'vote', arms: [{ name: 'x', route: a }], quorum: 2 }),
      'from 1 to 1',
    ],
    [
      'weights left out',
      ensemble({ name: 'e', combine: 'weighted', arms: [{ name: 'x', route: a }] }),
      'needs a weight',
    ],
    ['a name used twice', fallback({ name: 'f', arms: [fallback({ name: 'f', arms: [a] })] }), 'used twice'],
    [
      'a case without conditions',
      match({ name: 'm', cases: [{ name: 'x', when: {}, route: a }], otherwise: b }),
      'no condition',
    ],
    ['a negative cost', cheapest({ name: 'c', arms: [{ route: a, cost: -1 }] }), 'cost is negative'],
    ['no arms', fastest({ name: 'f', arms: [] }), 'no arms'],
  ])('refuses %s and names the place', (_, route, problem) => {
    expect(() => compileRoute(route)).toThrow(problem)
    expect(() => compileRoute(route)).toThrow(/at route/)
  })
})

describe('match', () => {
  const route = compileRoute(
    match({
      name: 'm',
      cases: [
        { name: 'both', when: { tenant: ['t1', 't2'], metadata: { tier: ['gold', '7'] } }, route: a },
        { name: 'unit', when: { unit: ['u'], protocol: ['oip'], priority: ['low'] }, route: version('u', 1) },
      ],
      otherwise: b,
    }),
  )
  const arm = (context: object): string => {
    const choices: { arm: string }[] = []
    route.select!({ endpoint: 'e' as never, unit: undefined, draw: 0, ...context }, choices as never)
    return choices[0]!.arm
  }

  it('takes the first case whose conditions all hold, and otherwise the rest', () => {
    expect(arm({ tenant: 't2', metadata: { tier: 'gold' } })).toBe('both')
    expect(arm({ tenant: 't2', metadata: { tier: 7 } })).toBe('both')
    expect(arm({ tenant: 't3', metadata: { tier: 'gold' } })).toBe('otherwise')
    expect(arm({ tenant: 't1' })).toBe('otherwise')
    expect(arm({ unit: 'u', protocol: 'oip', priority: 'low' })).toBe('unit')
    expect(arm({ unit: 'u', protocol: 'oip' })).toBe('otherwise')
  })
})
