import { describe, expect, it } from 'vitest'
import { ManualClock } from '../core/index.js'
import { Turns } from './turns.js'

describe('turns at a database', () => {
  async function waiting(count: number) {
    const clock = new ManualClock()
    const turns = new Turns('the database', clock)
    await turns.take()
    const ended: string[] = []
    for (let i = 0; i < count; i++)
      void turns.take().then(
        () => ended.push(`turn ${i}`),
        (error: { code: string }) => ended.push(`${error.code} ${i}`),
      )
    return { clock, turns, ended }
  }

  it('come to everybody in a burst, in order, as long as one transaction after the other ends', async () => {
    const { clock, turns, ended } = await waiting(6)
    for (let i = 0; i < 6; i++) {
      await clock.advance(8_000)
      turns.pass()
    }
    await clock.advance(0)
    expect(ended).toEqual(Array.from({ length: 6 }, (_, i) => `turn ${i}`))
  })

  it('are refused after ten seconds of the same transaction, and after a minute in any case', async () => {
    const { clock, turns, ended } = await waiting(9)
    await clock.advance(6_000)
    turns.pass()
    await clock.advance(9_999)
    expect(ended).toEqual(['turn 0'])
    await clock.advance(1)
    expect(ended).toEqual(['turn 0', ...Array.from({ length: 8 }, (_, i) => `STORE_BUSY ${i + 1}`)])

    const long = await waiting(9)
    for (let i = 0; i < 7; i++) {
      await long.clock.advance(9_000)
      long.turns.pass()
    }
    expect(long.ended.filter((end) => end.startsWith('STORE_BUSY'))).toEqual([
      'STORE_BUSY 6',
      'STORE_BUSY 7',
      'STORE_BUSY 8',
    ])
  })
})
