import { describe, expect, it } from 'vitest'
import { keyValueContract } from '../../test/contract/key-value.js'
import { ManualClock } from '../core/index.js'
import { createMemoryKeyValue } from './index.js'

function make() {
  const clock = new ManualClock()
  return { store: createMemoryKeyValue({ clock }), advance: async (ms: number) => clock.advance(ms) }
}

describe('the key-value store in memory', () => {
  keyValueContract(make)

  it('frees values that expired and were never asked for again', async () => {
    const { store, advance } = make()
    const value = new Uint8Array(1_000_000)
    const before = process.memoryUsage().arrayBuffers
    for (let i = 0; i < 500; i++) {
      await store.setMany([{ key: `key ${i}`, value, ttlMs: 10 }])
      await advance(1)
    }
    // 500 MB were written and about 20 are alive; what is left to the collector needs no more than a few times that.
    globalThis.gc?.()
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(300e6)
  })
})
