import { describe, expect, it } from 'vitest'
import { row, stateOf } from '../../../test/contract/online-store.js'
import { eventEngine, rowTable, windowTable } from '../../../test/support/online.js'
import { testPlatform } from '../../core/index.js'
import type { CompiledView } from '../compiled.js'
import { createMemoryOnlineStore } from './memory-online-store.js'
import { answerOnlineReads, createRemoteOnlineStore } from './remote-online-store.js'

const numbers = rowTable('numbers', ['float64'])
const mixed = rowTable('mixed', ['string', 'int64', 'float32[2]'])
const windows = windowTable('windows')
const views = new Map<string, CompiledView>([numbers, mixed, windows].map(({ view }) => [view.name, view]))

describe('the online store of another process', () => {
  it('answers as the store that it asks', async () => {
    const platform = testPlatform()
    const nowMs = platform.clock.nowMs()
    const store = await createMemoryOnlineStore({ platform, engineOf: eventEngine })
    await store.writeRows(numbers, [row('a', nowMs, [-0]), row('\ud800', nowMs, [Infinity])])
    await store.writeRows(mixed, [row('a', nowMs - 1, ['🙂\u0000', 2n ** 62n, Float32Array.of(1, -0)])])
    await store.writeStates(windows, [{ key: 'a', state: stateOf(nowMs - 1) }])
    const remote = createRemoteOnlineStore((request) => answerOnlineReads(store, views, request))
    const keys = ['a', 'none', '\ud800', 'a']
    const reads = [
      { table: numbers, keys },
      { table: mixed, keys },
      { table: windows, keys },
      { table: numbers, keys: [] },
      { table: windows, keys: ['a'] },
    ]
    expect(await remote.read(reads, nowMs)).toEqual(
      (await store.read(reads, nowMs)).map((entries) =>
        [...entries].map((entry) => entry && { eventMs: entry.eventMs, values: entry.values }),
      ),
    )
    expect(await remote.read([], nowMs)).toEqual([])
    const unknown = rowTable('unknown', ['float64'])
    expect(await remote.read([{ table: unknown, keys: ['a', 'b'] }, ...reads.slice(4)], nowMs)).toEqual([
      [undefined, undefined],
      [{ eventMs: nowMs - 1, values: [1, 1] }],
    ])
  })

  it('is unavailable when the process that keeps the store is gone, or does not answer', async () => {
    const gone = createRemoteOnlineStore(() => Promise.reject(new Error('gone')))
    await expect(gone.read([], 0)).rejects.toMatchObject({ code: 'FEATURE_STORE_UNAVAILABLE' })
    const silent = createRemoteOnlineStore(() => new Promise(() => undefined))
    for (let i = 0; i < 1000; i++) void silent.read([], 0)
    await expect(silent.read([], 0)).rejects.toMatchObject({ code: 'FEATURE_STORE_UNAVAILABLE' })
  })
})
