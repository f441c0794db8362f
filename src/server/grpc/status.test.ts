import { describe, expect, it } from 'vitest'
import { HeadraceError } from '../../core/index.js'
import { errorTrailers, percentEncode, Status, statusOf } from './status.js'

const failure = (status: number, retry = true, params = {}) =>
  new HeadraceError('X_Y', 'größer als 100 %', status, retry, 'info', params)

describe('statusOf', () => {
  it.each([
    [400, Status.INVALID_ARGUMENT],
    [404, Status.NOT_FOUND],
    [409, Status.ALREADY_EXISTS],
    [429, Status.RESOURCE_EXHAUSTED],
    [499, Status.CANCELLED],
    [500, Status.INTERNAL],
    [501, Status.UNIMPLEMENTED],
    [503, Status.UNAVAILABLE],
    [504, Status.DEADLINE_EXCEEDED],
  ])('gives %i as %i', (http, grpc) => {
    expect(statusOf(failure(http))).toBe(grpc)
  })

  it('gives what cannot succeed when sent again never as UNAVAILABLE, which clients send again', () => {
    expect(statusOf(failure(503, false))).toBe(Status.FAILED_PRECONDITION)
  })
})

describe('errorTrailers', () => {
  it('have the code, and the pause before another try where the error names one', () => {
    expect(errorTrailers(failure(429, true, { retryAfterMs: 250.4 }), 'p1', ['pinned'])).toEqual({
      'grpc-status': 8,
      'grpc-message': 'gr%C3%B6%C3%9Fer als 100 %25',
      'headrace-code': 'X_Y',
      'grpc-retry-pushback-ms': '251',
      'headrace-prediction-id': 'p1',
      'headrace-flags': 'pinned',
    })
  })

  it('keep a message short enough for a header, and whole characters in it', () => {
    const encoded = percentEncode('ü'.repeat(10_000))
    expect(encoded.length).toBeLessThan(5000)
    expect(decodeURIComponent(encoded)).toMatch(/^ü+$/)
  })

  it('keep line breaks out of the header', () => {
    expect(percentEncode('a\nb\r\u0000')).toBe('a%0Ab%0D%00')
  })
})
