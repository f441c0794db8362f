import { describe, expect, it } from 'vitest'
import { placeOf } from './placement.js'

describe('placeOf', () => {
  it.each([
    ['auto', { createMs: 1, largestBatchMs: 0.1 }, 'inline'],
    ['auto', { createMs: 5, largestBatchMs: 0.5 }, 'inline'],
    ['auto', { createMs: 6, largestBatchMs: 0.1 }, 'shared'],
    ['auto', { createMs: 1, largestBatchMs: 0.6 }, 'shared'],
    ['auto', { createMs: 1, largestBatchMs: 11 }, 'dedicated'],
    // A forest that runs in no time but takes seconds to build would stall a shared thread while it moves there.
    ['auto', { createMs: 2_000, largestBatchMs: 0.2 }, 'dedicated'],
    ['auto', { createMs: 1, largestBatchMs: undefined }, 'dedicated'],
    ['thread', { createMs: 1, largestBatchMs: 0.1 }, 'shared'],
    ['thread', { createMs: 1, largestBatchMs: 300 }, 'dedicated'],
    ['inline', { createMs: 900, largestBatchMs: 300 }, 'inline'],
  ] as const)('isolation %s with %o is %s', (isolation, measured, place) => {
    expect(placeOf(isolation, { ...measured, isBounded: true })).toBe(place)
  })

  it('trusts no measurement when a run may be larger than the one measured', () => {
    const measured = { createMs: 1, largestBatchMs: 0.1, isBounded: false }
    expect(placeOf('auto', measured)).toBe('dedicated')
    expect(placeOf('thread', measured)).toBe('dedicated')
    expect(placeOf('inline', measured)).toBe('inline')
  })
})
