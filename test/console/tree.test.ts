// The geometry of route trees, over generated trees, and what is said of their arms.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RouteArm, RouteView } from '../../console/src/api/types.js'
import { armLive, BOX_HEIGHT, BOX_WIDTH, layoutTree } from '../../console/src/tree/layout.js'
import { armText, conditionsText, kindText } from '../../console/src/tree/words.js'

const leaf = (name: string): RouteView => ({
  kind: 'version',
  name,
  settings: {},
  version: { model: 'fraud', version: 1, state: 'ready', reason: null },
  arms: [],
})
const arm = (name: string, route: RouteView, settings = {}, share: number | null = null): RouteArm => ({
  arm: name,
  share,
  settings,
  route,
})
const node = (kind: RouteView['kind'], name: string, arms: readonly RouteArm[], settings = {}): RouteView => ({
  kind,
  name,
  settings,
  version: null,
  arms,
})

const { tree } = fc.letrec<{ tree: RouteView }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.constant(leaf('fraud/1')),
    fc.array(tie('tree'), { minLength: 1, maxLength: 4 }).map((routes) =>
      node(
        'split',
        'n',
        routes.map((route, i) => arm(String(i), route)),
      ),
    ),
  ),
}))

describe('the layout of a tree', () => {
  it('keeps boxes apart and inside the drawing, arms on the right of their node, for any tree', () => {
    fc.assert(
      fc.property(tree, (root) => {
        const { boxes, edges, width, height } = layoutTree(root, [])
        expect(edges).toHaveLength(boxes.length - 1)
        for (const { x, y } of boxes) {
          expect(x >= 0 && y >= 0 && x + BOX_WIDTH <= width && y + BOX_HEIGHT <= height).toBe(true)
        }
        for (const [i, a] of boxes.entries())
          for (const b of boxes.slice(i + 1))
            expect(Math.abs(a.x - b.x) >= BOX_WIDTH || Math.abs(a.y - b.y) >= BOX_HEIGHT).toBe(true)
        for (const { fromX, toX } of edges) expect(toX).toBeGreaterThan(fromX)
      }),
    )
  })
})

describe('what records say of an arm', () => {
  const counts = (...arms: readonly [string, number, number][]) =>
    arms.map(([name, requests, errors]) => ({ node: 'n', arm: name, requests, errors }))

  it('is its share of what came to the node', () => {
    const live = counts(['candidate', 5, 1], ['baseline', 95, 0])
    const split = node('split', 'n', [
      arm('candidate', leaf('a')),
      arm('baseline', leaf('b')),
      arm('control', leaf('b')),
    ])
    expect(armLive(split, 'candidate', live)).toEqual({ share: 0.05, requests: 5, errors: 1 })
    expect(armLive(split, 'control', live).share).toBe(0)
    expect(armLive(split, 'candidate', []).share).toBeNull()
    // The minute began with a shadow of the same name.
    const both = [...live, ...counts(['shadow', 300, 0], ['skipped', 40, 0])]
    expect(armLive(split, 'baseline', both)).toEqual({ share: 0.95, requests: 95, errors: 0 })
  })

  it('tells leaves of one version apart by the arms that lead to them', () => {
    const live = counts(['candidate', 5, 0], ['baseline', 90, 0], ['control', 7, 0])
    const split = node('split', 'n', [
      arm('candidate', leaf('a')),
      arm('baseline', leaf('b')),
      arm('control', leaf('b')),
    ])
    const { boxes } = layoutTree(split, live)
    expect(boxes.map(({ requests }) => requests)).toEqual([5, 90, 7, null])
  })

  it("counts all requests as those of a shadow's primary, and no errors for copies", () => {
    const live = counts(['shadow', 30, 3], ['primary', 60, 0], ['skipped', 10, 0])
    const shadow = node('shadow', 'n', [])
    expect(armLive(shadow, 'primary', live)).toEqual({ share: 1, requests: 100, errors: 3 })
    expect(armLive(shadow, 'shadow', live)).toEqual({ share: 0.3, requests: 30, errors: 0 })
  })

  it('finds an arm of an ensemble in each set of arms that answered', () => {
    const live = counts(['a+b', 8, 0], ['b', 2, 0])
    const ensemble = node('ensemble', 'n', [])
    expect(armLive(ensemble, 'a', live).share).toBe(0.8)
    expect(armLive(ensemble, 'b', live).share).toBe(1)
  })
})

describe('nodes and arms in words', () => {
  const plain = (text: string): string => text.replaceAll('\u00a0', ' ')

  it('say what each kind does', () => {
    const said = [
      node('split', 'n', [], { by: 'unit' }),
      node('shadow', 'n', [], { sample: 0.1 }),
      node('ensemble', 'n', [], { combine: 'vote' }),
      node('fastest', 'n', [], { staggerMs: 0 }),
      node('fastest', 'n', [], { staggerMs: 10 }),
      node('last-known', 'n', [], { maxAgeMs: 60_000 }),
      node('cascade', 'n', []),
    ].map((one) => plain(kindText(one)))
    expect(said).toEqual([
      'split by unit',
      'shadow of 10 %',
      'ensemble, vote',
      'fastest, all at once',
      'fastest, next after 10 ms',
      'last known answer, up to 1 min',
      'cascade',
    ])
  })

  it('say when an arm is taken', () => {
    const said = (kind: RouteView['kind'], name: string, settings = {}, share: number | null = null) =>
      plain(armText(node(kind, 'n', []), arm(name, leaf('x'), settings, share)))
    expect(said('split', 'candidate', {}, 0.05)).toBe('candidate 5 %')
    expect(said('fallback', '0', { timeoutMs: 200 })).toBe('first ≤ 200 ms')
    expect(said('fallback', '1')).toBe('then')
    expect(said('cascade', '0', { confidence: 0.98 })).toBe('if ≥ 98 % sure')
    expect(said('cascade', '1')).toBe('else')
    expect(said('cheapest', '0', { cost: 3 })).toBe('cost 3')
    expect(said('ensemble', 'a', { weight: 2 })).toBe('a × 2')
    expect(conditionsText({ tenant: ['acme', 'globex'], metadata: { channel: ['web'] } })).toBe(
      'tenant: acme or globex, channel: web',
    )
  })
})
