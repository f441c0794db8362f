import {
  appendFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { all, onlineStoreContract, row, stateOf } from '../../../test/contract/online-store.js'
import { event, eventEngine, rowTable, windowTable } from '../../../test/support/online.js'
import { tempFolder } from '../../../test/support/temp-folder.js'
import { createPlatform, ManualClock, type Platform, testPlatform } from '../../core/index.js'
import { createMemoryOnlineStore } from './memory-online-store.js'
import type { OnlineStore, OnlineTable } from './types.js'

const numbers = rowTable('numbers', ['float64'])
const windows = windowTable('windows')

async function open(folder: string, platform: Platform = testPlatform()): Promise<OnlineStore> {
  const store = await createMemoryOnlineStore({ platform, folder, engineOf: eventEngine })
  onTestFinished(() => store.close().catch(() => undefined))
  return store
}

const valuesOf = async (store: OnlineStore, table: OnlineTable, key: string, atMs = 0) =>
  (await store.read([{ table, keys: [key] }], atMs))[0]![0]?.values

describe('the online store in memory', () => {
  onlineStoreContract(async () => {
    const platform = testPlatform()
    return { store: await createMemoryOnlineStore({ platform, engineOf: eventEngine }), nowMs: platform.clock.nowMs() }
  })

  it('answers without a promise', async () => {
    const store = await createMemoryOnlineStore({ platform: testPlatform(), engineOf: eventEngine })
    expect(store.read([{ table: numbers, keys: ['a'] }], 0)).toEqual([[undefined]])
  })

  it('shows what the writer of a window state adds to it at once', async () => {
    const platform = testPlatform()
    const nowMs = platform.clock.nowMs()
    const store = await createMemoryOnlineStore({ platform, engineOf: eventEngine })
    await store.writeStates(windows, [{ key: 'a', state: stateOf(nowMs - 10) }])
    const [state] = await store.readStates(windows, ['a'])
    state!.add(event(nowMs - 5, 3))
    expect(await valuesOf(store, windows, 'a', nowMs)).toEqual([2, 4])
  })

  it('forgets rows and states that nobody can use any more, and says what it holds', async () => {
    const clock = new ManualClock()
    const platform = testPlatform({ clock })
    const nowMs = clock.nowMs()
    const folder = tempFolder()
    const store = await open(folder, platform)
    const mortal = rowTable('mortal', ['float64'], 7_200_000)
    await store.writeRows(mortal, [row('a', nowMs, [1]), row('b', nowMs + 3_600_000, [1])])
    expect(await store.writeRows(mortal, [row('dead', nowMs - 5 * 3_600_000, [1])])).toBe(0)
    await store.writeRows(numbers, [row('a', 0, [1])])
    await store.writeStates(windows, [
      { key: 'a', state: stateOf(nowMs) },
      { key: 'b', state: stateOf(nowMs + 3_000_000) },
    ])
    expect(await platform.metrics.expose()).toContain('ml_feature_store_keys{table="mortal@1.1"} 2')
    clock.advance(3_600_000 + 3_600_000 + 120_000)
    await turn()
    clock.advance(60_000)
    await turn()
    expect(await all(store.scan(windows))).toEqual(['b'])
    expect((await all(store.scan(mortal))).length).toBe(2)
    clock.advance(2 * 3_600_000)
    await turn()
    clock.advance(60_000)
    await turn()
    expect(await all(store.scan(mortal))).toEqual(['b'])
    expect(await valuesOf(store, numbers, 'a')).toEqual([1])
    expect(await platform.metrics.expose()).toMatch(/ml_feature_store_bytes\{table="mortal@1.1"\} [1-9]/)
    await store.close()
    const again = await open(folder)
    expect(await all(again.scan(mortal))).toEqual(['b'])
    expect(await all(again.scan(windows))).toEqual([])
  })
})

describe('the online store in memory, kept in a folder', () => {
  onlineStoreContract(async () => {
    const platform = createPlatform()
    const store = await createMemoryOnlineStore({ platform, folder: tempFolder(), engineOf: eventEngine })
    onTestFinished(() => store.close())
    return { store, nowMs: platform.clock.nowMs() }
  })

  it('has after a restart what it had before', async () => {
    const folder = tempFolder()
    const platform = testPlatform()
    const nowMs = platform.clock.nowMs()
    const names = { ...rowTable('Names', ['string', 'int64']), name: 'Names:ü@1.1' }
    const mark = { fingerprint: 'f', throughKnownMs: 1, seamMs: null, keys: 1, writtenMs: 1 }
    const store = await open(folder, platform)
    await store.writeRows(names, [row('\ud800', nowMs, ['a\u0000🙂', 2n ** 60n]), row('k', nowMs, [null, -0])])
    await store.writeRows(names, [row('k', nowMs + 1, ['newer', 1])])
    await store.writeMark(names, mark)
    await store.writeStates(
      windows,
      [
        { key: 'a', state: stateOf(nowMs - 1) },
        { key: 'gone', state: stateOf(nowMs - 1) },
      ],
      { stream: 's', at: { '0': '7' } },
    )
    await store.writeStates(windows, [{ key: 'gone', state: undefined }], { stream: 's', at: { '0': '8' } })
    await store.writeRows(numbers, [row('a', nowMs, [1])])
    await store.drop(numbers.name)
    await store.close()

    const again = await open(folder)
    expect((await again.tables()).sort()).toEqual([names.name, windows.name])
    expect(await valuesOf(again, names, '\ud800')).toEqual(['a\u0000🙂', 2n ** 60n])
    expect(await valuesOf(again, names, 'k')).toEqual(['newer', 1])
    expect(await again.readMark(names)).toEqual(mark)
    expect(await valuesOf(again, windows, 'a', nowMs)).toEqual([1, 1])
    expect(await again.readStates(windows, ['gone'])).toEqual([undefined])
    expect(await again.position(windows, 's')).toEqual({ '0': '8' })
    await again.writeRows(names, [row('k', nowMs, ['older', 1])])
    expect(await valuesOf(again, names, 'k')).toEqual(['newer', 1])
  })

  it('keeps states as they were written, whatever their writer has added since', async () => {
    const folder = tempFolder()
    const platform = testPlatform()
    const nowMs = platform.clock.nowMs()
    const store = await open(folder, platform)
    await store.writeStates(windows, [{ key: 'a', state: stateOf(nowMs - 1) }], { stream: 's', at: { '0': '1' } })
    await store.flush()
    const [state] = await store.readStates(windows, ['a'])
    state!.add(event(nowMs - 2, 1))
    await store.close()
    const again = await open(folder)
    expect(await valuesOf(again, windows, 'a', nowMs)).toEqual([1, 1])
  })

  it('keeps states as they were with their position, while their writer goes on in the middle of a checkpoint', async () => {
    const folder = tempFolder()
    const nowMs = Date.now()
    const store = await createMemoryOnlineStore({
      platform: createPlatform(),
      folder,
      engineOf: eventEngine,
      checkpointMs: 3_600_000,
    })
    onTestFinished(() => store.close())
    const keys = Array.from({ length: 3000 }, (_, i) => `k${i}`)
    const first = keys.map((key) => {
      const state = stateOf(nowMs - 1)
      const serialize = state.serialize.bind(state)
      state.serialize = () => {
        for (const until = performance.now() + 0.01; performance.now() < until; );
        return serialize()
      }
      return { key, state }
    })
    await store.writeStates(windows, [...first, { key: 'gone', state: stateOf(nowMs - 1) }], {
      stream: 's',
      at: { '0': '1' },
    })
    let isKept = false
    const kept = store.flush().then(() => {
      isKept = true
    })
    // The checkpoint is of the turn after this one.
    await new Promise((resolve) => setTimeout(resolve, 1))
    let written = 0
    for (; !isKept && written < 2999; written++) {
      // From the end: the checkpoint comes to these last.
      const key = keys.at(-1 - written)!
      const [state] = await store.readStates(windows, [key])
      state!.add(event(nowMs - 1, 1))
      const writes = [
        { key, state: state! },
        { key: 'gone', state: undefined },
        { key: 'new', state: stateOf(nowMs - 1) },
      ]
      await store.writeStates(windows, writes, { stream: 's', at: { '0': '2' } })
      if (written % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await kept
    expect(written).toBeGreaterThan(10)
    const killed = tempFolder()
    cpSync(folder, killed, { recursive: true })
    const again = await open(killed)
    expect(await again.position(windows, 's')).toEqual({ '0': '1' })
    const entries = (await again.read([{ table: windows, keys: [...keys, 'gone', 'new'] }], nowMs))[0]!
    expect(new Set(entries.slice(0, -1).map((entry) => entry?.values[0]))).toEqual(new Set([1]))
    expect(entries.at(-1)).toBeUndefined()

    await store.flush()
    const later = tempFolder()
    cpSync(folder, later, { recursive: true })
    const third = await open(later)
    expect(await third.position(windows, 's')).toEqual({ '0': '2' })
    expect(await valuesOf(third, windows, keys.at(-1)!, nowMs)).toEqual([2, 2])
    expect(await valuesOf(third, windows, 'gone', nowMs)).toBeUndefined()
    expect(await valuesOf(third, windows, 'new', nowMs)).toEqual([1, 1])
  })

  it('writes states and their position by itself, after a while', async () => {
    const folder = tempFolder()
    const clock = new ManualClock()
    const store = await open(folder, testPlatform({ clock }))
    await store.writeStates(windows, [{ key: 'a', state: stateOf(clock.nowMs()) }], { stream: 's', at: { '0': '1' } })
    const journal = path.join(folder, windows.name, 'journal-0')
    clock.advance(1999)
    await turn()
    expect(existsSync(journal)).toBe(false)
    clock.advance(1)
    await turn()
    clock.advance(20)
    await vi.waitFor(() => expect(statSync(journal).size).toBeGreaterThan(50), 30_000)
  })

  it('keeps no position while a state of it cannot be serialised, and all of it once it can', async () => {
    const folder = tempFolder()
    const nowMs = testPlatform().clock.nowMs()
    const store = await open(folder)
    const broken = stateOf(nowMs - 1)
    const serialize = broken.serialize.bind(broken)
    broken.serialize = () => {
      throw new Error('cannot be written')
    }
    const states = [
      { key: 'a', state: stateOf(nowMs - 1) },
      { key: 'b', state: broken },
    ]
    await store.writeStates(windows, states, { stream: 's', at: { '0': '1' } })
    await expect(store.flush()).rejects.toThrow('cannot be written')
    const killed = tempFolder()
    cpSync(folder, killed, { recursive: true })
    expect(await (await open(killed)).position(windows, 's')).toBeUndefined()
    broken.serialize = serialize
    await store.flush()
    await store.close()
    const again = await open(folder)
    expect(await again.position(windows, 's')).toEqual({ '0': '1' })
    expect(await all(again.scan(windows))).toEqual(['a', 'b'])
  })

  it.each(['cut', 'zeros', 'noise'] as const)(
    'leaves out a transaction whose end was not written (%s)',
    async (tail) => {
      const folder = tempFolder()
      const store = await open(folder)
      const nowMs = testPlatform().clock.nowMs()
      await store.writeStates(windows, [{ key: 'a', state: stateOf(nowMs - 1) }], { stream: 's', at: { '0': '1' } })
      await store.flush()
      const journal = path.join(folder, windows.name, 'journal-0')
      const wholeBytes = statSync(journal).size
      // Many frames, of which only the last ends the transaction.
      const large = stateOf(...Array.from({ length: 200 }, () => nowMs - 1))
      const states = Array.from({ length: 200 }, (_, i) => ({ key: `k${i}`, state: large }))
      await store.writeStates(windows, states, { stream: 's', at: { '0': '2' } })
      await store.close()
      if (tail === 'cut') truncateSync(journal, statSync(journal).size - 1)
      else {
        truncateSync(journal, wholeBytes)
        appendFileSync(journal, tail === 'zeros' ? Buffer.alloc(5000) : Buffer.from('\u0005\0\0\0nois'))
      }
      const again = await open(folder)
      expect(statSync(journal).size).toBe(wholeBytes)
      expect(await again.position(windows, 's')).toEqual({ '0': '1' })
      expect(await all(again.scan(windows))).toEqual(['a'])
      await again.writeStates(windows, [{ key: 'b', state: stateOf(nowMs - 1) }], { stream: 's', at: { '0': '3' } })
      await again.close()
      const third = await open(folder)
      expect(await all(third.scan(windows))).toEqual(['a', 'b'])
    },
  )

  it('empties a table whose files are damaged, so that its mark is missing, and leaves the others', async () => {
    const folder = tempFolder()
    const mark = { fingerprint: 'f', throughKnownMs: 1, seamMs: null, keys: 1, writtenMs: 1 }
    const store = await open(folder)
    for (const table of [numbers, { ...numbers, name: 'other@1.1' }]) {
      await store.writeMark(table, mark)
      for (let i = 0; i < 5; i++) await store.writeRows(table, [row(`k${i}`, 1, [i])])
    }
    await store.close()
    const journal = path.join(folder, numbers.name, 'journal-0')
    const bytes = readFileSync(journal)
    bytes[bytes.indexOf('k2')]! ^= 1
    writeFileSync(journal, bytes)
    const again = await open(folder)
    expect(await again.tables()).toEqual(['other@1.1'])
    expect(await again.readMark(numbers)).toBeUndefined()
    await again.writeRows(numbers, [row('new', 1, [1])])
    await again.close()
    expect(await all((await open(folder)).scan(numbers))).toEqual(['new'])
  })

  it('makes a long journal a snapshot, while it is written to', async () => {
    const folder = tempFolder()
    const store = await open(folder, createPlatform())
    const text = 'x'.repeat(1000)
    const table = rowTable('wide', ['string', 'int64'])
    for (let round = 1; round <= 12; round++) {
      const rows = Array.from({ length: 1000 }, (_, i) => row(`k${i}`, round, [text, round]))
      await store.writeRows(table, rows)
      await store.flush()
    }
    await store.close()
    const names = readdirSync(path.join(folder, table.name))
    expect(names.sort()).toEqual(['journal-1', 'snapshot-1'])
    const again = await open(folder)
    const [entries] = await again.read([{ table, keys: ['k0', 'k999'] }], 0)
    expect(entries!.map((entry) => entry!.values[1])).toEqual([12, 12])
    expect((await all(again.scan(table))).length).toBe(1000)
  })

  it('says when it cannot write, serves on, and catches up when it can', async () => {
    const folder = tempFolder()
    const platform = createPlatform()
    const store = await open(folder, platform)
    await store.writeRows(numbers, [row('a', 1, [1])])
    await store.flush()
    // A file stands where the folder of the table has to be.
    rmSync(path.join(folder, numbers.name), { recursive: true })
    writeFileSync(path.join(folder, 'other@1.1'), '')
    const other = { ...numbers, name: 'other@1.1' }
    await store.writeRows(other, [row('b', 1, [2])])
    await expect(store.flush()).rejects.toMatchObject({ code: 'FEATURE_STORE_NOT_KEPT' })
    await store.writeRows(other, [row('c', 1, [3])])
    expect(await valuesOf(store, other, 'c')).toEqual([3])
    await expect(store.flush()).rejects.toMatchObject({ code: 'FEATURE_STORE_NOT_KEPT' })
    rmSync(path.join(folder, 'other@1.1'))
    await store.flush()
    await store.close()
    const again = await open(folder)
    expect(await all(again.scan(other))).toEqual(['b', 'c'])
  })
})

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20))
}
