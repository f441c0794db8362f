import { describe, expect, it } from 'vitest'
import type { KeyState } from '../aggregate/types.js'
import { ParsedStates } from './parsed-states.js'

const large = (fill: number) => new Uint8Array(5000).fill(fill)

function setUp(limitBytes: number) {
  const states = new ParsedStates(limitBytes)
  const parsed: number[] = []
  const get = (key: string, bytes: Uint8Array, table = 't') =>
    states.get(table, key, bytes, (stored) => {
      parsed.push(stored[0]!)
      return { sizeBytes: 100 } as KeyState
    })
  return { get, parsed }
}

describe('parsed states', () => {
  it('are parsed once for as long as their bytes are the same', () => {
    const { get, parsed } = setUp(1000)
    const first = get('a', large(1))
    expect(get('a', large(1))).toBe(first)
    expect(get('a', large(2))).not.toBe(first)
    get('a', large(1), 'other')
    expect(parsed).toEqual([1, 2, 1])
  })

  it('that are small are not kept', () => {
    const { get, parsed } = setUp(1000)
    get('a', new Uint8Array(10))
    get('a', new Uint8Array(10))
    expect(parsed).toHaveLength(2)
  })

  it('are forgotten when they are many, those that were not used for longest first', () => {
    const { get, parsed } = setUp(250)
    get('a', large(1))
    get('b', large(2))
    get('a', large(1))
    get('c', large(3))
    get('a', large(1))
    get('b', large(2))
    expect(parsed).toEqual([1, 2, 3, 2])
  })

  it('that are larger than all that may be kept are given all the same', () => {
    const { get, parsed } = setUp(50)
    expect(get('a', large(1)).sizeBytes).toBe(100)
    get('a', large(1))
    expect(parsed).toEqual([1, 1])
  })
})
