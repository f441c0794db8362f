import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compilePattern, re2Pattern } from './pattern.js'

/** Patterns of the language, grown from its grammar. */
const patterns: fc.Arbitrary<string> = fc.letrec<{ either: string; sequence: string; repeated: string; atom: string }>(
  (tie) => ({
    either: fc.oneof(
      { depthSize: 'small' },
      tie('sequence'),
      fc.tuple(tie('either'), tie('sequence')).map(([a, b]) => `${a}|${b}`),
    ),
    sequence: fc.array(tie('repeated'), { maxLength: 4 }).map((parts) => parts.join('')),
    repeated: fc
      .tuple(tie('atom'), fc.constantFrom('', '', '', '*', '+', '?', '{2}', '{1,3}', '{2,}', '*?'))
      .map(([atom, times]) => atom + times),
    atom: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom(
        'a',
        'b',
        'é',
        '.',
        '\\d',
        '\\w',
        '\\D',
        '[ab]',
        '[^a]',
        '[a-c1]',
        '\\.',
        '-',
        '[\\d-]',
        '😀',
        '\\u0061',
      ),
      tie('either').map((inner) => `(${inner})`),
      tie('either').map((inner) => `(?:${inner})`),
    ),
  }),
).either

describe('a pattern', () => {
  it('matches what JavaScript matches', () => {
    fc.assert(
      fc.property(
        patterns,
        fc.boolean(),
        fc.boolean(),
        fc.array(fc.constantFrom('a', 'b', 'c', '1', '2', 'é', '.', '-', '😀', '\n', ' '), { maxLength: 8 }),
        (inner, isStart, isEnd, chars) => {
          const pattern = `${isStart ? '^' : ''}(?:${inner})${isEnd ? '$' : ''}`
          const text = chars.join('')
          let matches: (text: string) => boolean
          try {
            matches = compilePattern(pattern, 'x')
          } catch (error) {
            // Nested repetitions multiply; what is too large is refused when it is defined.
            expect(String(error)).toContain('too large')
            return
          }
          expect(matches(text)).toBe(new RegExp(pattern, 'u').test(text))
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('takes time linear in the text where a backtracking engine would not end', () => {
    const matches = compilePattern('^(a+)+(a|aa)*$', 'x')
    expect(matches(`${'a'.repeat(100_000)}!`)).toBe(false)
    expect(matches('a'.repeat(100_000))).toBe(true)
  })

  it('keeps few states of a pattern that has a great many', () => {
    const matches = compilePattern('(a|b)*a(a|b){14}$', 'x')
    let text = ''
    for (let i = 0; i < 20_000; i++) text += (i * 7919) % 13 < 6 ? 'a' : 'b'
    expect(matches(text)).toBe(/a[ab]{14}$/.test(text))
  })

  it.each([
    ['(', 'not closed'],
    ['a)', 'too many'],
    ['[a', 'not closed'],
    ['*a', 'nothing before'],
    ['a**', 'repeats a repetition'],
    ['(?=a)', 'look-around'],
    ['(a)\\1', '\\1'],
    ['\\bword', '\\b'],
    ['a{3,2}', 'smaller number first'],
    ['a{2000}', 'at most 1000'],
    ['((a{100}){100}){10}', 'too large'],
    ['[z-a]', 'smaller character'],
    ['x{', 'write \\{'],
  ])('is refused with a reason: %s', (pattern, reason) => {
    expect(() => compilePattern(pattern, 'orders: regex a')).toThrow(reason)
  })

  it('is written for RE2 without what RE2 spells otherwise', () => {
    expect(re2Pattern('(?<year>\\d{4})\\u00e9\\u{1F600}')).toBe('(\\d{4})\\x{00e9}\\x{1F600}')
  })
})
