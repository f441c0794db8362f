import { describe, expect, it } from 'vitest'
import { checkArrived, checkValue, isValueType, vectorLength } from './check-value.js'
import type { ValueType } from './value.js'

describe('checkValue', () => {
  it.each<[ValueType, unknown, unknown]>([
    ['float64', 1.5, 1.5],
    ['float64', 12n, 12],
    ['float64', Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
    ['float32', 0.1, Math.fround(0.1)],
    ['int64', 7, 7],
    ['int64', '9007199254740993', 9007199254740993n],
    ['int64', 9007199254740993n, 9007199254740993n],
    ['int64', 12n, 12],
    ['int64', '-12', -12],
    ['int32', -2147483648, -2147483648],
    ['bool', false, false],
    ['string', '', ''],
    ['timestamp', 1_700_000_000_000, 1_700_000_000_000],
    ['timestamp', '2026-01-02', Date.UTC(2026, 0, 2)],
    ['timestamp', '2026-01-02T03:04:05', Date.UTC(2026, 0, 2, 3, 4, 5)],
    ['timestamp', '2026-01-02 03:04:05.678+02', Date.UTC(2026, 0, 2, 1, 4, 5, 678)],
    ['timestamp', '2026-01-02T03:04:05Z', Date.UTC(2026, 0, 2, 3, 4, 5)],
    ['timestamp', '2026-01-02T03:04:05-0130', Date.UTC(2026, 0, 2, 4, 34, 5)],
    ['timestamp', new Date(5), 5],
    ['float64[]', [1, 2n], [1, 2]],
    ['int64[]', ['9007199254740993', 1], [9007199254740993n, 1]],
    ['string[]', [], []],
    ['bool[]', [true], [true]],
    ['float32[2]', [0.1, 2], new Float32Array([0.1, 2])],
    ['float32[2]', new Float64Array([0.1, 2]), new Float32Array([0.1, 2])],
  ])('%s takes %o', (type, value, expected) => {
    expect(checkValue(type, value)).toEqual(expected)
  })

  it.each<ValueType>(['float64', 'int64', 'bool', 'string', 'timestamp', 'string[]', 'float32[3]'])(
    'reads nothing as null for %s',
    (type) => {
      expect(checkValue(type, null)).toBeNull()
      expect(checkValue(type, undefined)).toBeNull()
    },
  )

  it('reads NaN as null', () => {
    expect(checkValue('float64', Number.NaN)).toBeNull()
    expect(checkValue('int64', Number.NaN)).toBeNull()
  })

  it.each<[ValueType, unknown, string]>([
    ['float64', '1', 'the text "1"'],
    ['float32', 1e39, '1e+39'],
    ['int64', 1.5, '1.5'],
    ['int64', 2 ** 53, '9007199254740992'],
    ['int64', '9223372036854775808', 'the text'],
    ['int32', 2147483648, '2147483648'],
    ['bool', 1, '1'],
    ['string', 5, '5'],
    ['string', { a: 1 }, 'an object'],
    ['timestamp', 'yesterday', 'the text "yesterday"'],
    ['timestamp', 9e15, '9000000000000000'],
    ['timestamp', '2026-13-01', 'the text "2026-13-01"'],
    ['float64[]', 5, '5'],
    ['float64[]', [1, null], 'Entry 1 of the value'],
    ['float64[]', [Number.NaN], 'Entry 0 of the value'],
    ['float32[2]', [1], 'a list of 1'],
    ['float32[2]', [1, Number.NaN], 'Entry 1 of the value'],
  ])('%s refuses %o and says what arrived', (type, value, told) => {
    expect(() => checkValue(type, value)).toThrow(
      expect.objectContaining({ code: 'FEATURE_VALUE_TYPE', message: expect.stringContaining(told) }),
    )
  })

  it('never shows more than the beginning of a long text', () => {
    expect(() => checkValue('float64', 'x'.repeat(10_000))).toThrow(/^.{1,200}$/)
  })
})

describe('isValueType', () => {
  it('knows vectors of 1 to 65,536 numbers', () => {
    expect(['float32[1]', 'float32[65536]', 'int32'].every(isValueType)).toBe(true)
    expect(['float32[0]', 'float32[65537]', 'float32[]', 'float64[2]', 'int', 5, null].some(isValueType)).toBe(false)
    expect(vectorLength('float32[384]')).toBe(384)
  })
})

describe('checkArrived', () => {
  const ms = Date.UTC(2026, 0, 2, 3, 4, 5, 123)
  it.each([
    [ms / 1000, ms],
    [ms, ms],
    [ms * 1000, ms],
    [ms * 1e6, ms],
    [BigInt(ms) * 1_000_000n, ms],
    [String(ms / 1000), ms],
    [`${ms}000`, ms],
    ['2026-01-02T03:04:05.123Z', ms],
    [new Date(5), 5],
    [-1, -1000],
    [Number.NaN, null],
  ])('reads the moment %o in the unit that its size shows', (value, expected) => {
    expect(checkArrived('timestamp', value)).toBe(expected)
  })

  it('leaves other types as they are', () => {
    expect(checkArrived('int64', 5)).toBe(5)
    expect(() => checkArrived('timestamp', 1e300, 'It')).toThrow(/It/)
  })

  it('refuses text with half a character, and numbers that were rounded with how to send them', () => {
    expect(checkArrived('string', 'a\u0000🙂')).toBe('a\u0000🙂')
    expect(() => checkArrived('string', '\ud83d!')).toThrow(/text with half a character/)
    expect(() => checkArrived('string[]', ['a', '\udc00'])).toThrow(/text with half a character/)
    expect(() => checkArrived('int64', 2 ** 53)).toThrow(/9007199254740992, a number that may have been rounded/)
  })
})
