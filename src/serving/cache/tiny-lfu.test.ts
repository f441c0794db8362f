import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../core/index.js'
import { FrequencySketch } from './frequency-sketch.js'
import { CacheNode } from './node-list.js'
import { TinyLfu } from './tiny-lfu.js'

class Item extends CacheNode {
  constructor(
    readonly key: number,
    sizeBytes: number,
  ) {
    super(spread(key), sizeBytes)
  }
}

function spread(key: number): number {
  return Math.imul(key + 1, 0x9e3779b1) >>> 0
}

/** A cache over the policy, as its user keeps one: a map that forgets what is evicted. */
function setUp(maxBytes: number, seed = 1) {
  const map = new Map<number, Item>()
  const policy = new TinyLfu<Item>(maxBytes, seededRandom(seed), ({ key }) => {
    expect(map.delete(key)).toBe(true)
  })
  const ask = (key: number, sizeBytes = 1): boolean => {
    const found = map.get(key)
    if (found !== undefined) {
      policy.touch(found)
      return true
    }
    policy.miss(spread(key))
    const item = new Item(key, sizeBytes)
    map.set(key, item)
    policy.add(item)
    return false
  }
  return { map, policy, ask }
}

describe('W-TinyLFU', () => {
  it('keeps its count of bytes and entries, and both within the budget, whatever is asked for and removed', () => {
    const step = fc.oneof(
      { weight: 10, arbitrary: fc.record({ key: fc.nat(60), size: fc.integer({ min: 1, max: 300 }) }) },
      { weight: 1, arbitrary: fc.record({ removed: fc.nat(60) }) },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 2500 }), fc.integer({ min: 50, max: 2000 }), (steps, maxBytes) => {
        const { map, policy, ask } = setUp(maxBytes)
        for (const step of steps) {
          if ('key' in step) ask(step.key, step.size)
          else {
            const item = map.get(step.removed)
            map.delete(step.removed)
            if (item !== undefined) policy.remove(item)
          }
          expect(policy.bytes).toBeLessThanOrEqual(maxBytes)
        }
        expect(policy.entries).toBe(map.size)
        expect(policy.bytes).toBe([...map.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))
      }),
      { numRuns: 60 },
    )
  })

  it('keeps what is asked for often through a scan of things asked for once', () => {
    const { map, ask } = setUp(1000)
    for (let round = 0; round < 10; round++) for (let key = 0; key < 500; key++) ask(key)
    for (let key = 1000; key < 51_000; key++) ask(key)
    let kept = 0
    for (let key = 0; key < 500; key++) if (map.has(key)) kept++
    expect(kept).toBeGreaterThan(450)
  })

  it('does not keep one entry larger than the whole budget, nor lets it push others out', () => {
    const { map, ask } = setUp(1000)
    for (let key = 0; key < 500; key++) ask(key)
    ask(9999, 1001)
    expect(map.has(9999)).toBe(false)
    expect(map.size).toBe(500)
  })

  it('makes a large entry outweigh all the small ones it would push out', () => {
    const { map, ask } = setUp(1000)
    for (let round = 0; round < 3; round++) for (let key = 0; key < 990; key++) ask(key)
    for (let round = 0; round < 5; round++) ask(9999, 500)
    expect(map.has(9999)).toBe(false)
  })

  it('widens its window when only recent things are asked for again', () => {
    const { policy, ask } = setUp(500)
    const random = seededRandom(3)
    // A front that moves on: each request is for something near the newest.
    for (let i = 0; i < 200_000; i++) ask(Math.floor(i / 10 - random.next() ** 3 * 400) + 1000)
    expect(policy.maxWindowBytes).toBeGreaterThan(50)
  })
})

describe('the frequency sketch', () => {
  it('never counts less than what happened, up to 15, before it ages', () => {
    const sketch = new FrequencySketch(1000)
    const random = seededRandom(2)
    const counts = new Map<number, number>()
    for (let i = 0; i < 3000; i++) {
      const key = spread(Math.floor(random.next() ** 2 * 800))
      sketch.increment(key)
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    for (const [key, count] of counts) expect(sketch.frequency(key)).toBeGreaterThanOrEqual(Math.min(15, count))
  })

  it('answers the same after it grew', () => {
    const sketch = new FrequencySketch(16)
    for (let key = 0; key < 40; key++) for (let i = 0; i <= key % 5; i++) sketch.increment(spread(key))
    const before = Array.from({ length: 200 }, (_, key) => sketch.frequency(spread(key)))
    sketch.grow(5000)
    expect(Array.from({ length: 200 }, (_, key) => sketch.frequency(spread(key)))).toEqual(before)
  })

  it('halves every count when it ages, and none runs into its neighbour', () => {
    const sketch = new FrequencySketch(16)
    for (let i = 0; i < 15; i++) sketch.increment(spread(1))
    for (let key = 100; sketch.frequency(spread(1)) === 15 && key < 10_000; key++) sketch.increment(spread(key))
    expect(sketch.frequency(spread(1))).toBe(7)
  })
})
