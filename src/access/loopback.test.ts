import { describe, expect, it } from 'vitest'
import { checkBind, createLoopbackGuard, isLoopback } from './loopback.js'

describe('the loopback rules', () => {
  it.each(['localhost', 'LOCALHOST', '127.0.0.1', '127.8.9.1', '::1', '[::1]'])('counts %s as loopback', (host) => {
    expect(isLoopback(host)).toBe(true)
  })

  it.each(['0.0.0.0', '::', '10.0.0.1', 'localhost.example.com', '127.0.0.1.example.com', 'example.com', ''])(
    'refuses to listen on %s without --insecure',
    (host) => {
      expect(() => checkBind(host, { insecure: false })).toThrow(
        expect.objectContaining({ code: 'ACCESS_INSECURE_BIND' }),
      )
      expect(() => checkBind(host, { insecure: true })).not.toThrow()
    },
  )

  it('answers loopback hosts with any port and no others', () => {
    const guard = createLoopbackGuard()
    for (const host of ['localhost:8080', '127.0.0.1', '[::1]:9', undefined])
      expect(() => guard(host, undefined)).not.toThrow()
    for (const host of ['attacker.example:8080', 'localhost.attacker.example', '127.0.0.1@evil'])
      expect(() => guard(host, undefined)).toThrow(expect.objectContaining({ code: 'ACCESS_HOST_REFUSED' }))
  })

  it('answers pages of its own host and no other site', () => {
    const guard = createLoopbackGuard()
    expect(() => guard('localhost:8080', 'http://localhost:8080')).not.toThrow()
    for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example'])
      expect(() => guard('localhost:8080', origin)).toThrow(expect.objectContaining({ code: 'ACCESS_ORIGIN_REFUSED' }))
  })
})
