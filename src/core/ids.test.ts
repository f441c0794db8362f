import { describe, expect, it } from 'vitest'
import { ManualClock, systemClock } from './clock.js'
import { createIds, idTimeMs, isName, parseDigest } from './ids.js'
import { seededRandom, systemRandom } from './random.js'

describe('createIds', () => {
  it('makes UUIDs of version 7 that sort in the order they were made, also within a millisecond and when the clock stands still', () => {
    const ids = createIds(new ManualClock(), seededRandom(1))
    const made = Array.from({ length: 10_000 }, () => ids.next())
    expect(new Set(made).size).toBe(made.length)
    expect([...made].sort()).toEqual(made)
    for (const id of made.slice(0, 100))
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  it('never goes back when the clock does', () => {
    let nowMs = 1_800_000_000_000
    const ids = createIds({ ...systemClock, nowMs: () => nowMs }, systemRandom())
    const before = ids.next()
    nowMs -= 60_000
    expect(ids.next() > before).toBe(true)
  })

  it('carries its time', () => {
    const clock = new ManualClock()
    const ids = createIds(clock, seededRandom(2))
    clock.advance(1234)
    expect(idTimeMs(ids.next())).toBe(clock.nowMs())
    expect(idTimeMs('not-an-id')).toBeUndefined()
    // RFC 9562, appendix A.6: the example UUID of version 7.
    expect(idTimeMs('017f22e2-79b0-7cc3-98c4-dc0c0c07398f')).toBe(0x017f22e279b0)
  })
})

describe('parsers', () => {
  it.each(['fraud', 'a', 'purchase-intent', 'v1.2_x', '0'])('takes %s as a name', (name) => {
    expect(isName(name)).toBe(true)
  })

  it.each(['', '.', '..', '-a', 'a/b', 'a b', 'ä', 'a\n', 'x'.repeat(129), '__proto__'])(
    'refuses %j as a name',
    (name) => {
      expect(isName(name)).toBe(false)
    },
  )

  it('takes digests in their one form', () => {
    expect(parseDigest(`sha256:${'0'.repeat(64)}`)).toBeDefined()
    expect(parseDigest(`sha256:${'A'.repeat(64)}`)).toBeUndefined()
  })
})
