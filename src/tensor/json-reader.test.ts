import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeadraceError } from '../core/index.js'
import { JsonReader } from './json-reader.js'

const bytes = (text: string): Buffer => Buffer.from(text)

function read(text: string | Uint8Array, dialect: 'strict' | 'non-finite' = 'strict'): unknown {
  const reader = new JsonReader(typeof text === 'string' ? bytes(text) : text, dialect)
  const value = reader.readValue()
  reader.finish()
  return value
}

function skip(text: string | Uint8Array): void {
  const reader = new JsonReader(typeof text === 'string' ? bytes(text) : text, 'strict')
  reader.skipValue()
  reader.finish()
}

function failure(run: () => unknown): HeadraceError {
  try {
    run()
  } catch (error) {
    if (error instanceof HeadraceError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

/** What JSON.parse says, with big whole numbers exact; undefined when it is no JSON. */
function engine(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

/** Refused on purpose although JSON.parse takes them: members twice, halves of surrogate pairs, numbers beyond FP64. */
const STRICTER = /a second time|surrogate|beyond the range/

describe('JsonReader', () => {
  it('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        const value = read(text)
        expect(JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? Number(v) : v))).toBe(
          JSON.stringify(JSON.parse(text)),
        )
        skip(text)
      }),
    )
  })

  it('accepts and refuses the same damaged texts as JSON.parse', () => {
    const letters = fc.constantFrom(...'{}[],:"\\ud8/0123456789.eE+-truefalsn \n\t\0\u007fé'.split(''))
    fc.assert(
      fc.property(
        fc.json({ maxDepth: 3 }),
        fc.nat(),
        fc.nat(3),
        fc.array(letters, { maxLength: 3 }),
        (text, at, cut, put) => {
          const start = at % (text.length + 1)
          const damaged = text.slice(0, start) + put.join('') + text.slice(start + cut)
          const theirs = engine(damaged)
          if (theirs === undefined) {
            // What is stricter on purpose may be met before the damage is.
            const { code, message } = failure(() => read(damaged))
            if (!STRICTER.test(message)) expect(code).toBe('TENSOR_JSON_INVALID')
            expect(failure(() => skip(damaged)).code).toBe('TENSOR_JSON_INVALID')
            return
          }
          skip(damaged)
          try {
            expect(JSON.stringify(read(damaged), (_, v) => (typeof v === 'bigint' ? Number(v) : v))).toBe(
              JSON.stringify(theirs.value),
            )
          } catch (error) {
            if (!(error instanceof HeadraceError)) throw error
            expect(error.message).toMatch(STRICTER)
          }
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('reads every double as the engine does, in any notation', () => {
    const notations = fc
      .tuple(
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.constantFrom('short', 'exponent', 'digits', 'fixed'),
      )
      .map(([value, notation]) => {
        if (notation === 'exponent') return value.toExponential()
        if (notation === 'digits') return value.toPrecision(21)
        return notation === 'fixed' && Math.abs(value) < 1e21 ? value.toFixed(20) : `${value}`
      })
    fc.assert(
      fc.property(notations, (text) => {
        const literal = text.replace('e+', 'e')
        expect(new JsonReader(bytes(literal), 'strict').readNumber('')).toBe(Number(literal))
        expect(new JsonReader(bytes(literal), 'strict').takeFloat32()).toBe(Math.fround(Number(literal)))
      }),
      { numRuns: 5000 },
    )
  })

  it('reads decimal literals with any number of digits as the engine does', () => {
    const digits = (maxLength: number) => fc.array(fc.nat(9), { minLength: 1, maxLength }).map((list) => list.join(''))
    const literal = fc
      .tuple(fc.boolean(), digits(25), fc.option(digits(25)), fc.option(fc.integer({ min: -330, max: 310 })))
      .map(([negative, whole, fraction, exponent]) => {
        const integer = whole.replace(/^0+(?=.)/, '')
        return `${negative ? '-' : ''}${integer}${fraction === null ? '' : `.${fraction}`}${exponent === null ? '' : `e${exponent}`}`
      })
    fc.assert(
      fc.property(literal, (text) => {
        expect(new JsonReader(bytes(text), 'strict').readNumber('')).toBe(Number(text))
        expect(new JsonReader(bytes(text), 'strict').takeFloat32()).toBe(Math.fround(Number(text)))
      }),
      { numRuns: 5000 },
    )
  })

  it('rounds to FP32 as the engine does beside the middle of two FP32 values', () => {
    const float = new Float32Array(1)
    const pattern = new Uint32Array(float.buffer)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0x7f7ffffe }), fc.integer({ min: -3, max: 3 }), (bits, nudge) => {
        pattern[0] = bits
        const low = float[0]!
        pattern[0] = bits + 1
        const middle = (low + float[0]!) / 2
        const value = middle * (1 + nudge * 2 ** -52)
        for (const text of [`${value}`, value.toPrecision(19), value.toPrecision(17), value.toExponential(18)])
          expect(new JsonReader(bytes(text), 'strict').takeFloat32()).toBe(Math.fround(Number(text)))
      }),
      { numRuns: 3000 },
    )
  })

  it('keeps whole numbers beyond 2^53 exact', () => {
    expect(read('[9007199254740993, -9223372036854775808, 18446744073709551615, 9007199254740991]')).toEqual([
      9007199254740993n,
      -9223372036854775808n,
      18446744073709551615n,
      9007199254740991,
    ])
    expect(read('1e20')).toBe(1e20)
  })

  it('reads NaN and infinities as bare tokens only in their dialect, and says that they were there', () => {
    const reader = new JsonReader(bytes('[NaN, Infinity, -Infinity, 1]'), 'non-finite')
    expect(reader.readValue()).toEqual([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1])
    expect(reader.sawNonFinite).toBe(true)
    for (const text of ['NaN', 'Infinity', '-Infinity', '[1,NaN]'])
      expect(failure(() => read(text)).code).toBe('TENSOR_JSON_INVALID')
    for (const text of ['-NaN', 'Nan', 'Inf', '-Infinit', '+Infinity'])
      expect(failure(() => read(text, 'non-finite')).code).toBe('TENSOR_JSON_INVALID')
  })

  it('refuses a number too large for a double instead of making it infinite', () => {
    expect(failure(() => read('[1, 1e999]', 'non-finite')).params).toMatchObject({ offset: 4 })
  })

  it('reads any text in any mixture of escapes', () => {
    const escaped = fc.string({ unit: 'grapheme' }).chain((text) =>
      fc.array(fc.boolean(), { minLength: text.length, maxLength: text.length }).map((choices) => ({
        text,
        json: text
          .split('')
          .map((unit, i) =>
            choices[i] || /[\ud800-\udfff]/.test(unit)
              ? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
              : JSON.stringify(unit).slice(1, -1),
          )
          .join(''),
      })),
    )
    fc.assert(
      fc.property(escaped, ({ text, json }) => {
        expect(read(`"${json}"`)).toBe(text)
        const reader = new JsonReader(bytes(`"${json}"`), 'strict')
        reader.peek()
        expect(reader.takeUtf8()).toEqual(bytes(text))
      }),
      { numRuns: 1000 },
    )
    for (let code = 0; code < 0x110000; code += 251) {
      if (code >= 0xd800 && code < 0xe000) continue
      const text = String.fromCodePoint(code)
      const units = text.split('').map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0').toUpperCase()}`)
      if (read(`"${units.join('')}"`) !== text) expect.fail(`U+${code.toString(16)}`)
    }
  })

  it('reads escapes, and refuses halves of surrogate pairs', () => {
    expect(read('"a\\n\\u00e9\\ud83d\\ude00\\/\\"\\\\"')).toBe('a\né😀/"\\')
    for (const text of [
      '"\\ud83d"',
      '"\\ud83dx"',
      '"\\ud83d\\u0041"',
      '"\\ud83d\\n"',
      '"\\ude00\\ud83d"',
      '{"\\ud83d":1}',
    ])
      expect(failure(() => read(text)).message).toContain('surrogate')
  })

  it('names the byte where UTF-8 breaks', () => {
    const body = Buffer.concat([bytes('["é\ufffd'), Buffer.from([0xff]), bytes('"]')])
    expect(failure(() => read(body)).params).toMatchObject({ offset: 7, problem: 'the bytes are not UTF-8' })
    expect(failure(() => read(Buffer.from([0xed, 0xa0, 0x80]))).params).toMatchObject({ offset: 0 })
    expect(failure(() => read(Buffer.from([0x22, 0xc3]))).params).toMatchObject({ offset: 1 })
  })

  it('names the byte and the text near it, showing only plain characters', () => {
    const error = failure(() => read('{"a": 1, "b" 2}'))
    expect(error.params).toMatchObject({ offset: 13, near: '{"a": 1, "b" 2}'.slice(1) })
    expect(error.message).toBe(
      'The body is not valid JSON: at byte 13, near `"a": 1, "b" 2}`, ":" was expected after a member name.',
    )
    expect(failure(() => read('"\u0007`é')).params).toMatchObject({ near: '"····' })
  })

  it('says when the text ended too early', () => {
    for (const text of ['', '   ', '[1,', '{"a"', '"abc', '"abc\\', '"\\u12', '-', '1.', '1e', 'tru'])
      expect(failure(() => read(text)).code).toBe('TENSOR_JSON_INVALID')
    expect(failure(() => read('[1,')).message).toContain('the text ended')
  })

  it('refuses what follows the document', () => {
    expect(failure(() => read('{} {}')).message).toContain('more text follows')
    expect(failure(() => read('1\0')).message).toContain('more text follows')
  })

  it('reads a hundred levels and refuses more', () => {
    const nested = (depth: number): string => `${'['.repeat(depth)}1${']'.repeat(depth)}`
    read(nested(100))
    skip(nested(100))
    for (const run of [read, skip]) {
      expect(failure(() => run(nested(101))).message).toContain('nested more than 100 deep')
      expect(failure(() => run('['.repeat(1_000_000))).message).toContain('nested more than 100 deep')
    }
    // Depth is how deep it is now, not how many lists there were.
    read(`[${'[1],'.repeat(500)}[]]`)
  })

  it('refuses two members of one name, and has no trouble with names of object methods', () => {
    expect(failure(() => read('{"a":1,"a":2}')).code).toBe('TENSOR_MEMBER_DUPLICATE')
    expect(Object.keys(read('{"__proto__":1,"toString":2,"constructor":3}') as object)).toEqual([
      '__proto__',
      'toString',
      'constructor',
    ])
  })

  it('tells strings apart that share a place in its table', () => {
    const words = Array.from({ length: 5000 }, (_, i) => `name_${i}`)
    const text = JSON.stringify([...words, ...words])
    expect(read(text)).toEqual([...words, ...words])
  })

  it('gives a string as a view of the body, or unescaped', () => {
    const body = bytes('["plain é", "a\\tb"]')
    const reader = new JsonReader(body, 'strict')
    reader.readList('')
    const plain = reader.takeUtf8()
    expect(plain.toString()).toBe('plain é')
    expect(plain.buffer).toBe(body.buffer)
    reader.moreElements()
    reader.peek()
    expect(reader.takeUtf8().toString()).toBe('a\tb')
  })
})
