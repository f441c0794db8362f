import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CompiledKey } from './compiled.js'
import { decodeKey, encodeKey } from './entity-key.js'

const user: CompiledKey = { name: 'user_id', type: 'string' }
const item: CompiledKey = { name: 'item_id', type: 'int64' }
const encode = (keys: readonly CompiledKey[], values: Readonly<Record<string, unknown>>) =>
  encodeKey(keys, (name) => values[name])

describe('encodeKey', () => {
  it('leaves a single text as it is', () => {
    expect(encode([user], { user_id: 'a|b\\c' })).toBe('a|b\\c')
  })

  it('joins several, and escapes what would look like a joint', () => {
    expect(encode([user, item], { user_id: 'a|b\\', item_id: 5 })).toBe('a\\|b\\\\|5')
  })

  it('takes whole numbers as numbers, bigints and decimal text, and writes them one way', () => {
    for (const five of [5, 5n, '5', '+5', '005']) expect(encode([item], { item_id: five })).toBe('5')
    expect(encode([item], { item_id: -0 })).toBe('0')
    expect(encode([item], { item_id: '9007199254740993' })).toBe('9007199254740993')
  })

  it.each([[{ user_id: null }], [{}], [{ user_id: undefined }]])('refuses %o: a key is missing', (values) => {
    expect(() => encode([user], values)).toThrow(expect.objectContaining({ code: 'FEATURE_KEY_MISSING' }))
  })

  it.each([
    [user, 5],
    [user, true],
    [user, ['a']],
    [item, 1.5],
    [item, 2 ** 53],
    [item, Number.NaN],
    [item, '1e3'],
    [item, ''],
    [item, '9223372036854775808'],
  ])('refuses a wrong type for %o: %o', (key, value) => {
    expect(() => encode([key], { [key.name]: value })).toThrow(expect.objectContaining({ code: 'FEATURE_KEY_TYPE' }))
  })

  it('is undone by decodeKey, and differs for different keys', () => {
    const keys: CompiledKey[] = [user, item, { name: 'shop', type: 'string' }]
    const text = fc.string({ unit: fc.constantFrom('a', '|', '\\', 'é', ' ') })
    const whole = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
    fc.assert(
      fc.property(text, whole, text, text, whole, text, (a, b, c, d, e, f) => {
        const one = encode(keys, { user_id: a, item_id: b, shop: c })
        const other = encode(keys, { user_id: d, item_id: e, shop: f })
        const [first, second, third] = decodeKey(keys, one)
        expect([first, BigInt(second!), third]).toEqual([a, b, c])
        expect(one === other).toBe(a === d && b === e && c === f)
      }),
    )
  })
})
