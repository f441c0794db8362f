import { describe, expect, it } from 'vitest'
import { SingleFlight } from './single-flight.js'

describe('single flight', () => {
  it('runs once for many waiters and again for the next one', async () => {
    const flight = new SingleFlight<string, number>()
    let runs = 0
    const start = async () => ++runs
    const first = Array.from({ length: 100 }, () => flight.run('a', start))
    expect(flight.size).toBe(1)
    expect(flight.get('a')).toBe(first[0])
    expect(new Set(await Promise.all(first))).toEqual(new Set([1]))
    expect(flight.get('a')).toBeUndefined()
    expect(await flight.run('a', start)).toBe(2)
  })

  it('keeps keys apart', async () => {
    const flight = new SingleFlight<string, string>()
    const run = (key: string) => flight.run(key, async () => key)
    expect(await Promise.all([run('a'), run('b'), run('a')])).toEqual(['a', 'b', 'a'])
  })

  it('shares an error with those waiting and does not keep it', async () => {
    const flight = new SingleFlight<string, number>()
    const failing = () => flight.run('a', () => Promise.reject(new Error('no')))
    expect(await Promise.allSettled([failing(), failing()])).toMatchObject([
      { status: 'rejected' },
      { status: 'rejected' },
    ])
    expect(flight.size).toBe(0)
    expect(await flight.run('a', async () => 1)).toBe(1)
  })

  it('keeps nothing when a run cannot even start', () => {
    const flight = new SingleFlight<string, number>()
    const start = () => {
      throw new Error('no')
    }
    expect(() => flight.run('a', start)).toThrow('no')
    expect(flight.size).toBe(0)
  })
})
