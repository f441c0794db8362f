import { describe, expect, it } from 'vitest'
import { ManualClock, type ModelName, testPlatform } from '../core/index.js'
import { createBreakerJournal } from './breaker-journal.js'

describe('the journal of circuits', () => {
  function setUp(decide = async () => {}) {
    const clock = new ManualClock()
    const written: string[] = []
    const journal = createBreakerJournal(testPlatform({ clock }), async (change) => {
      written.push(`${clock.monotonicMs()} ${change.kind} ${change.subject}`)
      await decide()
    })
    const change = (state: 'open' | 'closed' | 'half-open', model = 'fraud') =>
      journal({ version: { model: model as ModelName, version: 2 }, state })
    return { clock, written, change }
  }

  it('writes a change down afterwards, not while it happens, and says nothing of probes', () => {
    const { clock, written, change } = setUp()
    change('open')
    expect(written).toEqual([])
    clock.advance(1)
    change('half-open')
    clock.advance(60_000)
    change('closed')
    clock.advance(1)
    expect(written).toEqual(['0 breaker.open fraud/2', '60001 breaker.close fraud/2'])
  })

  it('writes one that flaps at most once in ten seconds, each version by itself, and the state it ends in', () => {
    const { clock, written, change } = setUp()
    for (let i = 0; i < 100; i++) {
      change(i % 2 === 0 ? 'open' : 'closed')
      clock.advance(250)
    }
    change('open', 'other')
    clock.advance(60_000)
    const own = written.filter((line) => line.endsWith('fraud/2'))
    expect(own.length).toBeLessThanOrEqual(4)
    expect(own.at(-1)).toContain(own.length % 2 === 0 ? 'close' : 'open')
    expect(written.filter((line) => line.endsWith('other/2'))).toHaveLength(1)
  })

  it('goes on when the decision cannot be written', async () => {
    const { clock, written, change } = setUp(() => Promise.reject(new Error('no store')))
    change('open')
    clock.advance(1)
    await Promise.resolve()
    change('closed')
    clock.advance(20_000)
    expect(written).toHaveLength(2)
  })
})
