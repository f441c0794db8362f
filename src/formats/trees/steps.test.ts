import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { SplitRules, Tree } from './ensemble.js'
import { evaluateRow, LIGHTGBM_ZERO } from './evaluate.js'
import { floor32, nextBelow, stepsOf } from './steps.js'

const Z = LIGHTGBM_ZERO
const ODD = [
  0,
  -0,
  Z,
  -Z,
  nextBelow(-Z),
  nextBelow(Z),
  1e-45,
  -1e-45,
  1,
  -1,
  -0.5,
  0.5,
  2.7,
  31,
  32,
  33,
  2 ** 24,
  2 ** 31,
  1e300,
  -1e300,
  3.4e38,
]
const odd = fc.constantFrom(...ODD, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY)
const threshold = fc.oneof(
  odd,
  fc.double({ noNaN: true }),
  fc.float({ noNaN: true }),
  fc.integer({ min: -50, max: 50 }),
)
const categories = fc.option(
  fc.uniqueArray(fc.oneof(fc.integer({ min: 0, max: 70 }), fc.constantFrom(2 ** 24 - 1)), { maxLength: 30 }),
)

function treeOf(threshold: number, set: readonly number[] | null, defaultLeft: number, missing: number): Tree {
  return {
    output: 0,
    feature: Int32Array.of(0),
    left: Int32Array.of(~0),
    right: Int32Array.of(~1),
    threshold: Float64Array.of(threshold),
    defaultLeft: Uint8Array.of(defaultLeft),
    missing: Uint8Array.of(missing),
    categories: set ? new Map([[0, Int32Array.from(set).sort()]]) : new Map(),
    leaves: Float64Array.of(1, 2),
  }
}

function goesLeft(tree: Tree, rules: SplitRules, value: number): boolean {
  const ensemble = {
    rules,
    libraryVersion: '',
    objective: '',
    featureCount: 1,
    featureNames: undefined,
    trees: [tree],
    notices: [],
  }
  const { margins } = evaluateRow(
    { ...ensemble, base: new Float64Array(1), link: { kind: 'identity' }, task: 'value' },
    Float32Array.of(value),
  )
  return margins[0] === 1
}

describe('stepsOf', () => {
  it.each(['xgboost', 'lightgbm'] as const)('changes sides exactly where %s does', (rules) => {
    const missing = rules === 'xgboost' ? fc.constant(2) : fc.integer({ min: 0, max: 2 })
    const value = fc.oneof(odd, fc.float({ noNaN: true }), fc.integer({ min: -2, max: 75 }))
    fc.assert(
      fc.property(
        threshold,
        categories,
        fc.integer({ min: 0, max: 1 }),
        missing,
        value,
        (given, set, left, missing, value) => {
          const tree = treeOf(rules === 'xgboost' ? Math.fround(given) : given, set, left, missing)
          const { bounds, startsLeft, missingGoesLeft } = stepsOf(tree, 0, rules)
          expect(bounds.every((bound, i) => Math.fround(bound) === bound && (i === 0 || bound > bounds[i - 1]!))).toBe(
            true,
          )
          expect(goesLeft(tree, rules, Number.NaN)).toBe(missingGoesLeft)
          for (const tried of [
            value,
            ...bounds,
            ...bounds.map(nextBelow),
            ...bounds.map((bound) => -nextBelow(-bound)),
          ]) {
            const x = Math.fround(tried)
            const passed = bounds.filter((bound) => (rules === 'xgboost' ? !(x < bound) : !(x <= bound))).length
            expect(goesLeft(tree, rules, x), `${x} at ${bounds}`).toBe((passed % 2 === 0) === startsLeft)
          }
        },
      ),
      { numRuns: 3000 },
    )
  })
})

describe('floor32 and nextBelow', () => {
  it('are the nearest float32 at most, and below, what is given', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), (value) => {
        const floor = floor32(value)
        expect(floor <= value && Math.fround(floor) === floor).toBe(true)
        const below = nextBelow(value)
        expect(below < value || value === Number.NEGATIVE_INFINITY).toBe(true)
        const between = Math.fround((below + Math.min(value, 3.5e38)) / 2)
        expect(between <= below || between >= value || between === floor).toBe(true)
      }),
    )
    expect(nextBelow(Number.POSITIVE_INFINITY)).toBe(3.4028234663852886e38)
    expect(floor32(1e300)).toBe(3.4028234663852886e38)
    expect(floor32(-1e300)).toBe(Number.NEGATIVE_INFINITY)
  })
})
