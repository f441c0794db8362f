import { describe, expect, it } from 'vitest'
import {
  formatBytes,
  formatDuration,
  formatErrors,
  formatMs,
  formatNumber,
  formatRate,
  formatShare,
  formatTime,
  formatUtc,
  formatValue,
  NOTHING,
} from '../../console/src/format.js'

/** With ordinary spaces, to be read here. */
const plain = (text: string): string => text.replaceAll('\u00a0', ' ')

describe('numbers for people', () => {
  it.each([
    [0, '0 ms'],
    [0.1234, '0.12 ms'],
    [9.996, '10.00 ms'],
    [42.16, '42.2 ms'],
    [999, '999 ms'],
    [1234, '1.23 s'],
    [61_000, '61 s'],
    [null, NOTHING],
  ])('%s milliseconds are %s', (ms, text) => expect(plain(formatMs(ms))).toBe(text))

  it.each([
    [0, '0 %'],
    [0.000001, '<0.01 %'],
    [0.001, '0.1 %'],
    [0.0525, '5.3 %'],
    [0.5, '50 %'],
    [0.9966, '99.66 %'],
    [0.999999, '>99.99 %'],
    [1, '100 %'],
    [null, NOTHING],
    [Number.NaN, NOTHING],
  ])('a share of %s is %s', (share, text) => expect(plain(formatShare(share))).toBe(text))

  it('say the rate, and do not show what is not nothing as nothing', () => {
    expect([0, 0.01, 3.25, 12.6, 12_345].map((rate) => plain(formatRate(rate)))).toEqual([
      '0 /s',
      '<0.1 /s',
      '3.3 /s',
      '13 /s',
      '12,345 /s',
    ])
  })

  it('have errors only where there were requests', () => {
    expect([formatErrors(0, 0), plain(formatErrors(1, 200))]).toEqual([NOTHING, '0.5 %'])
  })

  it('keep three digits and never come as powers of ten', () => {
    expect([0, 0.000123, 1.2345, 123.45, 1e9, Number.POSITIVE_INFINITY].map(formatNumber)).toEqual([
      '0',
      '0.000123',
      '1.23',
      '123',
      '1,000,000,000',
      'Infinity',
    ])
  })

  it('have bytes in the unit that fits', () => {
    expect([0, 999, 1000, 12_345_678, 5e12].map((bytes) => plain(formatBytes(bytes)))).toEqual([
      '0 B',
      '999 B',
      '1.0 KB',
      '12 MB',
      '5.0 TB',
    ])
  })
})

describe('times for people', () => {
  it.each([
    [0, '0 s'],
    [12_400, '12 s'],
    [90 * 60_000, '1 h 30 min'],
    [86_400_000, '1 d'],
    [86_400_000 + 5000, '1 d'],
    [7 * 86_400_000 + 3_600_000, '7 d 1 h'],
  ])('%s milliseconds last %s', (ms, text) => expect(plain(formatDuration(ms))).toBe(text))

  it('name the day only when it is another one', () => {
    const noon = new Date(2026, 10, 22, 12, 3, 4).getTime()
    expect(formatTime(noon, noon + 1000)).toBe('12:03:04')
    expect(formatTime(noon, noon + 86_400_000)).toBe('2026-11-22 12:03:04')
    expect(formatUtc(Date.UTC(2026, 0, 2, 3, 4, 5, 6))).toBe('2026-01-02 03:04:05.006 UTC')
  })
})

describe('any value', () => {
  it('is a line of limited length', () => {
    expect([formatValue('a'), formatValue(1 / 3), formatValue(null), formatValue([1, 'b'])]).toEqual([
      'a',
      '0.333333',
      NOTHING,
      '[1,"b"]',
    ])
    expect([9_007_199_254_740_991, 1_795_395_116_755, -7, 1e300, 1234.56789].map((n) => formatValue(n))).toEqual([
      '9007199254740991',
      '1795395116755',
      '-7',
      '1e+300',
      '1234.57',
    ])
    expect(formatValue('x'.repeat(500))).toHaveLength(120)
  })
})
