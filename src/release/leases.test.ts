import { describe, expect, it } from 'vitest'
import { ManualClock } from '../core/index.js'
import { LEASE_MS, LeaseTable } from './leases.js'

describe('leases', () => {
  function held() {
    const clock = new ManualClock()
    const leases = new LeaseTable(clock)
    leases.warm('r', true)
    leases.grant('r', clock.monotonicMs() + LEASE_MS)
    return { clock, leases }
  }

  it('hold until their end, to the millisecond, and only where the candidate is warm', () => {
    const { clock, leases } = held()
    clock.advance(LEASE_MS - 1)
    expect(leases.holds('r')).toBe(true)
    leases.warm('r', false)
    expect(leases.holds('r')).toBe(false)
    leases.warm('r', true)
    clock.advance(1)
    expect(leases.holds('r')).toBe(false)
  })

  it('tell calls under way when they run out, and when they are dropped', () => {
    const { clock, leases } = held()
    let lost = 0
    leases.onLost('r', () => lost++)
    const stop = leases.onLost('r', () => lost++)
    stop()
    clock.advance(LEASE_MS / 2)
    leases.grant('r', clock.monotonicMs() + LEASE_MS)
    clock.advance(LEASE_MS - 1)
    expect(lost).toBe(0)
    clock.advance(1)
    expect(lost).toBe(1)
    leases.onLost('r', () => lost++)
    expect(lost).toBe(2)
    leases.grant('r', clock.monotonicMs() + LEASE_MS)
    leases.onLost('r', () => lost++)
    leases.drop('r')
    expect(lost).toBe(3)
    expect(leases.holds('r')).toBe(false)
  })
})
