import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Value } from '../value.js'
import { ByteWriter, bytesText, textBytes } from './bytes.js'
import { decodeRow, encodeRow } from './row-bytes.js'

const text = fc.string({ unit: fc.oneof(fc.constantFrom('\ud800', '\udfff', '\u0000', '\ud7ff', '🙂'), fc.string()) })
const scalar = fc.oneof(
  fc.double({ noNaN: true }),
  fc.integer(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.boolean(),
  text,
)
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.constant(null),
  scalar,
  fc.array(scalar),
  fc.float32Array({ noNaN: true }),
)
const bytesOf = (eventMs: number, knownMs: number, values: readonly Value[]): Buffer => {
  const into = new ByteWriter(1)
  encodeRow(into, eventMs, knownMs, values)
  return into.take()
}

describe('the stored form of a row', () => {
  it('gives back what it was given, to the bit', () => {
    fc.assert(
      fc.property(
        fc.double({ noNaN: true }),
        fc.double({ noNaN: true }),
        fc.array(value),
        (eventMs, knownMs, values) => {
          expect(decodeRow(bytesOf(eventMs, knownMs, values))).toEqual({ eventMs, knownMs, values })
        },
      ),
    )
  })

  it('has stayed the same since its first release', () => {
    const values = [null, 0.1, -3, 0.5, -0, 2n ** 60n, false, true, 'é\ud800', [1, 'a'], Float32Array.of(1)]
    const released =
      '014279ab697e87b0004279ab697e9c80000b00019a9999999999b93f0205030000003f03000000800400000000000000100506' +
      '0705c3a9eda0800802020207016109010000803f'
    expect(bytesOf(1_764_000_000_123, 1_764_000_000_456, values).toString('hex')).toBe(released)
    expect(decodeRow(Buffer.from(released, 'hex'))).toEqual({
      eventMs: 1_764_000_000_123,
      knownMs: 1_764_000_000_456,
      values,
    })
  })

  it('is refused when it was cut short, prolonged or of another format, and never allocates what is not there', () => {
    const whole = bytesOf(1, 2, ['text', [1, 2.5], Float32Array.of(1, 2), 3n])
    for (let length = 0; length < whole.length; length++) {
      expect(() => decodeRow(whole.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'FEATURE_ROW_CORRUPT' }),
      )
    }
    expect(() => decodeRow(Buffer.concat([whole, Buffer.of(0)]))).toThrow('1 bytes follow its end')
    expect(() => decodeRow(Buffer.concat([Buffer.of(2), whole.subarray(1)]))).toThrow('its format is 2')
    const head = whole.subarray(0, 17)
    for (const list of [
      [0xff, 0xff, 0xff, 0x7f],
      [1, 8, 0xff, 0xff, 0xff, 0x7f],
      [1, 9, 0xff, 0xff, 0xff, 0x7f],
      [1, 99],
    ]) {
      expect(() => decodeRow(Buffer.concat([head, Buffer.from(list)]))).toThrow(
        expect.objectContaining({ code: 'FEATURE_ROW_CORRUPT' }),
      )
    }
  })
})

describe('text as bytes', () => {
  it('is UTF-8 where that can say it, and comes back whatever it is', () => {
    fc.assert(
      fc.property(text, (each) => {
        const bytes = textBytes(each)
        expect(bytesText(bytes)).toBe(each)
        if (!/\p{Surrogate}/u.test(each)) expect(bytes).toEqual(Buffer.from(each))
      }),
    )
  })
})
