import { describe, expect, it } from 'vitest'
import type { Expectation } from '../definitions/expectation.js'
import type { Value } from '../value.js'
import { checkRows, checkRules } from './row-rules.js'

const problems = (expectations: readonly Expectation[], ...values: Value[]): (string | undefined)[] => {
  const { breaches } = checkRows(
    { name: 'orders', expectations },
    values.map((value) => ({ a: value })),
  )
  return values.map((_, i) => breaches.find((breach) => breach.index === i)?.problem)
}

describe('row rules', () => {
  it('let a null pass, all but notNull', () => {
    const rules: Expectation[] = [
      { expect: 'type', column: 'a', type: 'float64' },
      { expect: 'range', column: 'a', min: 1 },
      { expect: 'oneOf', column: 'a', values: [1] },
      { expect: 'regex', column: 'a', pattern: '^x' },
    ]
    expect(problems(rules, null)).toEqual([undefined])
    expect(problems([{ expect: 'notNull', column: 'a' }], null, 0)).toEqual(['a is null', undefined])
  })

  it('take the ends of a range, and bigints beyond 2^53', () => {
    const rule: Expectation = { expect: 'range', column: 'a', min: 0, max: 10 }
    expect(problems([rule], 0, 10, -1e-9, 2n ** 60n, 'x')).toEqual([
      undefined,
      undefined,
      'a is -1e-9; expected 0 to 10',
      'a is 1152921504606846976; expected 0 to 10',
      'a is "x", which is no number',
    ])
  })

  it('tell what a value is when it is none of a set or does not match', () => {
    expect(problems([{ expect: 'oneOf', column: 'a', values: ['DE', 1] }], 'DE', 1n, 'FR')).toEqual([
      undefined,
      undefined,
      'a is "FR", which is none of the 2 allowed',
    ])
    expect(problems([{ expect: 'regex', column: 'a', pattern: '^u_\\d+$' }], 'u_1', 'x'.repeat(99))).toEqual([
      undefined,
      `a is "${'x'.repeat(38)}…, which does not match /^u_\\d+$/`,
    ])
  })

  it('judge types as definitions name them', () => {
    const fits = (type: string, value: Value) =>
      problems([{ expect: 'type', column: 'a', type }], value)[0] === undefined
    expect(fits('int64', 2n ** 60n)).toBe(true)
    expect(fits('int64', 1.5)).toBe(false)
    expect(fits('int32', 2 ** 31)).toBe(false)
    expect(fits('string[]', ['a', 'b'])).toBe(true)
    expect(fits('string[]', ['a', 1])).toBe(false)
    expect(fits('float32[2]', new Float32Array(2))).toBe(true)
    expect(fits('float32[2]', new Float32Array(3))).toBe(false)
  })

  it('give the first breach of a row, by rule and column', () => {
    const { breaches } = checkRows(
      {
        name: 'orders',
        expectations: [
          { expect: 'notNull', column: 'b' },
          { expect: 'range', column: 'a', min: 0 },
        ],
      },
      [{ a: -1 }, { a: 1, b: 1 }, { a: -1, b: 1 }],
    )
    expect(breaches.map(({ index, reason }) => [index, reason])).toEqual([
      [0, 'notNull b'],
      [2, 'range a'],
    ])
  })

  it('refuse rules that could never be judged', () => {
    const refused = (rule: Expectation) => () => checkRules({ name: 'orders', expectations: [rule] })
    expect(refused({ expect: 'type', column: 'a', type: 'number' })).toThrow('"number" is no type')
    expect(refused({ expect: 'range', column: 'a', min: 2, max: 1 })).toThrow('min is above max')
    expect(refused({ expect: 'regex', column: 'a', pattern: '(' })).toThrow('not closed')
    expect(refused({ expect: 'nullShare', column: 'a', max: 5 })).toThrow('a share')
    expect(
      refused({ expect: 'distribution', column: 'a', reference: { edges: [1, 1], shares: [0.5, 0.2, 0.3] } }),
    ).toThrow('do not ascend')
  })
})
