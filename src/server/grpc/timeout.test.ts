import { describe, expect, it } from 'vitest'
import { timeoutMs } from './timeout.js'

describe('timeoutMs', () => {
  it.each([
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3000],
    ['99999999m', 99_999_999],
    ['500u', 0.5],
    ['1000n', 0.001],
  ])('reads %s', (header, ms) => {
    expect(timeoutMs(header)).toBeCloseTo(ms, 9)
  })

  it('is undefined without the header', () => {
    expect(timeoutMs(undefined)).toBeUndefined()
  })

  it.each(['', '1', 'm', '-1m', '123456789m', '1 m', '1.5S'])('refuses "%s"', (header) => {
    expect(() => timeoutMs(header)).toThrow(expect.objectContaining({ code: 'GRPC_MESSAGE_INVALID' }))
  })
})
