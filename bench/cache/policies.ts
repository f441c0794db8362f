// Policies of a cache with room for so many entries: each says how many requests of a trace were hits.
import { seededRandom } from '../../src/core/index.js'
import { CacheNode } from '../../src/serving/cache/node-list.js'
import { TinyLfu } from '../../src/serving/cache/tiny-lfu.js'
import type { Trace } from './traces.js'

export function lru(trace: Trace, capacity: number): number {
  const kept = new Set<number>()
  let hits = 0
  for (let i = 0; i < trace.length; i++) {
    const key = trace[i]!
    if (kept.delete(key)) hits++
    kept.add(key)
    if (kept.size > capacity) kept.delete(kept.keys().next().value!)
  }
  return hits
}

class Item extends CacheNode {
  constructor(
    readonly key: number,
    hash: number,
  ) {
    super(hash, 1)
  }
}

/** What the server uses, every entry of the same size. */
export function tinyLfu(trace: Trace, capacity: number): number {
  const kept = new Map<number, Item>()
  const policy = new TinyLfu<Item>(capacity, seededRandom(1), ({ key }) => kept.delete(key))
  let hits = 0
  for (let i = 0; i < trace.length; i++) {
    const key = trace[i]!
    const found = kept.get(key)
    if (found !== undefined) {
      hits++
      policy.touch(found)
      continue
    }
    const hash = Math.imul(key + 1, 0x9e3779b1) >>> 0
    policy.miss(hash)
    const item = new Item(key, hash)
    kept.set(key, item)
    policy.add(item)
  }
  return hits
}

/** Belady 1966, which knows the future: keeps what is asked for again soonest. No policy can do better. */
export function optimal(trace: Trace, capacity: number): number {
  const next = new Float64Array(trace.length)
  const later = new Map<number, number>()
  for (let i = trace.length - 1; i >= 0; i--) {
    next[i] = later.get(trace[i]!) ?? Number.POSITIVE_INFINITY
    later.set(trace[i]!, i)
  }
  const kept = new Map<number, number>()
  const farthest = new Heap()
  let hits = 0
  for (let i = 0; i < trace.length; i++) {
    const key = trace[i]!
    if (kept.has(key)) hits++
    if (next[i] === Number.POSITIVE_INFINITY) {
      kept.delete(key)
      continue
    }
    kept.set(key, next[i]!)
    farthest.push(next[i]!, key)
    while (kept.size > capacity) {
      const [at, oldest] = farthest.pop()
      // An entry asked for meanwhile has another place in the heap.
      if (kept.get(oldest) === at) kept.delete(oldest)
    }
  }
  return hits
}

class Heap {
  readonly #items: [at: number, key: number][] = []

  push(at: number, key: number): void {
    const items = this.#items
    let i = items.push([at, key]) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (items[parent]![0] >= items[i]![0]) break
      ;[items[parent], items[i]] = [items[i]!, items[parent]!]
      i = parent
    }
  }

  pop(): [at: number, key: number] {
    const items = this.#items
    const top = items[0]!
    const last = items.pop()!
    if (items.length > 0) items[0] = last
    for (let i = 0; ; ) {
      const left = 2 * i + 1
      let largest = i
      if (left < items.length && items[left]![0] > items[largest]![0]) largest = left
      if (left + 1 < items.length && items[left + 1]![0] > items[largest]![0]) largest = left + 1
      if (largest === i) return top
      ;[items[largest], items[i]] = [items[i]!, items[largest]!]
      i = largest
    }
  }
}
