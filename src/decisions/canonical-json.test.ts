import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson, type Json, toJson } from './canonical-json.js'

describe('canonical JSON', () => {
  // The examples of RFC 8785, sections 3.2.2 and 3.2.3.
  it('prints literals, numbers and strings as RFC 8785 shows', () => {
    const value = JSON.parse(
      '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],' +
        '"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}',
    )
    expect(canonicalJson(value)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    )
  })

  it('sorts members by UTF-16 code units as RFC 8785 shows', () => {
    const names = ['\u20ac', '\r', '\ufb33', '1', '\u{1f600}', '\u0080', '\u00f6']
    const sorted = ['\r', '1', '\u0080', '\u00f6', '\u20ac', '\u{1f600}', '\ufb33']
    const text = canonicalJson(Object.fromEntries(names.map((name, i) => [name, i])))
    expect(text).toBe(`{${sorted.map((name) => `${JSON.stringify(name)}:${names.indexOf(name)}`).join(',')}}`)
  })

  it('keeps every JSON value, and has one text for it whatever the order of its members', () => {
    const shuffled = (value: Json): Json => {
      if (Array.isArray(value)) return value.map(shuffled)
      if (value === null || typeof value !== 'object') return value
      const entries = Object.entries(value).map(([name, member]) => [name, shuffled(member)] as const)
      return Object.fromEntries(entries.reverse())
    }
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const json = toJson(value)
        const text = canonicalJson(json)
        expect(canonicalJson(JSON.parse(text) as Json)).toBe(text)
        expect(canonicalJson(shuffled(json))).toBe(text)
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(json)))
      }),
    )
  })

  it('takes odd facts as JSON would, and numbers that JSON has not as text', () => {
    const facts = {
      at: new Date(0),
      p: [Number.NaN, Number.NEGATIVE_INFINITY, 2n ** 64n],
      weights: new Float32Array([0.5, 1]),
      half: 'a\ud800b',
      gone: undefined,
      run: () => 1,
      mark: Symbol('x'),
      list: [undefined, () => 1],
    }
    expect(toJson(facts)).toEqual({
      at: '1970-01-01T00:00:00.000Z',
      p: ['NaN', '-Infinity', '18446744073709551616'],
      weights: [0.5, 1],
      half: 'a\ufffdb',
      list: [null, null],
    })
  })

  it('keeps a member named __proto__ as a member', () => {
    expect(canonicalJson(toJson(JSON.parse('{"__proto__":{"a":1}}')))).toBe('{"__proto__":{"a":1}}')
  })

  it('refuses a cycle instead of running for ever', () => {
    const cycle: Record<string, unknown> = {}
    cycle['self'] = cycle
    expect(() => toJson(cycle)).toThrow('nested more than 32 deep')
  })
})
