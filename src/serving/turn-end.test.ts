import { describe, expect, it } from 'vitest'
import { TurnEnd } from './turn-end.js'

function setUp() {
  const went: ('end' | 'now')[] = []
  const turnEnd = new TurnEnd(
    () => went.push('end'),
    () => went.push('now'),
  )
  const turn = (calls: number) => {
    turnEnd.schedule(() => {})
    turnEnd.sawCalls(calls)
    return went.at(-1)!
  }
  const turns = (count: number, calls: number) => Array.from({ length: count }, () => turn(calls))
  return { turns }
}

describe('the end of a turn', () => {
  it('is waited for while calls share turns', () => {
    expect(new Set(setUp().turns(200, 2))).toEqual(new Set(['end']))
  })

  it('is not waited for by calls that keep coming alone, but for one in 16', () => {
    const { turns } = setUp()
    expect(new Set(turns(33, 1))).toEqual(new Set(['end']))
    const later = turns(160, 1)
    expect(later.filter((when) => when === 'end')).toHaveLength(10)
  })

  it('is waited for again as soon as a call that waits has company', () => {
    const { turns } = setUp()
    turns(100, 1)
    // The next call that waits for the end of its turn comes within 16, and finds the others.
    const until = Array.from({ length: 16 }, () => turns(1, 1)[0]!).indexOf('end')
    expect(until).toBeGreaterThanOrEqual(0)
    turns(1, 3)
    expect(new Set(turns(32, 1))).toEqual(new Set(['end']))
  })

  it('is waited for when pieces of earlier calls are all there is', () => {
    const { turns } = setUp()
    turns(100, 1)
    turns(1, 0)
    expect(turns(1, 1)).toEqual(['end'])
  })
})
